//! A real draft model beside a real model, which says what it says without, on one rank and on several.

use crate::checkpoint::{self, LAYERS};
use crate::speculation::{assert_same, requests};

use super::*;

/// Answers drawn with other seeds, some tokens of each.
fn drawn() -> Vec<TokenRequest> {
    let one = |seed: u64| TokenRequest {
        sampling: Sampling {
            seed,
            temperature: 0.8,
            ..Sampling::PLAIN
        },
        ..request(100 + seed, &[3, 1, 4, 1, 5, 9, 2, 6], 12)
    };
    (0..8).map(one).collect()
}

/// With a draft model that is the large one itself, and with one that is another.
fn check(world: u32, sharding: Sharding) {
    let folder = checkpoint::llama();
    let other = checkpoint::llama_of(11);
    let mut plain = Cluster::guessing_nothing(folder.path(), world, sharding);
    let expected = plain.answers(requests());
    let expected_drawn = plain.answers(drawn());
    for (draft, is_right) in [(folder.path(), true), (other.path(), false)] {
        let mut drafting = Cluster::drafting((LAYERS, folder.path()), draft, world, sharding);
        // Until the counters have come, which do once a second.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2500) {
            for (ours, theirs) in drafting.answers(requests()).iter().zip(&expected) {
                assert_same(ours, theirs);
            }
            for (ours, theirs) in drafting.answers(drawn()).iter().zip(&expected_drawn) {
                assert_same(ours, theirs);
            }
            for (request, theirs) in requests().into_iter().zip(&expected) {
                assert_same(&drafting.answer(request), theirs);
            }
        }
        let stats = drafting.lead().stats;
        println!("{world} {sharding:?}, right {is_right}: {stats:?}");
        assert!(stats.guessed_tokens > 50, "{stats:?}");
        if is_right {
            // It knows nothing of penalties and draws nothing.
            assert!(
                stats.accepted_tokens * 4 > stats.guessed_tokens,
                "{stats:?}"
            );
        }
    }
}

#[test]
fn a_draft_model_changes_nothing_that_is_said() {
    check(1, Sharding::Pipeline);
}

#[test]
fn a_draft_model_changes_nothing_in_a_pipeline() {
    check(2, Sharding::Pipeline);
}

#[test]
fn a_draft_model_changes_nothing_in_a_tensor_split() {
    check(2, Sharding::Tensor);
}

#[test]
fn a_draft_model_that_is_not_there_is_told_of() {
    let folder = checkpoint::llama();
    let nothing = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::with_draft(
        (LAYERS, folder.path()),
        nothing.path(),
        1,
        Sharding::Pipeline,
    );
    let failure = cluster.lead().fatal(PATIENCE);
    assert!(failure.message.contains("draft model"), "{failure}");
}

/// The embedded model, told beforehand what it will say.
#[test]
fn an_answer_that_equals_its_prediction_takes_fewer_steps() {
    let sprout = std::path::Path::new(env!("ESPALIER_CHECKOUT")).join("engine/store/sprout");
    let tokenizer = text::Tokenizer::load(&sprout).unwrap();
    let chat = "<|user|>What is Espalier?<|end|><|assistant|>";
    let prompt = tokenizer.encode(chat, text::Framing::Bare).unwrap();
    for (world, sharding) in [
        (1, Sharding::Pipeline),
        (2, Sharding::Pipeline),
        (2, Sharding::Tensor),
    ] {
        let mut cluster = Cluster::of_layers(6, &sprout, world, sharding);
        // Beyond the end of what it was taught to say.
        let mut asked = request(1, &prompt, 150);
        let plain = cluster.answer(asked.clone());
        let said = tokens(&plain);
        let mut most = 0;
        // What guesses cost is learned from the first steps.
        for id in 2..8 {
            asked.id = RequestId(id);
            asked.prediction = said.clone();
            let predicted = cluster.answer(asked.clone());
            assert_eq!(tokens(&predicted), said);
            let accepted = predicted.iter().map(|event| match event {
                TokenEvent::Predicted { accepted, .. } => *accepted as usize,
                _ => 0,
            });
            most = most.max(accepted.sum());
        }
        println!("{world} {sharding:?}: {most} of {} tokens", said.len());
        assert!(2 * most > said.len(), "{most} of {} tokens", said.len());
    }
}
