use std::time::{Duration, Instant};

use base::{ClientId, Priority, RequestId, Sampling};

use super::*;

fn request(penalties: Penalties, bias: &[(TokenId, f32)]) -> TokenRequest {
    TokenRequest {
        id: RequestId(1),
        client: ClientId(0),
        priority: Priority::Usual,
        prompt: vec![0, 1, 1],
        generated: vec![1, 2, 2],
        sampling: Sampling {
            penalties,
            ..Sampling::GREEDY
        },
        max_tokens: 9,
        stop: Vec::new(),
        stop_tokens: Vec::new(),
        logprobs: None,
        prompt_logprobs: false,
        grammar: None,
        logit_bias: bias.to_vec(),
        pooling: None,
        prediction: Vec::new(),
    }
}

fn after(penalties: Penalties, bias: &[(TokenId, f32)], logits: &[f32]) -> Vec<f32> {
    let mut logits = logits.to_vec();
    let adjustment = Adjustment::of(&request(penalties, bias)).unwrap();
    adjustment.apply(&mut logits);
    logits
}

#[test]
fn nothing_asked_for_nothing_done() {
    assert!(Adjustment::of(&request(Penalties::NONE, &[])).is_none());
}

#[test]
fn each_penalty_by_its_definition() {
    let logits = [4.0, -4.0, 2.0, 1.0];
    let none = Penalties::NONE;
    let repetition = Penalties {
        repetition: 2.0,
        ..none
    };
    assert_eq!(after(repetition, &[], &logits), [2.0, -8.0, 1.0, 1.0]);
    // Token 0 is in the prompt alone, which these two do not look at.
    let frequency = Penalties {
        frequency: 0.5,
        ..none
    };
    assert_eq!(after(frequency, &[], &logits), [4.0, -4.5, 1.0, 1.0]);
    let presence = Penalties {
        presence: 0.5,
        ..none
    };
    assert_eq!(after(presence, &[], &logits), [4.0, -4.5, 1.5, 1.0]);
    // The bias comes first: it makes the logit positive, so the penalty divides it.
    assert_eq!(
        after(repetition, &[(1, 6.0), (3, -2.0)], &logits),
        [2.0, 1.0, 1.0, -1.0]
    );
}

#[test]
fn what_is_no_number_stays_so_and_no_number_is_lost() {
    let strong = Penalties {
        repetition: 10.0,
        frequency: 2.0,
        presence: 2.0,
    };
    let logits = after(
        strong,
        &[(0, f32::MAX)],
        &[f32::MAX, f32::NAN, f32::NEG_INFINITY],
    );
    assert!(logits[0].is_finite() && logits[1].is_nan() && logits[2] == f32::NEG_INFINITY);
}

#[test]
fn the_vocabulary_costs_nothing() {
    let penalties = Penalties {
        presence: 1.0,
        ..Penalties::NONE
    };
    let adjustment = Adjustment::of(&request(penalties, &[])).unwrap();
    let mut logits = vec![1.0; 4 << 20];
    let began = Instant::now();
    for _ in 0..1000 {
        adjustment.apply(&mut logits);
    }
    // Three tokens each time. All four million would take seconds.
    assert!(began.elapsed() < Duration::from_millis(200));
}
