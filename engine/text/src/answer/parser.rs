//! Reads an answer as it comes. It looks at one character after the other, so it makes no difference in which pieces
//! they come.

use base::Piece;

use super::call::{Call, Read};
use super::{CALL, THINK, THOUGHT};

/// Divides the text of an answer into what is said, what is thought, and calls. No text is lost: what turns out not to be
/// a call of a tool that there is was said.
#[derive(Debug, Clone)]
pub struct AnswerParser {
    /// Names of the tools; without any, no call is looked for.
    tools: Vec<String>,
    place: Place,
    /// Text that may become a mark, or white space that may come before one.
    held: String,
    calls: u32,
    calls_max: u32,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Place {
    /// Before anything was said: here the model may begin to think.
    Beginning,
    /// Where it thinks. White space at its beginning is no part of it.
    Reasoning { begun: bool },
    /// Between marks. White space after one is no part of the text.
    AfterMark,
    /// What is said.
    Text,
    /// Between the marks of a call.
    Call(Box<Call>),
}

impl AnswerParser {
    /// For an answer that may call `tools`. `is_open`: it begins where the model already thinks.
    pub(super) fn new(tools: Vec<String>, calls_max: u32, thinks: bool, is_open: bool) -> Self {
        let place = match (thinks, is_open) {
            (_, true) => Place::Reasoning { begun: false },
            (true, false) => Place::Beginning,
            (false, false) => Place::Text,
        };
        Self {
            tools,
            place,
            held: String::new(),
            calls: 0,
            calls_max,
            pieces: Vec::new(),
        }
    }

    /// What more text of the answer adds.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        for character in text.chars() {
            self.read(character);
        }
        std::mem::take(&mut self.pieces)
    }

    /// What was held back, when the answer has ended.
    pub fn finish(mut self) -> Vec<Piece> {
        let held = std::mem::take(&mut self.held);
        match std::mem::replace(&mut self.place, Place::Text) {
            Place::Call(call) => {
                let rest = call.finish();
                self.say(&rest);
            }
            Place::Reasoning { .. } => self.think(&held),
            Place::AfterMark if held.trim().is_empty() => {}
            Place::Beginning | Place::AfterMark | Place::Text => self.say(&held),
        }
        self.pieces
    }

    /// Whether what comes next is thought and not said.
    pub fn is_reasoning(&self) -> bool {
        matches!(self.place, Place::Reasoning { .. })
    }

    /// Whether the answer has made all calls it may make: what comes after is not part of it.
    pub fn is_over(&self) -> bool {
        self.calls >= self.calls_max
    }

    fn read(&mut self, character: char) {
        if self.is_over() {
            return;
        }
        if let Place::Call(call) = &mut self.place {
            let read = call.read(character, &self.tools);
            self.called(read);
            return;
        }
        self.held.push(character);
        // Each round hands out at least one character, or ends.
        while !self.held.is_empty() && !self.settle() {}
    }

    /// Looks at what is held: whether it must wait for more.
    fn settle(&mut self) -> bool {
        let blank = self.held.len() - self.held.trim_start().len();
        match &self.place {
            Place::Reasoning { begun } => {
                let begun = *begun;
                if !begun && blank == self.held.len() {
                    return true;
                }
                self.held.drain(..if begun { 0 } else { blank });
                self.place = Place::Reasoning { begun: true };
                // White space before the end of thinking is no part of it either.
                self.settle_before(THOUGHT, |_| Place::AfterMark, Self::think)
            }
            Place::Beginning => {
                let rest = &self.held[blank..];
                if rest == THINK {
                    self.held.clear();
                    self.place = Place::Reasoning { begun: false };
                    return true;
                }
                if THINK.starts_with(rest) {
                    return true;
                }
                self.place = Place::Text;
                false
            }
            Place::AfterMark => {
                self.held.drain(..blank);
                if self.held.is_empty() {
                    return true;
                }
                self.place = Place::Text;
                false
            }
            Place::Text if self.tools.is_empty() => {
                let said = std::mem::take(&mut self.held);
                self.say(&said);
                true
            }
            Place::Text => {
                let call = |blank: &str| Place::Call(Box::new(Call::after(blank)));
                self.settle_before(CALL, call, Self::say)
            }
            Place::Call(_) => true,
        }
    }

    /// Hands out what is held but for white space that may come before `mark`, and for what may become it; after it comes
    /// `next` of that white space. Whether it must wait for more.
    fn settle_before(
        &mut self,
        mark: &str,
        next: fn(&str) -> Place,
        hand_out: fn(&mut Self, &str),
    ) -> bool {
        let blank = self.held.len() - self.held.trim_start().len();
        let rest = &self.held[blank..];
        if rest == mark {
            self.place = next(&self.held[..blank]);
            self.held.clear();
            return true;
        }
        if mark.starts_with(rest) {
            return true;
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let out: String = self.held.drain(..blank + first).collect();
        hand_out(self, &out);
        false
    }

    fn called(&mut self, read: Read) {
        let index = self.calls;
        match read {
            Read::Nothing => {}
            Read::Name(name) => {
                self.pieces.push(Piece::ToolCall { index, name });
                let text = "{".to_owned();
                self.add(Piece::Arguments { index, text });
            }
            Read::Arguments(text) => self.add(Piece::Arguments { index, text }),
            Read::Whole { name, arguments } => {
                self.pieces.push(Piece::ToolCall { index, name });
                self.add(Piece::Arguments {
                    index,
                    text: arguments,
                });
                self.calls += 1;
                self.place = Place::AfterMark;
            }
            Read::Ended => {
                self.calls += 1;
                self.place = Place::AfterMark;
            }
            Read::NoCall(text) => {
                self.place = Place::Text;
                self.say(&text);
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.add(Piece::Text(text.to_owned()));
    }

    fn think(&mut self, text: &str) {
        self.add(Piece::Reasoning(text.to_owned()));
    }

    /// Adds a piece, to the one before if that is of its kind.
    fn add(&mut self, piece: Piece) {
        match (self.pieces.last_mut(), piece) {
            (_, Piece::Text(more) | Piece::Reasoning(more)) if more.is_empty() => {}
            (Some(Piece::Text(text)), Piece::Text(more))
            | (Some(Piece::Reasoning(text)), Piece::Reasoning(more)) => text.push_str(&more),
            (
                Some(Piece::Arguments { index, text }),
                Piece::Arguments {
                    index: same,
                    text: more,
                },
            ) if *index == same => text.push_str(&more),
            (_, piece) => self.pieces.push(piece),
        }
    }
}
