//! Layers that see a window hold little of a long sequence, and say the same as if they held all of it.

use base::Sharding;
use infer::Backend;
use models::{Group, MlxBackend};

use crate::checkpoint::Shape;
use crate::ranks::{alone, spec, together};
use crate::script::{
    Script, Step, Wanted, assert_close, flat, in_chunks, piece, run, step, tokens,
};

/// Of logits of about 5, in float32.
const TOLERANCE: f32 = 1e-4;
/// Windows of 8, of 300, and chunks of 8.
const FAMILIES: [&str; 3] = ["gemma4_text", "mistral", "llama4_text"];
/// Longer than sequences that stand side by side.
const LENGTH: usize = 2600;
const VOCABULARY: usize = 96;

/// Logits of all positions of the made-up text, computed at once: then layers hold all of it.
fn whole(folder: &std::path::Path) -> Vec<f32> {
    let mut backend = alone(folder, 3);
    flat(&run(&mut backend, &in_chunks(0, &tokens(LENGTH), LENGTH)))
}

/// Of those the ones of some positions.
fn at(whole: &[f32], positions: std::ops::Range<usize>) -> &[f32] {
    &whole[positions.start * VOCABULARY..positions.end * VOCABULARY]
}

/// The text in pieces of these sizes, over and over.
fn cut(slot: u32, sizes: &[usize]) -> Script {
    let text = tokens(LENGTH);
    let mut script = Script::new();
    let mut start = 0;
    for size in sizes.iter().cycle() {
        let end = (start + size).min(LENGTH);
        script.push(step(vec![piece(
            slot,
            start,
            &text[start..end],
            Wanted::All,
        )]));
        start = end;
        if start == LENGTH {
            break;
        }
    }
    script
}

#[test]
fn however_a_long_prompt_is_cut() {
    for family in FAMILIES {
        let folder = Shape::tiny(family).write();
        let expected = whole(folder.path());
        let mut backend = alone(folder.path(), 3);
        let cuts: [&[usize]; 5] = [
            &[512],
            &[1, 100, 512, 1, 1, 33, 7],
            &[700, 1, 1, 300],
            &[31],
            &[1500, 1, 2, 50],
        ];
        for (slot, sizes) in (0..).zip(cuts) {
            let ours = flat(&run(&mut backend, &cut(slot, sizes)));
            assert_close(&ours, &expected, TOLERANCE);
        }
    }
}

/// Sequences of these many tokens, of which most were read in chunks and the last one by one beside the others.
fn side_by_side(lengths: &[usize], answered: usize) -> Script {
    let text = tokens(LENGTH);
    let mut script = Script::new();
    for (slot, length) in (0..).zip(lengths) {
        let prompt = length - answered;
        for start in (0..prompt).step_by(500) {
            let part = &text[start..prompt.min(start + 500)];
            script.push(step(vec![piece(slot, start, part, Wanted::None)]));
        }
    }
    for left in (1..=answered).rev() {
        let next = (0..).zip(lengths).map(|(slot, length)| {
            let at = length - left;
            piece(slot, at, &text[at..=at], Wanted::Last)
        });
        script.push(step(next.collect()));
    }
    script
}

#[test]
fn sequences_of_different_lengths_side_by_side() {
    const ANSWERED: usize = 40;
    // Some outgrow their shelf on the way, or come round in their window; two are equally long.
    let lengths = [60, 270, 790, 1040, 1500, 1500, 2060, 2600];
    for family in FAMILIES {
        let folder = Shape::tiny(family).write();
        let expected = whole(folder.path());
        let script = side_by_side(&lengths, ANSWERED);
        let ours = run(&mut alone(folder.path(), 3), &script);
        for (back, step) in (0..ANSWERED).zip(ours.iter().rev()) {
            for (logits, length) in step.iter().zip(lengths) {
                let position = length - 1 - back;
                assert_close(logits, at(&expected, position..position + 1), TOLERANCE);
            }
        }
    }
}

#[test]
fn wrong_guesses_take_the_place_of_nothing_that_is_seen() {
    let text = tokens(LENGTH);
    for family in FAMILIES {
        let folder = Shape::tiny(family).write();
        let expected = whole(folder.path());
        for (begun, wrong) in [(1100, 60), (1500, 500), (2300, 9), (2300, 500)] {
            let guess = [&text[begun..begun + 3], &vec![95; wrong][..]].concat();
            let guessed = guess.len() as u32 - 1;
            let script = [
                step(vec![piece(0, 0, &text[..begun], Wanted::None)]),
                step(vec![piece(0, begun, &guess, Wanted::Guessed(guessed))]),
                step(vec![piece(
                    0,
                    begun + 3,
                    &text[begun + 3..begun + 4],
                    Wanted::Last,
                )]),
                step(vec![piece(
                    0,
                    begun + 4,
                    &text[begun + 4..begun + 99],
                    Wanted::All,
                )]),
            ];
            let ours = run(&mut alone(folder.path(), 3), &script);
            let right = &ours[1][0][..3 * VOCABULARY];
            assert_close(right, at(&expected, begun..begun + 3), TOLERANCE);
            assert_close(&ours[2][0], at(&expected, begun + 3..begun + 4), TOLERANCE);
            assert_close(&ours[3][0], at(&expected, begun + 4..begun + 99), TOLERANCE);
        }
    }
}

/// How many of the text's first `asked` tokens slot 1 begins with.
fn begin(backend: &mut MlxBackend, asked: usize) -> usize {
    let recall = Step {
        free: vec![1],
        recalls: vec![(1, tokens(LENGTH)[..asked].to_vec())],
        ..Step::default()
    };
    let found = backend.step(&recall.plan()).unwrap().recalled;
    found[0].unwrap() as usize
}

#[test]
fn a_long_beginning_is_found_and_gone_on_with() {
    let text = tokens(LENGTH);
    for family in FAMILIES {
        let folder = Shape::tiny(family).write();
        let expected = whole(folder.path());
        for (cache_tokens, whole_is_kept) in [(10_000, true), (4000, false)] {
            let spec = spec(0, 1, 3, Sharding::Pipeline);
            let backend = models::load(folder.path(), &spec, Group::single(), |_, _| ()).unwrap();
            let mut backend = backend.with_cache_tokens(cache_tokens);
            run(&mut backend, &cut(0, &[512, 1, 1, 1, 100]));
            for asked in [96, 1600, 2592, 2080] {
                let found = begin(&mut backend, asked);
                assert!(found == asked || !whole_is_kept, "{found} of {asked}");
                assert!(found >= 96, "a beginning of it is kept");
                let next = (found + 70).min(LENGTH);
                let script = [step(vec![piece(1, found, &text[found..next], Wanted::All)])];
                let ours = flat(&run(&mut backend, &script));
                assert_close(&ours, at(&expected, found..next), TOLERANCE);
            }
        }
    }
}

#[test]
fn over_ranks_as_on_one() {
    let script = side_by_side(&[60, 900, 2300], 10);
    for family in FAMILIES {
        let folder = Shape::tiny(family).write();
        let one = flat(&run(&mut alone(folder.path(), 3), &script));
        for sharding in [Sharding::Pipeline, Sharding::Tensor] {
            let (ours, _) = together(folder.path(), 3, 2, sharding, &script);
            assert_close(&flat(&ours), &one, TOLERANCE);
        }
    }
}

/// Bytes that all of MLX's arrays take after this script, beyond what they took before.
fn grown(folder: &std::path::Path, script: &Script) -> usize {
    let spec = spec(0, 1, 3, Sharding::Pipeline);
    let mut backend = models::load(folder, &spec, Group::single(), |_, _| ()).unwrap();
    let before = mlx_rs::memory::active_memory().unwrap();
    run(&mut backend, script);
    mlx_rs::memory::active_memory().unwrap() - before
}

#[test]
fn memory_is_what_the_card_says_of_a_long_sequence() {
    let text: Vec<u32> = (0..6144).map(|at| at * 31 % 96).collect();
    let read = text[..6100]
        .chunks(500)
        .enumerate()
        .map(|(index, part)| step(vec![piece(0, index * 500, part, Wanted::None)]));
    let answer = (6100..6144).map(|at| step(vec![piece(0, at, &text[at..=at], Wanted::Last)]));
    let script: Script = read.chain(answer).collect();
    for family in FAMILIES {
        let folder = Shape::tiny(family).write();
        let card = models::inspect(folder.path(), None, None).unwrap();
        let held = card.layers.iter().map(|layer| {
            let tokens = layer.window.map_or(6144, |window| window.held(6144));
            layer.cache_bytes_per_token * tokens
        });
        let held = held.sum::<u64>() as usize;
        let all: u64 = card
            .layers
            .iter()
            .map(|layer| layer.cache_bytes_per_token)
            .sum();
        assert!(held < all as usize * 6144 * 4 / 5, "windows are of use");
        let grown = grown(folder.path(), &script);
        assert!(
            grown <= held + 100_000,
            "{family}: {grown} bytes, {held} planned"
        );
        assert!(
            grown > held * 2 / 3,
            "{family}: {grown} bytes, {held} planned"
        );
    }
}

/// Logits after the made-up text, whose first tokens are others if `changed`, read in chunks.
fn last(folder: &std::path::Path, changed: bool) -> Vec<f32> {
    let mut text = tokens(LENGTH);
    for token in text.iter_mut().take(100).filter(|_| changed) {
        *token = (*token + 50) % VOCABULARY as u32;
    }
    let chunks = text.chunks(512).enumerate();
    let read = chunks.map(|(index, part)| step(vec![piece(0, index * 512, part, Wanted::Last)]));
    let logits = run(&mut alone(folder, 3), &read.collect::<Script>());
    logits[logits.len() - 1][0].clone()
}

fn largest_difference(one: &[f32], other: &[f32]) -> f32 {
    let differences = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn what_lies_far_back_is_seen_by_layers_that_see_all_and_by_no_others() {
    let folder = Shape::tiny("mistral").write();
    let differ = || largest_difference(&last(folder.path(), false), &last(folder.path(), true));
    assert!(differ() > 1e-3, "its second layer sees all");
    // Three windows of 300, one on the other, end 1700 tokens after what was changed.
    let file = folder.path().join("config.json");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace("full_attention", "sliding_attention")).unwrap();
    assert!(differ() < 1e-6, "no layer sees so far");
}
