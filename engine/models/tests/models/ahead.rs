//! Steps that are built before their tokens are known say the same as those that are not, whatever comes instead.

use infer::Backend;
use models::MlxBackend;

use crate::checkpoint::Shape;
use crate::newer;
use crate::ranks::alone;
use crate::recurrent;
use crate::script::{Logits, Script, Step, Wanted, assert_close, flat, piece, run, step, tokens};

/// The same operations in the same order.
const TOLERANCE: f32 = 1e-6;

/// Answers of two sequences, which are foreseen; between them what is not: one is left out, guessed at, taken back, ends, and
/// another comes in its place.
fn script() -> Script {
    let text = tokens(120);
    let one = |slot: u32, at: usize| piece(slot, at, &text[at..=at], Wanted::Last);
    let begun = |slot: u32| piece(slot, 0, &text[..20], Wanted::Last);
    let both = |range: std::ops::Range<usize>| range.map(|at| step(vec![one(0, at), one(1, at)]));
    let mut script = vec![step(vec![begun(0), begun(1)])];
    script.extend(both(20..40));
    script.push(step(vec![one(1, 40)]));
    script.push(step(vec![one(0, 40)]));
    script.extend(both(41..50));
    script.push(step(vec![
        one(0, 50),
        piece(1, 50, &text[50..55], Wanted::All),
    ]));
    script.extend((51..54).map(|at| step(vec![one(0, at), one(1, at + 4)])));
    script.push(Step {
        free: vec![1],
        rows: vec![one(0, 54)],
        ..Step::default()
    });
    script.extend((55..58).map(|at| step(vec![one(0, at)])));
    script.push(step(vec![one(0, 58), begun(1)]));
    script.extend((59..100).map(|at| step(vec![one(0, at), one(1, at - 39)])));
    script
}

/// How many graphs a script's run builds.
fn run_and_count(backend: &mut MlxBackend, script: &Script) -> (Logits, usize) {
    let count = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = std::rc::Rc::clone(&count);
    backend.when_built(move |_| counted.set(counted.get() + 1));
    let logits = run(backend, script);
    (logits, count.get())
}

#[test]
fn what_is_foreseen_says_what_it_would_have_said() {
    let families = ["llama", "qwen3"].into_iter().chain(newer::ALL);
    for model_type in families.chain(recurrent::ALL) {
        let folder = Shape::tiny(model_type).write();
        let script = script();
        let mut backend = alone(folder.path(), 3);
        backend.look_ahead(false);
        let (expected, without) = run_and_count(&mut backend, &script);
        assert_eq!(without, script.len());
        let (ours, with) = run_and_count(&mut alone(folder.path(), 3), &script);
        assert_close(&flat(&ours), &flat(&expected), TOLERANCE);
        // A few were built in vain.
        assert!(
            (without + 1..without + 12).contains(&with),
            "{with} of {without}"
        );
    }
}

#[test]
fn a_step_that_is_refused_leaves_what_was_before() {
    let folder = Shape::tiny("llama").write();
    let text = tokens(40);
    let one = |at: usize| step(vec![piece(0, at, &text[at..=at], Wanted::Last)]);
    let begun = step(vec![piece(0, 0, &text[..20], Wanted::Last)]);
    let script: Script = [begun].into_iter().chain((20..30).map(one)).collect();
    let mut backend = alone(folder.path(), 3);
    let expected = run(&mut backend, &script);
    let mut backend = alone(folder.path(), 3);
    let mut ours = Logits::new();
    for step in &script {
        let wrong = Step {
            rows: vec![piece(7, 3, &[1], Wanted::Last)],
            ..Step::default()
        };
        assert!(backend.step(&wrong.plan()).is_err());
        ours.extend(run(&mut backend, std::slice::from_ref(step)));
    }
    assert_close(&flat(&ours), &flat(&expected), TOLERANCE);
}
