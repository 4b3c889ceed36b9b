//! When to bring an answer to its end: half of what a grammar describes is of no use to whoever asked.

use base::TokenId;
use text::grammar::Matcher;

/// Looking ahead computes as many masks as the end is tokens away. So it is done for every token only so close to the
/// limit;
const NEAR_TOKENS: u32 = 64;
/// from here on for one of so many;
const INTERVAL: u32 = 16;
/// and before that not at all.
const FAR_TOKENS: u32 = 512;
/// A token may open what takes some more to close.
const MARGIN_TOKENS: u32 = 6;

/// How an answer stands to its limit. It depends on the answer's tokens alone, so that one which goes on elsewhere goes on
/// alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Haste {
    left: u32,
    on: bool,
}

impl Haste {
    /// Of an answer of at most `max_tokens`, at its beginning.
    pub(super) fn new(max_tokens: u32) -> Self {
        Self {
            left: max_tokens,
            on: false,
        }
    }

    /// A token has come.
    pub(super) fn push(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Whether the next token has to lead to the end. One that cannot be reached in time is none to hasten to.
    pub(super) fn is_due(&mut self, matcher: &Matcher, ends: &[TokenId]) -> bool {
        let looks = self.left <= NEAR_TOKENS
            || self.left <= FAR_TOKENS && self.left.is_multiple_of(INTERVAL);
        if !self.on && looks {
            let needed = matcher.tokens_to_end(ends, self.left);
            self.on = needed.is_some_and(|needed| self.left <= needed + needed / 4 + MARGIN_TOKENS);
        }
        self.on
    }
}
