//! A call as it comes, character after character, from behind its opening mark.

mod json;
mod kinds;
mod tagged;

use serde_json::Value;

use super::family::{Body, Syntax};
pub use kinds::Kinds;

use json::JsonCall;
use tagged::TaggedCall;

/// Longest call that is kept until it is clear. What is longer was said.
const BYTES_MAX: usize = 1 << 20;
/// Longest name, with the marks around it.
const HEAD_BYTES_MAX: usize = 512;

/// A tool that may be called.
#[derive(Debug, Clone)]
pub struct Callable {
    /// Its name.
    pub name: String,
    /// The schema of its arguments.
    pub schema: Value,
}

/// What a character tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Nothing yet.
    Nothing,
    /// Which tool is called.
    Begun {
        /// Its name.
        name: String,
        /// The first of its arguments, perhaps all.
        arguments: String,
    },
    /// All of a call at once.
    Whole {
        /// Its name.
        name: String,
        /// Its arguments.
        arguments: String,
    },
    /// More of the arguments.
    Arguments(String),
    /// Its end.
    Ended {
        /// The last of the arguments.
        arguments: String,
        /// What was read and is no part of it.
        rest: String,
    },
    /// It was no call: this was said.
    NoCall(String),
}

impl Read {
    fn ended(rest: impl Into<String>) -> Self {
        Self::Ended {
            arguments: String::new(),
            rest: rest.into(),
        }
    }
}

/// A call under way.
#[derive(Debug, Clone)]
pub struct Call {
    /// What was read before it, which is a part of the text if it turns out to be none.
    before: String,
    /// All of it, until it is clear that it is one.
    text: String,
    body: Reading,
}

#[derive(Debug, Clone)]
enum Reading {
    Json(JsonCall),
    Tagged(TaggedCall),
}

impl Call {
    /// One that begins now, after this.
    pub fn after(before: String, syntax: &'static Syntax) -> Self {
        let body = match &syntax.body {
            Body::Tagged(tags) => Reading::Tagged(TaggedCall::new(tags, syntax.call.close)),
            Body::Json { head, .. } => Reading::Json(JsonCall::new(*head, syntax.call.close)),
            // The heading is read before, and ends with what begins the arguments.
            Body::Headed { .. } => {
                Reading::Json(JsonCall::new(super::family::nothing, syntax.call.close))
            }
        };
        Self {
            before,
            text: String::new(),
            body,
        }
    }

    /// One whose name is known, and whose arguments begin now.
    pub fn of(name: &str, before: String, syntax: &'static Syntax) -> Self {
        Self {
            body: Reading::Json(JsonCall::of(name, syntax.call.close)),
            ..Self::after(before, syntax)
        }
    }

    /// Takes the next character of it.
    pub fn read(&mut self, character: char, tools: &[Callable]) -> Read {
        let is_open = !self.is_begun();
        if is_open {
            self.text.push(character);
        }
        let read = match &mut self.body {
            Reading::Json(call) => call.read(character, &self.text, tools),
            Reading::Tagged(call) => call.read(character, &self.text, tools),
        };
        match read {
            Read::NoCall(_) => Read::NoCall(self.said()),
            Read::Nothing if is_open && self.text.len() > BYTES_MAX => Read::NoCall(self.said()),
            read => read,
        }
    }

    /// What of it was said, when the answer ends within it.
    pub fn finish(&self) -> String {
        if self.is_begun() {
            String::new()
        } else {
            self.said()
        }
    }

    /// Whether its name was handed out.
    fn is_begun(&self) -> bool {
        match &self.body {
            Reading::Json(call) => call.is_begun(),
            Reading::Tagged(call) => call.is_begun(),
        }
    }

    /// As what it was if it is no call.
    fn said(&self) -> String {
        format!("{}{}", self.before, self.text)
    }
}

/// What may come after a call's arguments: its closing mark.
#[derive(Debug, Clone, Default)]
struct Tail(String);

impl Tail {
    /// Whether the call has ended with this character, and with what left over.
    fn read(&mut self, character: char, close: &str) -> Read {
        self.0.push(character);
        let rest = self.0.trim_start();
        // DeepSeek's fence, which some others write as well.
        let rest = rest.strip_prefix("```").map_or(rest, str::trim_start);
        if rest == close {
            return Read::ended("");
        }
        if close.starts_with(rest) || "```".starts_with(rest) {
            return Read::Nothing;
        }
        Read::ended(std::mem::take(&mut self.0))
    }
}
