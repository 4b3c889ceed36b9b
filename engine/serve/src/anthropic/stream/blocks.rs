//! From the pieces of an answer to blocks that begin, grow and end, one after the other.

use base::{Piece, RequestId};

use super::AnswerHead;

/// What happens to the answer's blocks. Between `Begins` and `Ends` all other steps are of that block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next block.
    Begins(Beginning),
    /// More of what the block has.
    Grows(Kind, String),
    /// The block is whole.
    Ends(Kind),
}

/// What a block has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Thoughts.
    Thinking,
    /// Words.
    Text,
    /// Arguments of a call.
    Call,
}

/// How a block begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beginning {
    /// What the model thought.
    Thinking,
    /// What it says.
    Text,
    /// What it calls.
    Call {
        /// Names the call, in this answer and all others.
        id: String,
        /// The tool's name.
        name: String,
    },
}

/// Sorts pieces into blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    id: RequestId,
    omits_thoughts: bool,
    open: Option<Kind>,
    /// Blank space since the last block: what separates thoughts, words and calls is no block of its own.
    blank: String,
    /// Whether there was a call.
    pub(super) called: bool,
}

impl Blocks {
    pub(super) fn new(head: &AnswerHead) -> Self {
        Self {
            id: head.id,
            omits_thoughts: head.omits_thoughts,
            open: None,
            blank: String::new(),
            called: false,
        }
    }

    /// What a piece adds.
    pub(super) fn tell(&mut self, piece: Piece) -> Vec<Step> {
        match piece {
            Piece::Text(text) => self.words(Kind::Text, Beginning::Text, text),
            Piece::Reasoning(text) => {
                let mut steps = self.words(Kind::Thinking, Beginning::Thinking, text);
                let omits = self.omits_thoughts;
                steps.retain(|step| !(omits && matches!(step, Step::Grows(..))));
                steps
            }
            Piece::ToolCall { index, name } => {
                self.called = true;
                let id = format!("toolu_{}{index:04}", self.id);
                self.begin(Kind::Call, Beginning::Call { id, name })
            }
            // Calls come one after the other, so these are of the one that is open.
            Piece::Arguments { text, .. } if text.is_empty() => Vec::new(),
            Piece::Arguments { text, .. } => vec![Step::Grows(Kind::Call, text)],
        }
    }

    /// What the end adds.
    pub(super) fn end(&mut self) -> Vec<Step> {
        self.open.take().map(Step::Ends).into_iter().collect()
    }

    fn words(&mut self, kind: Kind, beginning: Beginning, text: String) -> Vec<Step> {
        if self.open == Some(kind) {
            let more = (!text.is_empty()).then_some(Step::Grows(kind, text));
            return more.into_iter().collect();
        }
        self.blank.push_str(&text);
        if self.blank.trim().is_empty() {
            return Vec::new();
        }
        let text = std::mem::take(&mut self.blank);
        let mut steps = self.begin(kind, beginning);
        steps.push(Step::Grows(kind, text));
        steps
    }

    fn begin(&mut self, kind: Kind, beginning: Beginning) -> Vec<Step> {
        self.blank.clear();
        let mut steps = self.end();
        self.open = Some(kind);
        steps.push(Step::Begins(beginning));
        steps
    }
}
