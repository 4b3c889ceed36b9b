//! The vector of a prompt is the same alone, beside others and over ranks.

use base::{FinishReason, Pooling, Sharding, TokenEvent, TokenId, TokenRequest};

use crate::process::Cluster;
use crate::{checkpoint, request};

/// Of the elements of a vector of length 1, in float32.
const TOLERANCE: f32 = 1e-4;

/// Prompts of one token, of some, and of more than a step takes; each both ways, and answers between them.
fn requests() -> Vec<TokenRequest> {
    let long: Vec<TokenId> = (0..90).map(|n| n * 7 % 26).collect();
    let prompts = [&long[..1], &long[..20], &long];
    let mut requests = Vec::new();
    for (id, prompt) in (1..).zip(prompts) {
        for (offset, pooling) in [(0, Some(Pooling::Mean)), (10, Some(Pooling::Last))] {
            requests.push(TokenRequest {
                pooling,
                ..request(id + offset, prompt, 0)
            });
        }
        requests.push(request(id + 20, prompt, 9));
    }
    requests
}

/// The vectors of those that have one.
fn vectors(answers: &[Vec<TokenEvent>]) -> Vec<Vec<f32>> {
    let mut vectors = Vec::new();
    for events in answers {
        let [
            ..,
            TokenEvent::Embedding(vector),
            TokenEvent::Finished(reason),
        ] = &events[..]
        else {
            continue;
        };
        assert_eq!(*reason, FinishReason::Stop);
        let squares: f32 = vector.iter().map(|one| one * one).sum();
        assert!((squares - 1.0).abs() < TOLERANCE, "{squares}");
        vectors.push(vector.clone());
    }
    assert_eq!(vectors.len(), 6, "{answers:?}");
    vectors
}

#[test]
fn the_same_vector_alone_batched_and_sharded() {
    let folder = checkpoint::llama();
    let mut single = Cluster::start(folder.path(), 1, Sharding::Pipeline);
    let alone: Vec<_> = requests()
        .into_iter()
        .map(|request| single.answer(request))
        .collect();
    let alone = vectors(&alone);
    // Of one token the mean is the last; of several it is not.
    let distance = |a: &[f32], b: &[f32]| {
        let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f32::max)
    };
    assert!(distance(&alone[0], &alone[1]) < TOLERANCE);
    assert!(distance(&alone[2], &alone[3]) > 100.0 * TOLERANCE);
    let check = |answers: Vec<Vec<TokenEvent>>, how: &str| {
        for (ours, alone) in vectors(&answers).iter().zip(&alone) {
            let distance = distance(ours, alone);
            assert!(distance < TOLERANCE, "{how}: {distance}");
        }
    };
    check(single.answers(requests()), "in one batch");
    for (world, sharding) in [(2, Sharding::Pipeline), (2, Sharding::Tensor)] {
        let mut cluster = Cluster::start(folder.path(), world, sharding);
        check(
            cluster.answers(requests()),
            &format!("{sharding:?} over {world}"),
        );
    }
}
