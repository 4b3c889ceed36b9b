//! Tokens as `OpenAI` writes them. A token may be part of a character; then its bytes are written out.

use std::fmt::Write;

use base::{ScoredToken, TokenId};

use crate::openai::model::{ChatLogprobs, CompletionLogprobs, TokenLogprobOut, TopTokens};

/// JSON has no infinity: `OpenAI`'s value for a token that cannot be.
const IMPOSSIBLE: f32 = -9999.0;

/// Log-probabilities in the form of chat.
pub(in crate::openai) fn chat_logprobs(tokens: Vec<ScoredToken>) -> ChatLogprobs {
    let content = tokens.into_iter().map(|scored| TokenLogprobOut {
        token: text_or_bytes(&scored.bytes, ""),
        logprob: scored.logprob.map_or(IMPOSSIBLE, finite),
        top_logprobs: Some(scored.top.into_iter().map(alternative).collect()),
        bytes: scored.bytes,
    });
    ChatLogprobs {
        content: content.collect(),
        refusal: None,
    }
}

fn alternative((_, bytes, logprob): (TokenId, Vec<u8>, f32)) -> TokenLogprobOut {
    TokenLogprobOut {
        token: text_or_bytes(&bytes, ""),
        logprob: finite(logprob),
        bytes,
        top_logprobs: None,
    }
}

/// Where in the text the next token begins.
#[derive(Debug, Default)]
pub(super) struct TextOffset {
    chars: usize,
    /// Bytes of a character that is not whole yet.
    partial: Vec<u8>,
}

impl TextOffset {
    /// Steps over a token; the offset at which it begins.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let begins = self.chars;
        self.partial.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.partial) {
            Ok(text) => text.len(),
            // What cannot become a character any more counts as one, as in text.
            Err(error) if error.error_len().is_some() => self.partial.len(),
            Err(error) => error.valid_up_to(),
        };
        self.chars += String::from_utf8_lossy(&self.partial[..whole])
            .chars()
            .count();
        self.partial.drain(..whole);
        begins
    }
}

/// Adds tokens to the parallel lists of a plain completion. `top` tells whether alternatives were asked for.
pub(super) fn add_completion_logprobs(
    lists: &mut CompletionLogprobs,
    tokens: Vec<ScoredToken>,
    offset: &mut TextOffset,
    top: bool,
) {
    for scored in tokens {
        lists.text_offset.push(offset.step(&scored.bytes));
        lists.tokens.push(text_or_bytes(&scored.bytes, "bytes:"));
        lists.token_logprobs.push(scored.logprob.map(finite));
        if top {
            let alternatives = scored.logprob.map(|_| top_tokens(scored.top));
            lists
                .top_logprobs
                .get_or_insert_default()
                .push(alternatives);
        }
    }
}

/// As an object has one entry for a name, of tokens with the same text only the likeliest is shown.
fn top_tokens(top: Vec<(TokenId, Vec<u8>, f32)>) -> TopTokens {
    let mut shown: Vec<(String, f32)> = Vec::with_capacity(top.len());
    for (_, bytes, logprob) in top {
        let text = text_or_bytes(&bytes, "bytes:");
        if shown.iter().all(|(other, _)| *other != text) {
            shown.push((text, finite(logprob)));
        }
    }
    TopTokens(shown)
}

fn text_or_bytes(bytes: &[u8], prefix: &str) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_string();
    }
    bytes.iter().fold(prefix.to_string(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
        text
    })
}

fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() {
        logprob
    } else {
        IMPOSSIBLE
    }
}
