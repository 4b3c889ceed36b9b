//! Whether a model can draft for another one.

use base::{ErrorCode, Failure, ModelCard};
use text::Tokenizer;

use crate::models::LocalModel;
use crate::words;

/// Refuses what would be of no use: `[large, small]`. Takes as long as reading both tokenizers does.
pub(super) async fn check(
    [large, small]: [&LocalModel; 2],
    cards: [&ModelCard; 2],
) -> Result<(), Failure> {
    let [of_large, of_small] = cards.map(|card| card.layers.iter().any(|it| it.state_bytes > 0));
    if of_large || of_small {
        let which = if of_large { large } else { small };
        return Err(keeps_a_state(&large.name.0, &small.name.0, &which.name.0));
    }
    if large.fingerprint == small.fingerprint {
        return Ok(());
    }
    let folders = [large.folder.clone(), small.folder.clone()];
    let same = tokio::task::spawn_blocking(move || {
        let [large, small] = folders.map(|folder| {
            let loaded = Tokenizer::load(&folder);
            loaded.map_err(|error| words::failure(ErrorCode::ModelDamaged, &error.to_string()))
        });
        Ok::<_, Failure>(large?.same_tokens(&small?))
    });
    let same = same.await.map_err(|error| {
        Failure::new(
            ErrorCode::Internal,
            format!("tokenizers were not compared: {error}"),
        )
    })??;
    same.map_err(|what| other_tokens(&large.name.0, &small.name.0, &what))
}

fn keeps_a_state(large: &str, small: &str, which: &str) -> Failure {
    let message = format!(
        "{small} cannot draft for {large}: {which} keeps a state, which takes no wrong guess back"
    );
    Failure::new(ErrorCode::InvalidRequest, message)
        .hint("open it without a draft model")
        .param("draft")
}

fn other_tokens(large: &str, small: &str, what: &str) -> Failure {
    let message = format!("{small} cannot draft for {large}: their tokenizers differ, {what}");
    Failure::new(ErrorCode::InvalidRequest, message)
        .hint("choose a smaller model of the same family")
        .param("draft")
}
