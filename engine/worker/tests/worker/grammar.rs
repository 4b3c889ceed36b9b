//! The embedded model, which never learned JSON, made to answer in it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::{
    ErrorCode, FinishReason, Grammar, Sampling, Sharding, TokenEvent, TokenId, TokenRequest,
};
use serde_json::{Value, json};
use text::{Framing, Tokenizer};

use crate::process::Cluster;
use crate::{request, tokens};

const LAYERS: u32 = 6;

fn sprout() -> PathBuf {
    Path::new(env!("ESPALIER_CHECKOUT")).join("engine/store/sprout")
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 12},
            "kind": {"enum": ["tree", "flower", "grass"]},
            "age": {"type": "integer", "minimum": 0, "maximum": 300},
            "leaves": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
        },
        "required": ["name", "kind", "age", "leaves"],
        "additionalProperties": false,
    })
}

fn asked(id: u64, seed: u64, tokenizer: &Tokenizer) -> TokenRequest {
    let chat = "<|user|>Tell me of a plant.<|end|><|assistant|>";
    let mut asked = request(id, &tokenizer.encode(chat, Framing::Bare).unwrap(), 300);
    asked.stop_tokens = tokenizer.stop_tokens().to_vec();
    asked.grammar = Some(Grammar::JsonSchema(schema().to_string()));
    if seed > 0 {
        asked.sampling = Sampling {
            seed,
            ..Sampling::PLAIN
        };
    }
    asked
}

fn check(events: &[TokenEvent], tokenizer: &Tokenizer) {
    let text = tokenizer.decode(&tokens(events));
    let end = Some(&TokenEvent::Finished(FinishReason::Stop));
    assert_eq!(events.last(), end, "{text}");
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
    println!("{value}");
    let fields = value.as_object().unwrap();
    assert_eq!(fields.len(), 4, "{value}");
    let name = fields["name"].as_str().unwrap().chars().count();
    assert!((1..=12).contains(&name), "{value}");
    let kind = fields["kind"].as_str().unwrap();
    assert!(["tree", "flower", "grass"].contains(&kind), "{value}");
    assert!(fields["age"].as_u64().unwrap() <= 300, "{value}");
    let leaves = fields["leaves"].as_array().unwrap();
    assert!((1..=3).contains(&leaves.len()), "{value}");
    assert!(leaves.iter().all(Value::is_boolean), "{value}");
}

#[test]
fn a_schema_is_obeyed_on_one_rank_and_on_two() {
    let tokenizer = Tokenizer::load(&sprout()).unwrap();
    let mut first: Option<Vec<Vec<TokenId>>> = None;
    for (world, sharding) in [
        (1, Sharding::Pipeline),
        (2, Sharding::Pipeline),
        (2, Sharding::Tensor),
    ] {
        let mut cluster = Cluster::of_layers(LAYERS, &sprout(), world, sharding);
        let mut free = asked(9, 0, &tokenizer);
        free.grammar = None;
        let mut requests: Vec<_> = (0..4).map(|id| asked(id, id, &tokenizer)).collect();
        requests.push(free);
        let answers = cluster.answers(requests);
        for events in &answers[..4] {
            check(events, &tokenizer);
        }
        let free = tokenizer.decode(&tokens(&answers[4]));
        assert!(serde_json::from_str::<Value>(&free).is_err(), "{free}");
        // The greedy one and the one without a grammar are the same wherever they are computed.
        let greedy = vec![tokens(&answers[0]), tokens(&answers[4])];
        assert_eq!(first.get_or_insert_with(|| greedy.clone()), &greedy);
    }
}

#[test]
fn a_constrained_answer_goes_on_elsewhere() {
    let tokenizer = Tokenizer::load(&sprout()).unwrap();
    let mut cluster = Cluster::of_layers(LAYERS, &sprout(), 1, Sharding::Pipeline);
    let whole = tokens(&cluster.answer(asked(1, 5, &tokenizer)));
    for known in [1, whole.len() / 2, whole.len()] {
        let resumed = TokenRequest {
            generated: whole[..known].to_vec(),
            ..asked(2, 5, &tokenizer)
        };
        let events = cluster.answer(resumed);
        assert_eq!(tokens(&events), whole[known..]);
        let end = Some(&TokenEvent::Finished(FinishReason::Stop));
        assert_eq!(events.last(), end);
    }
}

#[test]
fn a_grammar_that_cannot_be_used_leaves_the_worker_as_it_was() {
    let tokenizer = Tokenizer::load(&sprout()).unwrap();
    let mut cluster = Cluster::of_layers(LAYERS, &sprout(), 1, Sharding::Pipeline);
    for grammar in [
        Grammar::JsonSchema("{".into()),
        Grammar::Regex("(".repeat(100_000)),
        // A token that there is not.
        Grammar::Lark("start: <[99999999]>".into()),
    ] {
        let mut bad = asked(1, 0, &tokenizer);
        bad.grammar = Some(grammar);
        let events = cluster.answer(bad);
        let refused = |failure: &base::Failure| failure.code == ErrorCode::InvalidRequest;
        assert!(
            matches!(&events[..], [TokenEvent::Accepted { .. }, TokenEvent::Failed(failure)] if refused(failure)),
            "{events:?}"
        );
    }
    check(&cluster.answer(asked(2, 0, &tokenizer)), &tokenizer);
}

#[test]
fn masks_are_made_while_the_device_computes() {
    let tokenizer = Tokenizer::load(&sprout()).unwrap();
    let mut cluster = Cluster::of_layers(LAYERS, &sprout(), 1, Sharding::Pipeline);
    let began = Instant::now();
    // Counters come once a second.
    let mut id = 0;
    while began.elapsed() < Duration::from_millis(2500) {
        id += 1;
        cluster.answer(asked(id, id, &tokenizer));
    }
    let stats = cluster.lead().stats;
    assert!(stats.generated_tokens > 10, "{stats:?}");
    let (host_us, step_us) = (stats.host_us / stats.steps, stats.step_us / stats.steps);
    println!(
        "per step: {host_us} us on the host, masks that were waited for included, {step_us} us on the device"
    );
    assert!(host_us < 5000, "{stats:?}");
}
