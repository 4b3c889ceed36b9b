//! Decode speed at the backend, of one rank and of several on the same cores. Prints; asserts nothing.
//!
//! `cargo nextest run -p models --run-ignored only --no-capture decode_speed`

use std::time::Instant;

use base::Sharding;

use crate::checkpoint::Shape;
use crate::ranks::{alone, together};
use crate::script::{Script, Wanted, piece, run, step, tokens};

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

#[test]
#[ignore = "a measurement, of use on a quiet machine only"]
fn decode_speed() {
    let (shape, script) = (Shape::llama_29m(), script());
    let (folder, layers) = (shape.write(), shape.layers as u32);
    for _ in 0..ROUNDS {
        let mut backend = alone(folder.path(), layers);
        let begin = Instant::now();
        run(&mut backend, &script);
        let one = begin.elapsed().as_secs_f64() * 1e3 / script.len() as f64;
        let (_, pipeline) = together(folder.path(), layers, 2, Sharding::Pipeline, &script);
        let (_, tensor) = together(folder.path(), layers, 2, Sharding::Tensor, &script);
        println!(
            "tokens/s: one rank {:.1}, two pipeline {:.1} ({:.2}), two tensor {:.1} ({:.2})",
            1e3 / one,
            1e3 / pipeline,
            one / pipeline,
            1e3 / tensor,
            one / tensor
        );
    }
}
