//! Reads an answer as it comes. It looks at one character after the other, so it makes no difference in which pieces
//! they come.

mod marks;

use base::Piece;
use serde_json::{Map, Value};

use super::call::{Call, Callable, Read};
use super::family::{Bare, Body, Heading, Pair, Syntax, heading};
use marks::Mark;

/// Divides the text of an answer into what is said, what is thought, and calls. No text is lost: what turns out not to be
/// a call of a tool that there is was said.
#[derive(Debug, Clone)]
pub struct AnswerParser {
    reading: Reading,
    place: Place,
    /// Text that may become a mark, or white space that may come before one.
    held: String,
    calls: u32,
    /// The model has thought, or said that it does not.
    has_thought: bool,
    /// It has said something.
    has_said: bool,
    /// The answer said that it ends.
    has_ended: bool,
    pieces: Vec<Piece>,
}

/// What an answer is read by.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// How calls are written.
    pub(super) syntax: &'static Syntax,
    /// What may be called; without any tool no call is looked for.
    pub(super) tools: Vec<Callable>,
    pub(super) calls_max: u32,
    /// Where the model thinks.
    pub(super) thinking: Option<Pair>,
    /// The answer begins where the model already thinks.
    pub(super) is_open: bool,
    /// It begins where the model thinks or has thought.
    pub(super) has_thought: bool,
}

#[derive(Debug, Clone)]
enum Place {
    /// At the beginning of an answer, or after a mark: here the model may begin to think.
    Edge(Edge),
    /// Where it thinks. White space at its beginning is no part of it.
    Reasoning { begun: bool },
    /// What is said.
    Text,
    /// Where another call may come, after this was read.
    Between(String),
    /// Between the marks of a call.
    Call(Box<Call>),
    /// In the heading of a part.
    Heading(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// The very beginning.
    Beginning,
    /// After a mark: white space is no part of the text.
    AfterMark,
    /// After a call.
    AfterCall,
}

/// Longest heading of a part. What is longer was said.
const HEADING_BYTES_MAX: usize = 512;
const PARAGRAPH: &str = "\n\n";
const MESSAGE: &str = "<|message|>";

/// Whether a text that is written in this way has a call of a tool.
pub(super) fn reads(syntax: &'static Syntax, text: &str, name: &str) -> bool {
    // A call without marks is a whole answer.
    let start = match syntax.bare {
        Bare::AtEdges => text.find("{\"name\": ").unwrap_or(0),
        Bare::Never | Bare::AfterCall => 0,
    };
    let mut parser = AnswerParser::new(Reading {
        syntax,
        tools: vec![Callable {
            name: name.to_owned(),
            schema: Value::Null,
        }],
        calls_max: 1,
        thinking: None,
        is_open: false,
        has_thought: true,
    });
    let mut pieces = parser.push(&text[start..]);
    pieces.extend(parser.finish());
    let arguments = pieces.iter().filter_map(|piece| match piece {
        Piece::Arguments { text, .. } => Some(text.as_str()),
        Piece::Text(_) | Piece::Reasoning(_) | Piece::ToolCall { .. } => None,
    });
    let arguments = arguments.collect::<String>();
    serde_json::from_str::<Map<String, Value>>(&arguments).is_ok_and(|all| !all.is_empty())
}

impl AnswerParser {
    pub(super) fn new(reading: Reading) -> Self {
        let place = match reading.syntax.body {
            _ if reading.is_open => Place::Reasoning { begun: false },
            Body::Headed { .. } => Place::Heading(String::new()),
            Body::Json { .. } | Body::Tagged(_) => Place::Edge(Edge::Beginning),
        };
        Self {
            place,
            held: String::new(),
            calls: 0,
            has_thought: reading.has_thought,
            has_said: false,
            has_ended: false,
            pieces: Vec::new(),
            reading,
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
            _ if self.is_over() => {}
            Place::Call(call) => {
                let rest = call.finish();
                self.say(&rest);
            }
            Place::Reasoning { .. } => self.think(&held),
            Place::Edge(Edge::AfterMark | Edge::AfterCall) if held.trim().is_empty() => {}
            Place::Edge(_) | Place::Text => self.say(&held),
            Place::Between(read) => {
                let is_gap = |c| self.reading.syntax.is_gap(c);
                let rest = read.trim_start_matches(is_gap);
                self.say(rest);
            }
            Place::Heading(heading) if heading.trim_start().starts_with('<') => {}
            Place::Heading(heading) => self.say(&heading),
        }
        self.pieces
    }

    /// Whether what comes next is thought and not said.
    pub fn is_reasoning(&self) -> bool {
        matches!(self.place, Place::Reasoning { .. })
    }

    /// Whether the answer has made all calls it may make, or said that it ends: what comes after is not part of it.
    pub fn is_over(&self) -> bool {
        self.has_ended || self.calls >= self.reading.calls_max
    }

    fn read(&mut self, character: char) {
        if self.is_over() {
            return;
        }
        match &mut self.place {
            Place::Call(call) => {
                let read = call.read(character, &self.reading.tools);
                self.called(read);
            }
            Place::Heading(_) => self.head(character),
            Place::Edge(_) | Place::Reasoning { .. } | Place::Text | Place::Between(_) => {
                self.held.push(character);
                // Each round hands out at least one character, changes the place for a later one, or ends.
                while !self.held.is_empty() && !self.settle() {}
            }
        }
    }

    /// Looks at what is held: whether it must wait for more.
    fn settle(&mut self) -> bool {
        let blank = self.held.len() - self.held.trim_start().len();
        match &mut self.place {
            Place::Reasoning { begun } => {
                if !*begun {
                    if blank == self.held.len() {
                        return true;
                    }
                    self.held.drain(..blank);
                    *begun = true;
                }
                // White space before the end of thinking is no part of it either.
                self.settle_before_mark(Self::think)
            }
            Place::Text => self.settle_before_mark(Self::say),
            Place::Edge(edge) => {
                let edge = *edge;
                if let Some(waits) = self.at_mark(blank) {
                    return waits;
                }
                if edge != Edge::Beginning {
                    self.held.drain(..blank);
                }
                self.place = Place::Text;
                false
            }
            Place::Between(read) => {
                let syntax = self.reading.syntax;
                let gap = self.held.find(|c| !syntax.is_gap(c));
                let gap = gap.unwrap_or(self.held.len());
                read.extend(self.held.drain(..gap));
                if self.held.is_empty() {
                    return true;
                }
                if let Some(waits) = self.between_calls() {
                    return waits;
                }
                // White space after a call is no part of the text.
                let Place::Between(read) = std::mem::replace(&mut self.place, Place::Text) else {
                    return false;
                };
                self.say(read.trim_start());
                false
            }
            Place::Call(_) | Place::Heading(_) => true,
        }
    }

    /// Between calls: whether it must wait for more, if the section may go on or end.
    fn between_calls(&mut self) -> Option<bool> {
        let section = self
            .reading
            .syntax
            .section
            .map_or("", |section| section.close);
        if !section.is_empty() && section == self.held {
            self.held.clear();
            self.place = Place::Edge(Edge::AfterMark);
            return Some(true);
        }
        let waits = self.at_mark(0);
        match waits {
            Some(_) => waits,
            None => section.starts_with(self.held.as_str()).then_some(true),
        }
    }

    /// Hands out what is held but for white space that may come before a mark, and for what may become one. Whether it
    /// must wait for more.
    fn settle_before_mark(&mut self, hand_out: fn(&mut Self, &str)) -> bool {
        let blank = self.held.len() - self.held.trim_start().len();
        if let Some(waits) = self.at_mark(blank) {
            return waits;
        }
        let first = self.held[blank..].chars().next().map_or(0, char::len_utf8);
        let out: String = self.held.drain(..blank + first).collect();
        hand_out(self, &out);
        false
    }

    /// Goes on behind a mark that is held after `blank`, or waits because one may come; `None` if there is none.
    fn at_mark(&mut self, blank: usize) -> Option<bool> {
        let rest = &self.held[blank..];
        let marks = self.marks();
        if let Some((_, mark)) = marks.iter().find(|(text, _)| *text == rest) {
            let blank = self.held[..blank].to_owned();
            let text = std::mem::take(&mut self.held);
            self.behind(*mark, &blank, text);
            return Some(true);
        }
        marks
            .iter()
            .any(|(text, _)| text.starts_with(rest))
            .then_some(true)
    }

    /// Goes on behind a mark, which came after white space; `text` is both.
    fn behind(&mut self, mark: Mark, blank: &str, text: String) {
        let was_thinking = self.is_reasoning();
        // What was read since the last call is said if no call follows.
        let before = match std::mem::replace(&mut self.place, Place::Edge(Edge::AfterMark)) {
            Place::Between(read) => format!("{read}{text}").trim_start().to_owned(),
            Place::Edge(Edge::AfterMark | Edge::AfterCall) => text[blank.len()..].to_owned(),
            Place::Edge(Edge::Beginning)
            | Place::Reasoning { .. }
            | Place::Text
            | Place::Call(_)
            | Place::Heading(_) => text,
        };
        let syntax = self.reading.syntax;
        match mark {
            Mark::Think => {
                self.has_thought = true;
                self.place = Place::Reasoning { begun: false };
            }
            Mark::Thought => {
                if !was_thinking {
                    self.say(blank);
                }
                self.has_thought = true;
            }
            Mark::Section => self.place = Place::Between(before),
            Mark::Call => self.place = Place::Call(Box::new(Call::after(before, syntax))),
            Mark::Brace => {
                let before = before[..before.len() - 1].to_owned();
                let mut call = Call::after(before, syntax);
                let read = call.read('{', &self.reading.tools);
                self.place = Place::Call(Box::new(call));
                self.called(read);
            }
            Mark::Heading => self.place = Place::Heading(before.trim_start().to_owned()),
            Mark::EndOfPart => self.place = Place::Heading(String::new()),
            Mark::EndOfAnswer => self.has_ended = true,
        }
    }

    /// The next character of a heading.
    fn head(&mut self, character: char) {
        let Place::Heading(text) = &mut self.place else {
            return;
        };
        text.push(character);
        let begins = text.trim_start();
        let is_heading = ["<|start|>", "<|channel|>", "to="]
            .iter()
            .any(|mark| mark.starts_with(begins) || begins.starts_with(mark));
        if !is_heading || text.len() > HEADING_BYTES_MAX {
            let said = std::mem::take(text);
            self.place = Place::Text;
            if is_heading {
                self.say(&said);
            } else {
                self.again(&said);
            }
            return;
        }
        let Some(head) = text.strip_suffix(MESSAGE) else {
            return;
        };
        let syntax = self.reading.syntax;
        self.place = match heading(head) {
            Heading::Thought => Place::Reasoning { begun: false },
            Heading::Call(name) if self.reading.tools.iter().any(|tool| tool.name == name) => {
                Place::Call(Box::new(Call::of(name, String::new(), syntax)))
            }
            Heading::Call(_) | Heading::Said => Place::Text,
        };
        // Several parts of a kind are read as paragraphs of one.
        if self.is_reasoning() && self.has_thought {
            self.think(PARAGRAPH);
        } else if matches!(self.place, Place::Text) && self.has_said {
            self.say(PARAGRAPH);
        }
    }

    fn called(&mut self, read: Read) {
        let index = self.calls;
        match read {
            Read::Nothing => {}
            Read::Begun { name, arguments } => {
                self.pieces.push(Piece::ToolCall { index, name });
                self.argue(arguments);
            }
            Read::Whole { name, arguments } => {
                self.called(Read::Begun { name, arguments });
                self.called(Read::Ended {
                    arguments: String::new(),
                    rest: String::new(),
                });
            }
            Read::Arguments(text) => self.argue(text),
            Read::Ended { arguments, rest } => {
                self.argue(arguments);
                self.calls += 1;
                let syntax = self.reading.syntax;
                self.place = match syntax.body {
                    Body::Headed { .. } => {
                        self.has_ended = rest.is_empty();
                        Place::Text
                    }
                    Body::Json { .. } | Body::Tagged(_)
                        if syntax.section.is_some() || !syntax.separators.is_empty() =>
                    {
                        Place::Between(String::new())
                    }
                    Body::Json { .. } | Body::Tagged(_) => Place::Edge(Edge::AfterCall),
                };
                self.again(&rest);
            }
            Read::NoCall(text) => {
                self.place = Place::Text;
                self.say(&text);
            }
        }
    }

    /// Reads once more what was read as a part of something that it is no part of. It is shorter than that.
    fn again(&mut self, text: &str) {
        for character in text.chars() {
            self.read(character);
        }
    }

    fn say(&mut self, text: &str) {
        self.has_said |= !text.is_empty();
        self.add(Piece::Text(text.to_owned()));
    }

    fn think(&mut self, text: &str) {
        self.has_thought |= !text.is_empty();
        self.add(Piece::Reasoning(text.to_owned()));
    }

    fn argue(&mut self, text: String) {
        let index = self.calls;
        self.add(Piece::Arguments { index, text });
    }

    /// Adds a piece, to the one before if that is of its kind.
    fn add(&mut self, piece: Piece) {
        match (self.pieces.last_mut(), piece) {
            (
                _,
                Piece::Text(more) | Piece::Reasoning(more) | Piece::Arguments { text: more, .. },
            ) if more.is_empty() => {}
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
