//! Several ranks give what one gives, and notice when one of them is gone.

use base::Sharding;
use tempfile::TempDir;

use crate::checkpoint::Shape;
use crate::newer;
use crate::ranks::{alone, bereaved, together};
use crate::recurrent;
use crate::script::{Wanted, assert_close, flat, in_chunks, piece, run, step, tokens};
use crate::sequences::{
    TOLERANCE, busy_script, guessing_script, pooled_script, remembering_script, slow_script,
};

/// From the step in which another rank is missing to its error.
const NOTICED_MS_MAX: f64 = 1000.0;

fn check(folder: &TempDir, ways: &[(u32, Sharding)], tolerance: f32) {
    let script = [
        busy_script(),
        pooled_script(),
        slow_script(true),
        remembering_script(true),
    ];
    let script = script.concat();
    let expected = [
        busy_script(),
        pooled_script(),
        slow_script(false),
        remembering_script(false),
    ];
    let expected = expected.concat();
    let expected = flat(&run(&mut alone(folder.path(), 3), &expected));
    for &(world, sharding) in ways {
        let (ours, _) = together(folder.path(), 3, world, sharding, &script);
        assert_close(&flat(&ours), &expected, tolerance);
    }
}

const ALL_WAYS: [(u32, Sharding); 4] = [
    (2, Sharding::Pipeline),
    (2, Sharding::Tensor),
    (3, Sharding::Pipeline),
    (3, Sharding::Tensor),
];

#[test]
fn llama_over_ranks_equals_one() {
    check(&Shape::tiny("llama").write(), &ALL_WAYS, TOLERANCE);
}

#[test]
fn qwen3_over_ranks_equals_one() {
    check(&Shape::tiny("qwen3").write(), &ALL_WAYS, TOLERANCE);
}

#[test]
fn newer_families_over_ranks_equal_one() {
    for model_type in newer::ALL.into_iter().chain(recurrent::ALL) {
        check(&Shape::tiny(model_type).write(), &ALL_WAYS, TOLERANCE);
    }
}

#[test]
fn guesses_over_ranks_equal_one() {
    for model_type in ["llama"].into_iter().chain(newer::ALL) {
        let folder = Shape::tiny(model_type).write();
        let script = guessing_script(true);
        let expected = flat(&run(&mut alone(folder.path(), 3), &script));
        for (world, sharding) in &ALL_WAYS[..3] {
            let (ours, _) = together(folder.path(), 3, *world, *sharding, &script);
            assert_close(&flat(&ours), &expected, TOLERANCE);
        }
    }
}

#[test]
fn tied_grouped_heads_over_ranks_equal_one() {
    let shape = Shape {
        kv_heads: 2,
        tied: true,
        ..Shape::tiny("llama")
    };
    check(&shape.write(), &ALL_WAYS[..3], TOLERANCE);
}

#[test]
fn bfloat16_over_ranks_equals_one() {
    let shape = Shape {
        bf16: true,
        ..Shape::tiny("qwen3")
    };
    check(&shape.write(), &ALL_WAYS[..1], 0.01);
    check(&shape.write(), &ALL_WAYS[1..2], 0.5);
}

#[test]
fn quantized_over_ranks_equals_one() {
    let (packed, _) = Shape::tiny("llama").write_quantized(4);
    check(&packed, &ALL_WAYS, TOLERANCE);
}

#[test]
fn a_lost_rank_is_an_error_within_a_second() {
    let folder = Shape::tiny("llama").write();
    let mut script = in_chunks(0, &tokens(6), 3);
    script.push(step(vec![piece(0, 6, &[1], Wanted::Last)]));
    // Where MLX tells: a rank that only sends may fill the socket's buffer first, and of several sums in one step the ones
    // after the first that failed wait for ever. The worker's plan link tells in every case.
    let (why, after_ms) = bereaved(folder.path(), 3, Sharding::Pipeline, &script, 1);
    println!("without rank 1: {why} after {after_ms:.1} ms");
    assert!(after_ms < NOTICED_MS_MAX, "{why} after {after_ms} ms");
}
