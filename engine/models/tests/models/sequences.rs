//! One rank: the logits of a sequence do not depend on how it is cut, nor on what runs beside it.

use base::Sharding;
use infer::{Backend, BackendError};
use models::{Group, MlxBackend};

use crate::checkpoint::Shape;
use crate::newer;
use crate::ranks::{alone, spec};
use crate::recurrent;
use crate::script::{
    Logits, Script, Step, Wanted, assert_close, flat, in_chunks, piece, run, step, through, tokens,
};

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
    for model_type in newer::ALL.into_iter().chain(recurrent::ALL) {
        all.push((Shape::tiny(model_type), TOLERANCE));
    }
    for model_type in recurrent::ALL {
        let half = Shape {
            bf16: true,
            ..Shape::tiny(model_type)
        };
        all.push((half, TOLERANCE_BF16));
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

/// A sequence, and another with the same beginning, which is found or computed.
pub fn remembering_script(recalls: bool) -> Script {
    let one = tokens(75);
    let two = [&one[..70], &[1, 2, 3, 4, 5]].concat();
    let beginning = two[..64].to_vec();
    let again = if recalls {
        Step {
            recalls: vec![(1, beginning)],
            ..Step::default()
        }
    } else {
        step(vec![piece(1, 0, &beginning, Wanted::None)])
    };
    let free = Step {
        free: vec![0, 1],
        ..Step::default()
    };
    vec![
        // Whatever there was before.
        free,
        step(vec![piece(0, 0, &one[..40], Wanted::Last)]),
        step(vec![piece(0, 40, &one[40..], Wanted::Last)]),
        again,
        step(vec![
            piece(0, 75, &[9], Wanted::Last),
            piece(1, 64, &two[64..], Wanted::All),
        ]),
        step(vec![
            piece(1, 75, &[6], Wanted::Last),
            piece(0, 76, &[8], Wanted::Last),
        ]),
    ]
}

#[test]
fn a_beginning_that_is_found_is_what_was_computed() {
    for (shape, tolerance) in variants() {
        let folder = shape.write();
        let ours = run(&mut alone(folder.path(), 3), &remembering_script(true));
        let expected = run(&mut alone(folder.path(), 3), &remembering_script(false));
        assert_close(&flat(&ours), &flat(&expected), tolerance);
    }
}

/// How many of these tokens a new sequence can begin with.
fn recalled(backend: &mut MlxBackend, slot: u32, tokens: &[u32]) -> Option<u32> {
    let recall = Step {
        recalls: vec![(slot, tokens.to_vec())],
        ..Step::default()
    };
    let recalled = backend.step(&recall.plan()).unwrap().recalled;
    recalled[0]
}

#[test]
fn with_states_a_sequence_begins_where_one_was_kept() {
    let free = Step {
        free: vec![1],
        ..Step::default()
    };
    for model_type in recurrent::ALL {
        let folder = Shape::tiny(model_type).write();
        let mut backend = alone(folder.path(), 3);
        let text = tokens(200);
        // A prompt in two steps, then an answer.
        let prompt = in_chunks(0, &text[..100], 100).remove(0);
        let rest = step(vec![piece(0, 100, &text[100..150], Wanted::Last)]);
        let answer = (150..200).map(|at| step(vec![piece(0, at, &text[at..=at], Wanted::Last)]));
        let script: Script = [prompt, rest].into_iter().chain(answer).collect();
        run(&mut backend, &script);
        for (asked, found) in [(64, 0), (96, 96), (128, 128), (160, 128), (192, 192)] {
            assert_eq!(recalled(&mut backend, 1, &text[..asked]), Some(found));
            backend.step(&free.plan()).unwrap();
        }
    }
}

#[test]
fn what_is_kept_yields_to_what_runs() {
    let folder = Shape::tiny("llama").write();
    let spec = spec(0, 1, 3, Sharding::Pipeline);
    let backend = models::load(folder.path(), &spec, Group::single(), |_, _| ()).unwrap();
    let mut backend = backend.with_cache_tokens(200);
    let text = tokens(96);
    run(
        &mut backend,
        &[step(vec![piece(0, 0, &text, Wanted::Last)])],
    );
    let free = Step {
        free: vec![1],
        ..Step::default()
    };
    assert_eq!(recalled(&mut backend, 1, &text), Some(96));
    backend.step(&free.plan()).unwrap();
    let other: Vec<u32> = text.iter().map(|token| (token + 1) % 96).collect();
    assert_eq!(recalled(&mut backend, 2, &other), Some(0));
    // Two sequences of 96 and 40 tokens leave room for two blocks: the beginning of each.
    run(
        &mut backend,
        &[step(vec![piece(2, 0, &other[..40], Wanted::Last)])],
    );
    assert_eq!(recalled(&mut backend, 1, &text), Some(32));
    backend.step(&free.plan()).unwrap();
    assert_eq!(recalled(&mut backend, 1, &other), Some(32));
}

/// A block that is a view of a shelf keeps all of the shelf alive.
#[test]
fn test_reproduce_blocks_that_are_kept_pin_no_shelves() {
    const ROUNDS: u32 = 8;
    const SLOTS: u32 = 8;
    let shape = Shape::tiny("llama");
    let token_bytes = 2 * shape.layers * shape.kv_heads * shape.head_dim * size_of::<f32>();
    let folder = shape.write();
    let mut backend = alone(folder.path(), 3).with_cache_tokens(10_000);
    let free = Step {
        free: (0..SLOTS).collect(),
        ..Step::default()
    };
    let before = mlx_rs::memory::active_memory().unwrap();
    for round in 0..ROUNDS {
        let text = |slot: u32| -> Vec<u32> {
            let first = [round, slot].into_iter();
            first.chain(tokens(38)).collect()
        };
        let rows = (0..SLOTS).map(|slot| piece(slot, 0, &text(slot), Wanted::Last));
        run(&mut backend, &[step(rows.collect())]);
        backend.step(&free.plan()).unwrap();
    }
    let grown = mlx_rs::memory::active_memory().unwrap() - before;
    let kept = (ROUNDS * SLOTS) as usize * 32 * token_bytes;
    assert!(
        (kept..kept * 3 / 2).contains(&grown),
        "{grown} bytes for {kept}"
    );
}

#[test]
fn caches_grow_beyond_their_first_piece() {
    for model_type in ["llama"].into_iter().chain(recurrent::ALL) {
        let folder = Shape::tiny(model_type).write();
        let text = tokens(600);
        let mut backend = alone(folder.path(), 3);
        let whole = flat(&run(&mut backend, &in_chunks(0, &text, 600)));
        let cut = flat(&run(&mut backend, &in_chunks(1, &text, 100)));
        assert_close(&cut, &whole, TOLERANCE);
    }
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

/// An answer that is guessed on, beside one that is not and one that reads: of three guesses one is right, then none of four,
/// then both; or the same without guesses, token by token.
pub fn guessing_script(guesses: bool) -> Script {
    let text = tokens(60);
    let beside = |at: usize| piece(41, at, &[at as u32], Wanted::Last);
    let mut script = vec![step(vec![
        piece(40, 0, &text[..30], Wanted::Last),
        piece(41, 0, &text[..3], Wanted::Last),
    ])];
    // Where each step starts, what it computes, and how much of that is right.
    let steps = [
        (30, [&text[30..32], &[90, 91]].concat(), 2),
        (32, [&text[32..33], &[92, 93, 94, 95]].concat(), 1),
        (33, text[33..36].to_vec(), 3),
    ];
    let mut others = 3;
    for (start, computed, right) in steps {
        let last = computed.len() as u32 - 1;
        if guesses {
            let row = piece(40, start, &computed, Wanted::Guessed(last));
            script.push(step(vec![row, beside(others)]));
        } else {
            let rows = (start..start + right).map(|at| piece(40, at, &text[at..=at], Wanted::Last));
            script.extend(rows.map(|row| step(vec![row])));
            script.push(step(vec![beside(others)]));
        }
        others += 1;
    }
    let read = piece(42, 0, &text[..20], Wanted::All);
    script.push(step(vec![
        piece(40, 36, &[7], Wanted::Last),
        beside(others),
        read,
    ]));
    script
}

/// The logits of a guessing script that are of use, in the order of the sequences' tokens.
fn of_use(logits: &Logits, width: usize, guesses: bool) -> Vec<f32> {
    if !guesses {
        return flat(logits);
    }
    let right = [1, 2, 1, 3, 1];
    let steps = logits.iter().zip(right).flat_map(|(step, right)| {
        let rows = step.iter().enumerate();
        let of_row = move |(row, logits): (usize, &Vec<f32>)| match row {
            0 => logits[..right * width].to_vec(),
            _ => logits.clone(),
        };
        rows.flat_map(of_row).collect::<Vec<f32>>()
    });
    steps.collect()
}

#[test]
fn guesses_that_are_wrong_leave_nothing() {
    for (shape, tolerance) in variants() {
        if recurrent::ALL.contains(&shape.model_type) {
            continue;
        }
        let folder = shape.write();
        let guessing = run(&mut alone(folder.path(), 3), &guessing_script(true));
        let plain = run(&mut alone(folder.path(), 3), &guessing_script(false));
        let guessing = of_use(&guessing, shape.vocabulary, true);
        assert_close(
            &guessing,
            &of_use(&plain, shape.vocabulary, false),
            tolerance,
        );
    }
}

#[test]
fn what_was_guessed_is_kept_for_nobody() {
    let folder = Shape::tiny("llama").write();
    let mut backend = alone(folder.path(), 3);
    assert!(backend.takes_back());
    let text = tokens(64);
    let wrong = [&text[..31], &[95; 9]].concat();
    let script = [
        step(vec![piece(0, 0, &text[..30], Wanted::Last)]),
        step(vec![piece(0, 30, &wrong[30..], Wanted::Guessed(9))]),
        step(vec![piece(0, 31, &text[31..], Wanted::Guessed(20))]),
        step(vec![piece(0, 60, &text[60..], Wanted::Last)]),
    ];
    let free = Step {
        free: vec![1],
        ..Step::default()
    };
    run(&mut backend, &script[..2]);
    assert_eq!(recalled(&mut backend, 1, &wrong[..32]), Some(0));
    run(&mut backend, &script[2..3]);
    assert_eq!(recalled(&mut backend, 1, &text[..32]), Some(32));
    backend.step(&free.plan()).unwrap();
    run(&mut backend, &script[3..]);
    assert_eq!(recalled(&mut backend, 1, &text), Some(64));
}

/// A prompt in two chunks beside a sequence that goes on; whether each goes through the three layers in several steps, or in
/// the last of these.
pub fn slow_script(slow: bool) -> Script {
    let text = tokens(50);
    let mut script = vec![step(vec![piece(30, 0, &text[..3], Wanted::Last)])];
    let mut at = 3;
    for (start, end, each, wanted) in [(0, 40, 2, Wanted::None), (40, 50, 1, Wanted::All)] {
        let whole = piece(31, start, &text[start..end], wanted);
        let parts = through(&whole, each, 3).collect::<Vec<_>>();
        let last = parts.len() - 1;
        for (index, part) in parts.into_iter().enumerate() {
            let own = if slow { Some(part) } else { None };
            let own = own.or_else(|| (index == last).then(|| whole.clone()));
            let other = piece(30, at, &[at as u32], Wanted::Last);
            at += 1;
            script.push(step(own.into_iter().chain([other]).collect()));
        }
    }
    // One that is given up half-way, and its slot used again.
    let given_up = piece(32, 0, &text[..9], Wanted::Last);
    if slow {
        script.push(step(through(&given_up, 2, 3).take(1).collect()));
    }
    script.push(Step {
        free: vec![32],
        rows: vec![piece(32, 0, &text[9..20], Wanted::Last)],
        ..Step::default()
    });
    script
}

#[test]
fn layer_by_layer_equals_all_at_once() {
    for (shape, tolerance) in variants() {
        let folder = shape.write();
        let slow = run(&mut alone(folder.path(), 3), &slow_script(true));
        let fast = run(&mut alone(folder.path(), 3), &slow_script(false));
        assert_close(&flat(&slow), &flat(&fast), tolerance);
    }
}

/// A sequence whose hidden states are summed in two pieces, beside one that gives logits and one that gives its last state.
pub fn pooled_script() -> Script {
    let text = tokens(20);
    vec![
        step(vec![
            piece(20, 0, &text[..8], Wanted::HiddenSum),
            piece(21, 0, &text[..5], Wanted::Last),
        ]),
        step(vec![
            piece(22, 0, &text[..9], Wanted::HiddenLast),
            piece(21, 5, &[7], Wanted::All),
            piece(20, 8, &text[8..], Wanted::HiddenSum),
        ]),
    ]
}

#[test]
fn hidden_states_are_summed_as_they_come() {
    for (shape, tolerance) in variants() {
        let folder = shape.write();
        let mut backend = alone(folder.path(), 3);
        let together = run(&mut backend, &pooled_script());
        let one_by_one: Script = (0..20)
            .map(|at| step(vec![piece(0, at, &tokens(20)[at..=at], Wanted::HiddenLast)]))
            .collect();
        let states = run(&mut backend, &one_by_one);
        let sum = |states: &Logits| -> Vec<f32> {
            let width = states[0][0].len();
            let of = |at: usize| states.iter().map(|step| step[0][at]).sum();
            (0..width).map(of).collect()
        };
        assert_close(&together[0][1], &sum(&states[..8].to_vec()), tolerance);
        assert_close(&together[1][1], &states[8][0], tolerance);
        assert_close(&together[1][2], &sum(&states[8..].to_vec()), tolerance);
        // After the final norm, whose weights are about 1, the root mean square of a state is about 1.
        let squares: f32 = states[0][0].iter().map(|one| one * one).sum();
        let mean = squares / states[0][0].len() as f32;
        assert!((0.25..4.0).contains(&mean), "{mean}");
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
        vec![piece(0, 5, &[1], Wanted::Guessed(1))],
        vec![
            piece(0, 5, &[1], Wanted::Last),
            piece(0, 6, &[1], Wanted::Last),
        ],
    ] {
        let refused = backend.step(&step(rows.clone()).plan());
        assert!(matches!(refused, Err(BackendError::Plan(_))), "{rows:?}");
    }
    // Refused before anything ran: the cache is as it was.
    run(
        &mut backend,
        &[step(vec![piece(0, 5, &[1, 2, 3], Wanted::Guessed(2))])],
    );
    // No more is taken back than was guessed.
    for start in [5, 9] {
        let refused = backend.step(&step(vec![piece(0, start, &[1], Wanted::Last)]).plan());
        assert!(matches!(refused, Err(BackendError::Plan(_))), "{start}");
    }
    run(&mut backend, &[step(vec![piece(0, 6, &[4], Wanted::Last)])]);
    let refused = backend.step(&step(vec![piece(0, 8, &[1], Wanted::Last)]).plan());
    assert!(matches!(refused, Err(BackendError::Plan(_))));
}

#[test]
fn a_state_gives_nothing_back() {
    for model_type in recurrent::ALL {
        let folder = Shape::tiny(model_type).write();
        let mut backend = alone(folder.path(), 3);
        assert!(!backend.takes_back());
        run(&mut backend, &in_chunks(0, &tokens(5), 5));
        let guess = step(vec![piece(0, 5, &[1, 2], Wanted::Guessed(1))]);
        let refused = backend.step(&guess.plan());
        assert!(
            matches!(refused, Err(BackendError::Plan(_))),
            "{model_type}"
        );
    }
}
