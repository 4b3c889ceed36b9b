//! One rank: the logits of a sequence do not depend on how it is cut, nor on what runs beside it.

use infer::{Backend, BackendError};

use crate::checkpoint::Shape;
use crate::ranks::alone;
use crate::script::{Script, Wanted, assert_close, flat, in_chunks, piece, run, step, tokens};

/// Of logits of about 5, in float32.
pub const TOLERANCE: f32 = 2e-3;
/// The same in bfloat16, whose numbers have 8 bits.
const TOLERANCE_BF16: f32 = 0.5;

fn variants() -> Vec<(Shape, f32)> {
    let mut all = Vec::new();
    for model_type in ["llama", "qwen3"] {
        let tiny = Shape::tiny(model_type);
        all.push((tiny.clone(), TOLERANCE));
        let grouped = Shape {
            kv_heads: 2,
            tied: true,
            ..tiny.clone()
        };
        all.push((grouped, TOLERANCE));
        all.push((Shape { bf16: true, ..tiny }, TOLERANCE_BF16));
    }
    all
}

#[test]
fn token_by_token_equals_the_whole_prompt() {
    for (shape, tolerance) in variants() {
        let folder = shape.write();
        let text = tokens(20);
        let mut backend = alone(folder.path(), 3);
        let whole = flat(&run(&mut backend, &in_chunks(0, &text, 20)));
        for (slot, chunk) in [(1, 1), (2, 7)] {
            let cut = flat(&run(&mut backend, &in_chunks(slot, &text, chunk)));
            assert_close(&cut, &whole, tolerance);
        }
    }
}

#[test]
fn caches_grow_beyond_their_first_piece() {
    let folder = Shape::tiny("llama").write();
    let text = tokens(600);
    let mut backend = alone(folder.path(), 3);
    let whole = flat(&run(&mut backend, &in_chunks(0, &text, 600)));
    let cut = flat(&run(&mut backend, &in_chunks(1, &text, 100)));
    assert_close(&cut, &whole, TOLERANCE);
}

/// Two sequences side by side, one prefilled while the other decodes; then one leaves and its slot is used again.
pub fn busy_script() -> Script {
    let (one, two) = (tokens(12), tokens(30)[12..].to_vec());
    let mut script = vec![
        step(vec![piece(0, 0, &one, Wanted::All)]),
        step(vec![
            piece(0, 12, &[5], Wanted::Last),
            piece(1, 0, &two[..9], Wanted::None),
        ]),
        step(vec![
            piece(1, 9, &two[9..], Wanted::All),
            piece(0, 13, &[6], Wanted::Last),
        ]),
        step(vec![
            piece(0, 14, &[7], Wanted::Last),
            piece(1, 18, &[8], Wanted::Last),
        ]),
    ];
    script.push(step(vec![
        piece(0, 0, &two, Wanted::Last),
        piece(1, 19, &[9], Wanted::Last),
    ]));
    script[4].free = vec![0];
    script
}

#[test]
fn a_batch_equals_each_sequence_alone() {
    for (shape, tolerance) in variants() {
        let folder = shape.write();
        let mut backend = alone(folder.path(), 3);
        let batch = run(&mut backend, &busy_script());
        let sequence = |slot: u32, text: &[u32], backend: &mut models::MlxBackend| {
            run(backend, &in_chunks(slot, text, text.len()))
                .remove(0)
                .remove(0)
        };
        let first = [tokens(12), vec![5, 6, 7]].concat();
        let second = [tokens(30)[12..].to_vec(), vec![8, 9]].concat();
        let width = shape.vocabulary;
        let alone = sequence(7, &first, &mut backend);
        assert_close(&batch[0][0], &alone[..12 * width], tolerance);
        assert_close(&batch[1][0], &alone[12 * width..13 * width], tolerance);
        assert_close(&batch[2][1], &alone[13 * width..14 * width], tolerance);
        assert_close(&batch[3][0], &alone[14 * width..], tolerance);
        let alone = sequence(8, &second, &mut backend);
        assert_close(&batch[2][0], &alone[9 * width..18 * width], tolerance);
        assert_close(&batch[3][1], &alone[18 * width..19 * width], tolerance);
        assert_close(&batch[4][0], &alone[17 * width..18 * width], tolerance);
        assert_close(&batch[4][1], &alone[19 * width..], tolerance);
    }
}

#[test]
fn quantized_equals_the_numbers_it_stands_for() {
    for (model_type, bits, tied) in [
        ("llama", 4, false),
        ("llama", 8, true),
        ("qwen3", 4, true),
        ("qwen3", 8, false),
    ] {
        let (packed, dense) = Shape {
            tied,
            ..Shape::tiny(model_type)
        }
        .write_quantized(bits);
        let script = in_chunks(0, &tokens(12), 8);
        let ours = flat(&run(&mut alone(packed.path(), 3), &script));
        let theirs = flat(&run(&mut alone(dense.path(), 3), &script));
        assert_close(&ours, &theirs, 10.0 * TOLERANCE);
    }
}

#[test]
fn a_plan_that_does_not_fit_is_refused() {
    let folder = Shape::tiny("llama").write();
    let mut backend = alone(folder.path(), 3);
    run(&mut backend, &in_chunks(0, &tokens(5), 5));
    for rows in [
        vec![piece(0, 4, &[1], Wanted::Last)],
        vec![piece(0, 6, &[1], Wanted::Last)],
        vec![piece(3, 1, &[1], Wanted::Last)],
        vec![piece(0, 5, &[], Wanted::None)],
        vec![piece(0, 5, &[96], Wanted::Last)],
        vec![
            piece(0, 5, &[1], Wanted::Last),
            piece(0, 6, &[1], Wanted::Last),
        ],
    ] {
        let refused = backend.step(&step(rows.clone()).plan());
        assert!(matches!(refused, Err(BackendError::Plan(_))), "{rows:?}");
    }
    // Refused before anything ran: the cache is as it was.
    run(&mut backend, &[step(vec![piece(0, 5, &[1], Wanted::Last)])]);
}
