//! Decode speed at the backend, of one rank and of several on the same cores, and of many sequences. Prints; asserts nothing.
//!
//! `cargo nextest run -p models --run-ignored only --no-capture decode_speed`

use std::time::Instant;

use base::Sharding;
use infer::Backend;

use crate::checkpoint::Shape;
use crate::ranks::{alone, in_lockstep};
use crate::script::{Script, Wanted, piece, step, tokens};

const PROMPT: usize = 16;
const DECODED: usize = 100;
const ROUNDS: usize = 3;

fn script() -> Script {
    let prompt = step(vec![piece(0, 0, &tokens(PROMPT), Wanted::Last)]);
    let decode = |index: usize| {
        step(vec![piece(
            0,
            PROMPT + index,
            &[index as u32 % 96],
            Wanted::Last,
        )])
    };
    std::iter::once(prompt)
        .chain((0..DECODED).map(decode))
        .collect()
}

/// Tokens per second of the median step, which other work on the machine moves less than it moves the mean, and of the
/// fastest.
fn speed(mut steps_ms: Vec<f64>) -> String {
    steps_ms.sort_by(f64::total_cmp);
    let (median, best) = (steps_ms[steps_ms.len() / 2], steps_ms[0]);
    format!("{:.1} (best step {:.1})", 1e3 / median, 1e3 / best)
}

#[test]
#[ignore = "a measurement, of use on a quiet machine only"]
fn decode_speed() {
    let (shape, script) = (Shape::llama_29m(), script());
    let (folder, layers) = (shape.write(), shape.layers as u32);
    let measure =
        |world, sharding| speed(in_lockstep(folder.path(), layers, world, sharding, &script));
    for _ in 0..ROUNDS {
        let one = measure(1, Sharding::Pipeline);
        let pipeline = measure(2, Sharding::Pipeline);
        let tensor = measure(2, Sharding::Tensor);
        println!("tokens/s: one rank {one}, two pipeline {pipeline}, two tensor {tensor}");
    }
}

/// Of 1, 8 and 32 sequences of 100 to 200 tokens: what a step takes. Beside the time, which other work on the machine moves,
/// `perf stat -e instructions:u` tells two versions apart.
#[test]
#[ignore = "a measurement, of use on a quiet machine only"]
fn decode_speed_of_many() {
    let shape = Shape::llama_29m();
    let folder = shape.write();
    for sequences in [1, 8, 32] {
        let mut backend = alone(folder.path(), shape.layers as u32);
        let length = |slot: usize| 100 + slot * 37 % 100;
        for slot in 0..sequences {
            let prompt = piece(slot as u32, 0, &tokens(length(slot)), Wanted::Last);
            backend.step(&step(vec![prompt]).plan()).unwrap();
        }
        let mut steps_ms = Vec::new();
        for index in 0..DECODED {
            let row = |slot: usize| {
                let token = [index as u32 % 96];
                piece(slot as u32, length(slot) + index, &token, Wanted::Last)
            };
            let plan = step((0..sequences).map(row).collect()).plan();
            let start = Instant::now();
            backend.step(&plan).unwrap();
            steps_ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        println!("{sequences} sequences, steps/s: {}", speed(steps_ms));
    }
}

/// Of a prompt, and of an answer, where every other layer is recurrent and where none is.
#[test]
#[ignore = "a measurement, of use on a quiet machine only"]
fn speed_with_states() {
    const CHUNK: usize = 512;
    for model_type in ["qwen3", "qwen3_5_text"] {
        let shape = Shape {
            model_type,
            ..Shape::llama_29m()
        };
        let folder = shape.write();
        let mut backend = alone(folder.path(), shape.layers as u32);
        let mut took_ms = |at: usize, text: &[u32]| {
            let plan = step(vec![piece(0, at, text, Wanted::Last)]).plan();
            let start = Instant::now();
            backend.step(&plan).unwrap();
            start.elapsed().as_secs_f64() * 1e3
        };
        let text = tokens(CHUNK);
        let read: Vec<f64> = (0..4).map(|index| took_ms(index * CHUNK, &text)).collect();
        let decoded = (0..DECODED).map(|index| took_ms(4 * CHUNK + index, &[index as u32 % 96]));
        let decoded = speed(decoded.collect());
        println!("{model_type}: {CHUNK} tokens of a prompt in {read:.0?} ms, tokens/s {decoded}");
    }
}
