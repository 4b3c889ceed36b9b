//! The vector of a prompt, however it is computed. That company and chunks change nothing is a property of all requests.

use super::*;
use crate::embedding::Embedding;

/// What a prompt's vector is by definition.
pub fn expected(prompt: &[TokenId], pooling: Pooling) -> Vec<TokenEvent> {
    let backend = FakeBackend::new(VOCABULARY as usize);
    let mut embedding = Embedding::new(pooling);
    let first = match pooling {
        Pooling::Mean => 1,
        Pooling::Last => prompt.len(),
    };
    for length in first..=prompt.len() {
        embedding.add(&backend.hidden_after(&prompt[..length]));
    }
    let vector = embedding.normalized().unwrap();
    let end = TokenEvent::Finished(FinishReason::Stop);
    vec![TokenEvent::Embedding(vector), end]
}

fn embed(id: u64, prompt: &[TokenId], pooling: Pooling) -> TokenRequest {
    TokenRequest {
        pooling: Some(pooling),
        ..request(id, prompt, 0)
    }
}

#[test]
fn only_the_last_token_leaves_the_beginning_to_what_is_kept() {
    let prompt: Vec<TokenId> = (0..70).map(|at| at * 5 % VOCABULARY).collect();
    let mut rig = Rig::new(LIMITS);
    rig.submit(request(1, &prompt, 1));
    rig.run();
    for (id, pooling, recalled) in [(2, Pooling::Last, 64), (3, Pooling::Mean, 0)] {
        rig.submit(embed(id, &prompt, pooling));
        rig.run();
        assert_eq!(rig.of(id), expected(&prompt, pooling));
        assert_eq!(rig.recalled(id), recalled);
    }
}

#[test]
fn a_prompt_that_was_set_back_is_pooled_from_its_beginning() {
    let mut rig = Rig::new(Limits {
        slots_max: 2,
        cache_tokens_max: 140,
        prefill_chunk_tokens: 2,
        ..LIMITS
    });
    let prompt: Vec<TokenId> = (0..60).map(|at| at * 3 % VOCABULARY).collect();
    let answer = request(1, &[1, 2], 100);
    rig.submit(answer.clone());
    rig.submit(embed(2, &prompt, Pooling::Mean));
    rig.submit(embed(3, &[4], Pooling::Last));
    rig.run();
    assert_eq!(rig.of(1), super::expected(&answer));
    assert_eq!(rig.of(2), expected(&prompt, Pooling::Mean));
    assert_eq!(rig.of(3), expected(&[4], Pooling::Last));
}
