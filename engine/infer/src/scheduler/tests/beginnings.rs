//! Sequences with the same beginning compute it once.

use super::*;
use crate::prefix::BLOCK_TOKENS;

/// Tokens that depend on `kind` from `from` on.
fn prompt(kind: u32, from: usize, length: usize) -> Vec<TokenId> {
    (0..length)
        .map(|at| (at as u32 * 7 + if at < from { 0 } else { kind }) % VOCABULARY)
        .collect()
}

#[test]
fn what_one_request_computed_the_next_finds() {
    let mut rig = Rig::new(LIMITS);
    let first = request(1, &prompt(1, 70, 100), 20);
    rig.submit(first.clone());
    rig.run();
    assert_eq!(rig.recalled(1), 0);
    let computed = rig.scheduler.load().prompt_tokens;

    // The beginning in common is 70 tokens, of which 64 are whole blocks.
    let second = request(2, &prompt(2, 70, 100), 20);
    rig.submit(second.clone());
    rig.run();
    assert_eq!(rig.recalled(2) as usize, 2 * BLOCK_TOKENS);
    assert_eq!(rig.of(2), expected(&second));
    assert_eq!(rig.scheduler.load().prompt_tokens, computed + 36);
    assert_eq!(rig.scheduler.load().recalled_tokens, 64);

    // A conversation goes on after its answer.
    let answer = tokens_of(&rig.of(1));
    let third = request(3, &[first.prompt, answer, vec![1; 5]].concat(), 3);
    rig.submit(third.clone());
    rig.run();
    assert_eq!(rig.recalled(3) as usize, 3 * BLOCK_TOKENS);
    assert_eq!(rig.of(3), expected(&third));
}

#[test]
fn the_last_token_is_always_computed() {
    let mut rig = Rig::new(LIMITS);
    for (id, length, recalled) in [
        (1, 64, 0),
        (2, 64, 32),
        (3, 65, 64),
        (4, 33, 32),
        (5, 32, 0),
    ] {
        let request = request(id, &prompt(0, 0, length), 1);
        rig.submit(request.clone());
        rig.run();
        assert_eq!(rig.recalled(id), recalled, "{length}");
        assert_eq!(rig.of(id), expected(&request));
    }
}

#[test]
fn a_prompt_to_be_scored_is_computed_whole() {
    let mut rig = Rig::new(LIMITS);
    for id in 1..3 {
        let mut scored = request(id, &prompt(0, 0, 70), 2);
        scored.prompt_logprobs = true;
        scored.logprobs = Some(1);
        rig.submit(scored.clone());
        rig.run();
        assert_eq!(rig.recalled(id), 0);
        assert_eq!(joined(rig.of(id)), expected(&scored));
    }
}

#[test]
fn a_sequence_that_was_set_back_finds_what_it_had() {
    let mut rig = Rig::new(Limits {
        slots_max: 2,
        cache_tokens_max: 210,
        ..LIMITS
    });
    let requests = [1, 2].map(|id| request(id, &prompt(id as u32, 0, 40), 80));
    for request in &requests {
        rig.submit(request.clone());
    }
    rig.run();
    for request in &requests {
        assert_eq!(rig.of(request.id.0), expected(request));
        assert_eq!(rig.recalled(request.id.0), 0, "it began without");
    }
    assert!(rig.scheduler.load().recalled_tokens > 0);
}

#[test]
fn the_stages_of_a_pipeline_share_the_sequences() {
    let mut scheduler = Scheduler::new(
        Limits {
            stages: 3,
            ..LIMITS
        },
        letters(),
    );
    for id in 0..4 {
        scheduler.submit(request(id, &[1, 2], 2)).unwrap();
    }
    let rows = std::iter::from_fn(|| scheduler.next()).map(|plan| plan.rows.len());
    assert_eq!(rows.collect::<Vec<_>>(), [2, 2]);
}
