//! Tokens in, text out, piece by piece: whole characters only, and nothing of a stop string.

use std::sync::Arc;

use base::TokenId;

use crate::{StopStrings, Tokenizer, Utf8Decoder};

/// The text of one answer as its tokens arrive. Pure: the joined text depends on the tokens alone.
#[derive(Debug, Clone)]
pub struct TextStream {
    tokenizer: Arc<Tokenizer>,
    characters: Utf8Decoder,
    stops: StopStrings,
    /// The first byte is still to come, and would be dropped if it is a space.
    strip_space: bool,
    /// Special tokens that are text nevertheless.
    shown: Vec<TokenId>,
}

/// Where a text begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStart {
    /// It is a text of its own, like the answer in a chat: a leading space that the tokenizer
    /// put there is not part of it.
    OfText,
    /// It goes on from another text, like a completion: its spaces are its own.
    Continuation,
}

/// What a token added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// New text; often empty while bytes or a possible stop string are held back.
    pub text: String,
    /// A stop string is complete: the answer ended before it.
    pub stopped: bool,
}

impl TextStream {
    /// An answer that any of `stop` ends.
    pub fn new(tokenizer: Arc<Tokenizer>, stop: Vec<String>, start: TextStart) -> Self {
        let strip_space =
            start == TextStart::OfText && tokenizer.token_bytes().strips_leading_space();
        Self {
            tokenizer,
            characters: Utf8Decoder::default(),
            stops: StopStrings::new(stop),
            strip_space,
            shown: Vec::new(),
        }
    }

    /// Special tokens among `tokens` are text as well.
    #[must_use]
    pub fn showing(mut self, tokens: Vec<TokenId>) -> Self {
        self.shown = tokens;
        self
    }

    /// The text that a token completes. Special tokens and unknown ids have none.
    pub fn push(&mut self, token: TokenId) -> Piece {
        let table = self.tokenizer.token_bytes();
        let mut bytes = match table.get(token) {
            Some(bytes) if !table.is_special(token) || self.shown.contains(&token) => bytes,
            _ => &[],
        };
        if self.strip_space && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            self.strip_space = false;
        }
        let text = self.characters.push(bytes);
        Piece {
            text: self.stops.push(&text),
            stopped: self.stops.stopped(),
        }
    }

    /// The stop string that ended the answer.
    pub fn stop(&self) -> Option<&str> {
        self.stops.found()
    }

    /// What was held back, when the answer ended by itself.
    pub fn finish(mut self) -> String {
        let mut text = self.stops.push(&self.characters.finish());
        text.push_str(&self.stops.finish());
        text
    }
}

#[cfg(test)]
mod tests;
