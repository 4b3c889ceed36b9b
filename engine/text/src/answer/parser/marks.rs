//! Which marks may come where in an answer.

use super::{AnswerParser, Edge, Place};
use crate::answer::family::{Bare, Body};

/// Marks between parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Thinking begins.
    Think,
    /// Thinking is over.
    Thought,
    /// Calls follow.
    Section,
    /// A call begins.
    Call,
    /// A brace that begins a call.
    Brace,
    /// A heading begins.
    Heading,
    /// A part of the answer is over, and the next has a heading.
    EndOfPart,
    /// Nothing follows.
    EndOfAnswer,
}

impl AnswerParser {
    /// The marks that may come at this place.
    pub(super) fn marks(&self) -> Vec<(&'static str, Mark)> {
        let syntax = self.reading.syntax;
        let mut marks = Vec::new();
        if matches!(syntax.body, Body::Headed { .. }) {
            marks.extend([
                ("<|start|>", Mark::Heading),
                ("<|channel|>", Mark::Heading),
                ("<|end|>", Mark::EndOfPart),
                ("<|call|>", Mark::EndOfAnswer),
                ("<|return|>", Mark::EndOfAnswer),
            ]);
            return marks;
        }
        let is_reasoning = self.is_reasoning();
        if let Some(thinking) = self.reading.thinking {
            match self.place {
                Place::Reasoning { .. } => marks.push((thinking.close, Mark::Thought)),
                Place::Edge(_) => marks.push((thinking.open, Mark::Think)),
                Place::Text | Place::Between(_) | Place::Call(_) | Place::Heading(_) => {}
            }
            // Some models end what they never began.
            if !self.has_thought {
                marks.push((thinking.close, Mark::Thought));
            }
        }
        if self.reading.tools.is_empty() || (is_reasoning && !syntax.ends_thought) {
            return marks;
        }
        if let Some(section) = syntax.section {
            marks.push((section.open, Mark::Section));
        }
        marks.push((syntax.call.open, Mark::Call));
        let is_bare = match self.place {
            Place::Between(_) | Place::Edge(Edge::AfterCall) => syntax.bare != Bare::Never,
            Place::Edge(Edge::Beginning | Edge::AfterMark) => syntax.bare == Bare::AtEdges,
            Place::Reasoning { .. } | Place::Text | Place::Call(_) | Place::Heading(_) => false,
        };
        if is_bare {
            marks.push(("{", Mark::Brace));
        }
        marks
    }
}
