//! A real model that is guessed on says what it says without, on one rank and on several.

use base::Grammar;

use super::*;
use crate::checkpoint::{self, LAYERS};

/// What several positions at once and one by one may differ by, in logarithms of probabilities.
const TOLERANCE: f32 = 1e-3;

/// Answers that repeat themselves, as greedy ones of random models do, and others; beside each other.
pub fn requests() -> Vec<TokenRequest> {
    let prompt = [3, 1, 4, 1, 5, 9, 2, 6, 3, 1, 4, 1, 5];
    // A random model comes to repeat itself if it is rewarded for that.
    let greedy = |id: u64| {
        let mut greedy = request(id, &prompt, 150);
        greedy.sampling.penalties.frequency = -0.25;
        greedy
    };
    let cool = TokenRequest {
        logprobs: Some(2),
        sampling: Sampling {
            temperature: 0.2,
            seed: 5,
            penalties: greedy(2).sampling.penalties,
            ..Sampling::PLAIN
        },
        ..greedy(2)
    };
    let penalized = TokenRequest {
        sampling: Sampling {
            penalties: Penalties {
                repetition: 1.1,
                frequency: 0.02,
                presence: 0.1,
            },
            ..Sampling::GREEDY
        },
        ..greedy(3)
    };
    let constrained = TokenRequest {
        grammar: Some(Grammar::Regex("([a-m]{2,7}[n-z])*".into())),
        ..greedy(5)
    };
    let stopped = TokenRequest {
        stop: vec!["qq".into(), "abc".into()],
        max_tokens: 41,
        ..greedy(6)
    };
    vec![
        greedy(1),
        cool,
        penalized,
        sampled(greedy(4)),
        constrained,
        stopped,
    ]
}

pub fn assert_same(ours: &[TokenEvent], theirs: &[TokenEvent]) {
    assert_eq!(tokens(ours), tokens(theirs));
    assert_eq!(ours.last(), theirs.last());
    let logprobs = |events: &[TokenEvent]| -> Vec<f32> {
        let of = |event: &TokenEvent| match event {
            TokenEvent::Token { logprob, .. } => logprob.as_ref().map(|known| known.logprob),
            _ => None,
        };
        events.iter().filter_map(of).collect()
    };
    let (ours, theirs) = (logprobs(ours), logprobs(theirs));
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((ours - theirs).abs() < TOLERANCE, "{ours} {theirs}");
    }
}

fn check(world: u32, sharding: Sharding) {
    let folder = checkpoint::llama();
    let mut plain = Cluster::guessing_nothing(folder.path(), world, sharding);
    let expected = plain.answers(requests());
    let mut guessing = Cluster::of_layers(LAYERS, folder.path(), world, sharding);
    // Beside each other, and each alone; until the counters have come, which do once a second.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        for (ours, theirs) in guessing.answers(requests()).iter().zip(&expected) {
            assert_same(ours, theirs);
        }
        for (request, theirs) in requests().into_iter().zip(&expected) {
            assert_same(&guessing.answer(request), theirs);
        }
    }
    let stats = guessing.lead().stats;
    assert!(stats.accepted_tokens > 100, "{stats:?}");
    assert!(stats.guessed_tokens > stats.accepted_tokens, "{stats:?}");
    assert!(stats.steps < stats.generated_tokens, "{stats:?}");
    assert_eq!(plain.lead().stats.guessed_tokens, 0);
}

#[test]
fn guesses_change_nothing_that_is_said() {
    check(1, Sharding::Pipeline);
}

#[test]
fn guesses_change_nothing_in_a_pipeline() {
    check(2, Sharding::Pipeline);
}

#[test]
fn guesses_change_nothing_in_a_tensor_split() {
    check(2, Sharding::Tensor);
}
