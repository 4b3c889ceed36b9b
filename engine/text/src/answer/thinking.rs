//! The marks between which models think.

use super::family::Pair;
use crate::Tokenizer;

/// Those that are known.
const MARKS: [Pair; 5] = [
    Pair {
        open: "<think>",
        close: "</think>",
    },
    Pair {
        open: "[THINK]",
        close: "[/THINK]",
    },
    Pair {
        open: "<seed:think>",
        close: "</seed:think>",
    },
    Pair {
        open: "<|START_THINKING|>",
        close: "<|END_THINKING|>",
    },
    Pair {
        open: "◁think▷",
        close: "◁/think▷",
    },
];

/// What gpt-oss thinks is a message of its own, as its heading says.
pub const ANALYSIS: Pair = Pair {
    open: "<|channel|>analysis<|message|>",
    close: "<|end|>",
};

/// The marks that a template shows, or for which a tokenizer has tokens.
pub fn marks(source: &str, tokenizer: &Tokenizer) -> Option<Pair> {
    let shown = |pair: &Pair| source.contains(pair.close);
    let added = |pair: &Pair| {
        [pair.open, pair.close]
            .iter()
            .all(|mark| tokenizer.token(mark).is_some())
    };
    let mut known = MARKS.into_iter();
    known.clone().find(shown).or_else(|| known.find(added))
}

/// Whether a rendered prompt ends where the model already thinks.
pub fn is_open(thinking: Option<Pair>, rendered: &str) -> bool {
    thinking.is_some_and(|marks| rendered.trim_end().ends_with(marks.open))
}

/// Whether a rendered prompt ends where the model has thought.
pub fn is_over(thinking: Option<Pair>, rendered: &str) -> bool {
    thinking.is_some_and(|marks| rendered.trim_end().ends_with(marks.close))
}
