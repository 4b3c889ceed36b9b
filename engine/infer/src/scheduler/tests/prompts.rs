//! Prompts that are read while others answer: no step takes much longer than one without.

use super::*;

const STEP: Duration = Duration::from_millis(10);

/// Steps of 10 ms, and of so much more for each token of a prompt.
fn slow(limits: Limits, token: Duration) -> Rig {
    let mut rig = Rig::new(limits);
    rig.speed = (STEP.saturating_sub(token * 3), token);
    rig
}

#[test]
fn a_long_prompt_slows_answers_by_half_and_is_read() {
    let limits = Limits {
        context_tokens_max: 20_000,
        cache_tokens_max: 40_000,
        prefill_chunk_tokens: 512,
        ..LIMITS
    };
    for token in [Duration::from_micros(20), Duration::from_millis(1)] {
        let mut rig = slow(limits, token);
        for id in 0..3 {
            rig.submit(request(id, &[id as u32; 3], 15_000));
        }
        for _ in 0..10 {
            rig.step();
        }
        rig.submit(request(9, &[7; 3000], 1));
        let mut read = 0;
        while rig.of(9).is_empty() {
            let answered = rig.of(0).len();
            rig.step();
            assert_eq!(rig.of(0).len(), answered + 1, "a token in every step");
            assert!(rig.took <= STEP * 9 / 4, "{:?}", rig.took);
            read += 1;
        }
        // Half of the time is the prompt's.
        let all = 3000 / (STEP.as_micros() / token.as_micros()).clamp(8, 512) as usize;
        assert!(read <= all * 3 / 2 + 12, "{read} steps");
    }
}

#[test]
fn where_nobody_waits_a_prompt_is_read_at_full_speed() {
    let limits = Limits {
        prefill_chunk_tokens: 100,
        ..LIMITS
    };
    let mut rig = slow(limits, Duration::from_millis(1));
    rig.submit(request(1, &[7; 150], 1));
    rig.run();
    // One looks for its beginning, two read, one drops the cache.
    assert_eq!(rig.backend.steps(), 4);
}

/// Whose prompts the next step reads.
fn step_that_reads(rig: &mut Rig) -> Vec<SlotId> {
    rig.hand_out();
    let plan = rig.scheduler.next().unwrap();
    let reads = plan.rows.iter().filter(|row| row.tokens.len() > 1);
    let reads = reads.map(|row| row.slot).collect();
    rig.under_way.push_back(plan);
    rig.step();
    reads
}

/// The device goes through its weights for each of them, however few of its tokens it reads.
#[test]
fn test_reproduce_prompts_that_share_too_little() {
    let limits = Limits {
        slots_max: 8,
        context_tokens_max: 20_000,
        cache_tokens_max: 100_000,
        prefill_chunk_tokens: 512,
        ..LIMITS
    };
    // A step has time for 30 tokens.
    let mut rig = slow(limits, STEP / 30);
    for id in 0..3 {
        rig.submit(request(id, &[id as u32; 3], 15_000));
    }
    for _ in 0..10 {
        rig.step();
    }
    for id in 3..8 {
        rig.submit(request(id, &[id as u32; 300], 1));
    }
    let mut read = Vec::new();
    while (3..8).any(|id| rig.of(id).is_empty()) {
        read.extend(step_that_reads(&mut rig));
        assert!(read.len() < 1000);
    }
    let mut chunks = read.clone();
    chunks.dedup();
    assert_eq!(chunks[..5], [3, 4, 5, 6, 7].map(SlotId), "each in turn");
    assert!(chunks.len() <= 5 * 3, "chunks of 128 tokens: {chunks:?}");
    assert!(read.len() <= 5 * 300 / 20, "{} passages", read.len());
}
