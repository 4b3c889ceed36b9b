//! Grammars: which tokens an answer may go on with, so that nothing but what was asked for can come out.
//!
//! Over `llguidance`, with each tokenizer's own vocabulary. What a grammar costs is bounded, whatever it says: a request
//! brings it, and it may be hostile. Never: sampling, a clock.

mod ending;
mod mask;
mod source;
mod vocabulary;

use std::sync::Arc;
use std::thread;

use base::{Grammar, TokenId};
use llguidance::api::StopReason;

use crate::Tokenizer;
use ending::Inside;
pub use mask::Mask;
pub(crate) use source::{kept_to, unanchored};
pub(crate) use vocabulary::Vocabulary;

/// Why a grammar cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// It is longer than any grammar that somebody wrote.
    #[error("the {kind} has {bytes} bytes, more than the {max} allowed")]
    TooLong {
        /// Which sort of grammar.
        kind: &'static str,
        /// Its length.
        bytes: usize,
        /// The cap.
        max: usize,
    },
    /// It is not well-formed, or asks for what cannot be enforced.
    #[error("the {kind} cannot be used: {reason}")]
    Unusable {
        /// Which sort of grammar.
        kind: &'static str,
        /// What and where.
        reason: String,
    },
    /// The tokenizer's vocabulary is of a kind for which no grammar can be compiled.
    #[error("no grammar can be used with this model: {0}")]
    Vocabulary(String),
    /// The answer has come to where it cannot go on: a token was not allowed, or following the grammar takes more work
    /// than is allowed.
    #[error("the grammar cannot be followed any further: {0}")]
    Stuck(String),
}

/// Where an answer is in its grammar.
pub struct Matcher {
    inner: llguidance::Matcher,
    vocabulary: Arc<Vocabulary>,
    token_count: u32,
    inside: Inside,
}

/// Stack for compiling. `llguidance` recurses where a grammar goes on and on, as over the properties of an object: some
/// hundred bytes of stack for some ten of the grammar. What is not used costs nothing.
const STACK_BYTES: usize = 256 << 20;

/// A grammar made ready for answers of one tokenizer. The first for a tokenizer prepares its vocabulary too, which takes
/// a second for a large one.
pub fn compile(tokenizer: &Tokenizer, grammar: &Grammar) -> Result<Matcher, GrammarError> {
    let source = source::read(grammar)?;
    let vocabulary = tokenizer.vocabulary()?;
    let parser = thread::scope(|scope| {
        let compiling = thread::Builder::new()
            .name("grammar".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || vocabulary.parser(source.grammar));
        match compiling.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(parser)) => parser,
            Ok(Err(_)) => Err("compiling it broke off".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    });
    let parser = parser.map_err(|reason| GrammarError::Unusable {
        kind: source.kind,
        reason: words(&reason),
    })?;
    Ok(Matcher {
        inner: llguidance::Matcher::new(Ok(parser)),
        vocabulary,
        inside: Inside::default(),
        token_count: tokenizer.token_bytes().token_count(),
    })
}

impl Matcher {
    /// Goes on by a token.
    pub fn push(&mut self, token: TokenId) -> Result<(), GrammarError> {
        self.inner.consume_token(token).map_err(|e| stuck(&e))?;
        self.inside.push(self.vocabulary.text(token));
        Ok(())
    }

    /// Whether the answer is whole and nothing can follow.
    pub fn is_complete(&self) -> bool {
        match self.inner.stop_reason() {
            StopReason::NoExtension | StopReason::EndOfSentence => true,
            StopReason::NotStopped
            | StopReason::MaxTokensTotal
            | StopReason::MaxTokensParser
            | StopReason::NoExtensionBias
            | StopReason::InternalError
            | StopReason::LexerTooComplex
            | StopReason::ParserTooComplex
            | StopReason::Cancelled => false,
        }
    }

    /// What may come next. Where the answer may end, any of `ends` ends it.
    pub fn mask(&mut self, ends: &[TokenId]) -> Result<Mask, GrammarError> {
        let may_end = self.is_complete() || self.inner.is_accepting().map_err(|e| stuck(&e))?;
        let mut mask = if self.is_complete() {
            Mask::none(self.token_count)
        } else {
            match self.inner.compute_mask() {
                Ok(allowed) => Mask::new(allowed.as_slice(), self.token_count),
                // It could go on, but there is no token for it.
                Err(_) if may_end && self.is_at_a_dead_end() => Mask::none(self.token_count),
                Err(error) => return Err(stuck(&error)),
            }
        };
        if may_end {
            mask.allow(ends);
        }
        Ok(mask)
    }

    /// One that goes on by itself from here.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            inner: self.inner.deep_clone(),
            vocabulary: Arc::clone(&self.vocabulary),
            ..*self
        }
    }

    /// Those of the tokens of its `mask` by which the answer ends soonest.
    pub fn narrow(&self, mask: &Mask, ends: &[TokenId]) -> Mask {
        let endings = &self.vocabulary.endings;
        endings.narrow(mask, ends, self.inside.string)
    }

    /// After how many tokens the answer can be at its end; `None` if not within `most`, as far as one can tell.
    pub fn tokens_to_end(&self, ends: &[TokenId], most: u32) -> Option<u32> {
        let mut ahead = self.fork();
        for tokens in 0..=most {
            if ahead.is_complete() {
                return Some(tokens);
            }
            let mask = ahead.mask(ends).ok()?;
            let token = ahead.narrow(&mask, ends).first()?;
            if ends.contains(&token) {
                return Some(tokens + 1).filter(|tokens| *tokens <= most);
            }
            ahead.push(token).ok()?;
        }
        None
    }

    /// No token continues it, which is different from work that was too much.
    fn is_at_a_dead_end(&self) -> bool {
        let error = self.inner.get_error().unwrap_or_default();
        words(&error) == StopReason::NoExtensionBias.to_string()
    }
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matcher")
            .field("stop_reason", &self.inner.stop_reason())
            .finish_non_exhaustive()
    }
}

fn stuck(error: &impl std::fmt::Display) -> GrammarError {
    let reason = words(&error.to_string());
    GrammarError::Stuck(if reason == StopReason::NoExtensionBias.to_string() {
        "nothing can follow what is there".to_owned()
    } else {
        reason
    })
}

/// Longest line of a reason that is passed on: some are lines of the grammar.
const LINE_CHARS_MAX: usize = 160;
/// Lines at most.
const LINES_MAX: usize = 12;

/// What `llguidance` says of an error, without its own state.
fn words(message: &str) -> String {
    let cut = ["\n<state>", "\n<non-verbose/>", "\n<backtrace>"]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min()
        .unwrap_or(message.len());
    let lines = message[..cut].trim().lines().take(LINES_MAX);
    let lines = lines.map(|line| line.chars().take(LINE_CHARS_MAX).collect());
    lines.collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests;
