//! Tokens as Ollama writes them.

use base::ScoredToken;

use crate::ollama::model::{LogprobOut, TokenOut};

/// JSON has no infinity: `OpenAI`'s value for a token that cannot be.
const IMPOSSIBLE: f32 = -9999.0;

pub(super) fn logprobs(tokens: Vec<ScoredToken>) -> Vec<LogprobOut> {
    let shown = tokens.into_iter().map(|scored| LogprobOut {
        token: token(&scored.bytes, scored.logprob.unwrap_or(IMPOSSIBLE)),
        top_logprobs: scored
            .top
            .iter()
            .map(|(_, bytes, logprob)| token(bytes, *logprob))
            .collect(),
    });
    shown.collect()
}

/// Its bytes are those of the text that is shown, as in Ollama: a part of a character is not told.
fn token(bytes: &[u8], logprob: f32) -> TokenOut {
    let text = String::from_utf8_lossy(bytes).into_owned();
    TokenOut {
        bytes: text.clone().into_bytes(),
        token: text,
        logprob: if logprob.is_finite() {
            logprob
        } else {
            IMPOSSIBLE
        },
    }
}
