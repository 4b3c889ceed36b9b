//! 10,000 bodies that are wrong in some way: whatever they are, they get an answer or an error.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{PROMPT, Parse, USER};
use crate::openai::{Fresh, parse_chat, parse_completion};

/// Values that no field expects, or only some do.
fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_string()),
        Just("true".to_string()),
        Just("{}".to_string()),
        Just("[]".to_string()),
        Just("[[[]]]".to_string()),
        Just("-0".to_string()),
        Just("1e400".to_string()),
        Just("\"\\ud800\"".to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        "[0-9]{1,60}",
        "\\PC{0,20}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        (1_usize..400).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
        (1_usize..400).prop_map(|depth| "{\"type\":".repeat(depth) + "1" + &"}".repeat(depth)),
        prop::collection::vec(any::<u64>(), 0..40).prop_map(|ids| format!("{ids:?}")),
    ]
}

/// Fields with any values, and bytes of all that changed at random.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "model",
        "messages",
        "prompt",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "stop",
        "stop_token_ids",
        "stream",
        "stream_options",
        "n",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "tools",
        "tool_choice",
        "response_format",
        "modalities",
        "audio",
        "prediction",
        "echo",
        "suffix",
        "best_of",
        "unknown",
    ];
    let field = (prop::sample::select(names.to_vec()), any_value());
    let fields = prop::collection::vec(field, 0..8);
    let base = prop_oneof![
        Just(format!("{USER},")),
        Just(format!("{PROMPT},")),
        Just(String::new())
    ];
    let object = (base, fields).prop_map(|(base, fields)| {
        let fields: Vec<String> = fields
            .into_iter()
            .map(|(name, value)| format!("{name:?}: {value}"))
            .collect();
        format!("{{{base} {}}}", fields.join(",")).into_bytes()
    });
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let mutated = (object, changes).prop_map(|(mut body, changes)| {
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body
    });
    prop_oneof![4 => mutated, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

#[test]
fn ten_thousand_malformed_bodies_do_not_panic() {
    let config = Config {
        cases: 10_000,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&any_body(), |body| {
        for parse in [parse_chat as Parse, parse_completion] {
            match parse(&body, Fresh::new(9)) {
                Ok(asked) => {
                    prop_assert!(!asked.requests.is_empty());
                    for request in &asked.requests {
                        let sampling = request.sampling.or(&base::Sampling::PLAIN);
                        prop_assert!((0.0..=2.0).contains(&sampling.temperature));
                        prop_assert!(sampling.top_p > 0.0 && sampling.top_p <= 1.0);
                        prop_assert!((0.0..=1.0).contains(&sampling.min_p));
                        prop_assert!(request.stop.iter().all(|stop| !stop.is_empty()));
                    }
                }
                Err(failure) => {
                    prop_assert!(!failure.message.is_empty() && failure.message.len() < 10_000);
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
}
