//! A call in Hermes' form: `{"name": "...", "arguments": {...}}` up to the closing tag, as it comes.
//!
//! Nous Research's Hermes function calling; Qwen2.5 and Qwen3 write the same.

use serde::Deserialize;
use serde_json::Value;

use super::{CALL, CALLED};

/// Longest call that is read as one. What is longer was said.
const BYTES_MAX: usize = 1 << 20;

/// A call under way.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// White space before it, which is a part of the text if it turns out to be none.
    before: String,
    /// All of it so far.
    text: String,
    place: Place,
}

#[derive(Debug, Clone, Default)]
enum Place {
    /// Before its arguments. They are handed out as they come if the name comes before them.
    #[default]
    Head,
    /// Within the arguments, an object.
    Arguments(Depth),
    /// After them.
    Tail,
    /// It is none, or is written another way: it is looked at when it is whole.
    Unclear,
}

/// Where one is in JSON text.
#[derive(Debug, Clone, Copy, Default)]
struct Depth {
    open: u32,
    in_string: bool,
    escaped: bool,
}

/// What a character tells.
#[derive(Debug)]
pub enum Read {
    /// Nothing yet.
    Nothing,
    /// The name of the tool, and the brace that begins its arguments.
    Name(String),
    /// More of the arguments.
    Arguments(String),
    /// All at once.
    Whole {
        /// The tool.
        name: String,
        /// An object.
        arguments: String,
    },
    /// Its end, after a name and arguments.
    Ended,
    /// It was no call: this was said.
    NoCall(String),
}

#[derive(Deserialize)]
struct Written {
    name: String,
    #[serde(alias = "parameters")]
    arguments: Option<Value>,
}

impl Call {
    /// One that begins now, after white space.
    pub fn after(before: &str) -> Self {
        Self {
            before: before.to_owned(),
            ..Self::default()
        }
    }

    /// Takes the next character of it.
    pub fn read(&mut self, character: char, tools: &[String]) -> Read {
        self.text.push(character);
        let read = match &mut self.place {
            Place::Head => self.head(character, tools),
            Place::Arguments(depth) => {
                if depth.ends_with(character) {
                    self.place = Place::Tail;
                }
                Read::Arguments(character.to_string())
            }
            Place::Tail if self.text.ends_with(CALLED) => Read::Ended,
            Place::Unclear if self.text.ends_with(CALLED) => self.whole(tools),
            Place::Tail | Place::Unclear => Read::Nothing,
        };
        let handed_out = matches!(self.place, Place::Arguments(_) | Place::Tail);
        match read {
            Read::Nothing if self.text.len() > BYTES_MAX && !handed_out => {
                Read::NoCall(self.said())
            }
            read => read,
        }
    }

    /// What of it was said, when the answer ends within it.
    pub fn finish(&self) -> String {
        match self.place {
            Place::Arguments(_) | Place::Tail => String::new(),
            Place::Head | Place::Unclear => self.said(),
        }
    }

    /// As what it was if it is no call.
    fn said(&self) -> String {
        format!("{}{CALL}{}", self.before, self.text)
    }

    /// Before the arguments. The first brace after the name begins them.
    fn head(&mut self, character: char, tools: &[String]) -> Read {
        if self.text.ends_with(CALLED) {
            return self.whole(tools);
        }
        let mut fields = self.text.bytes().filter(|&byte| byte == b'{');
        if character != '{' || fields.nth(1).is_none() {
            return Read::Nothing;
        }
        // The head with nothing as its arguments is JSON if it is what it seems to be.
        let closed = format!("{}}}}}", self.text);
        match serde_json::from_str::<Written>(&closed) {
            Ok(Written {
                name,
                arguments: Some(_),
            }) if tools.contains(&name) => {
                self.place = Place::Arguments(Depth {
                    open: 1,
                    ..Depth::default()
                });
                Read::Name(name)
            }
            Ok(_) | Err(_) => {
                self.place = Place::Unclear;
                Read::Nothing
            }
        }
    }

    fn whole(&self, tools: &[String]) -> Read {
        let json = &self.text[..self.text.len() - CALLED.len()];
        let written = serde_json::from_str::<Written>(json).ok();
        let call = written.filter(|call| tools.contains(&call.name));
        let Some(Written { name, arguments }) = call else {
            return Read::NoCall(self.said());
        };
        let arguments = match arguments {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(arguments @ Value::Object(_)) => arguments.to_string(),
            // Some models write the object as a string.
            Some(Value::String(text)) if is_object(&text) => text,
            Some(_) => return Read::NoCall(self.said()),
        };
        Read::Whole { name, arguments }
    }
}

fn is_object(text: &str) -> bool {
    serde_json::from_str(text).is_ok_and(|value: Value| value.is_object())
}

impl Depth {
    /// Whether the object is complete with this character.
    fn ends_with(&mut self, character: char) -> bool {
        match character {
            _ if self.escaped => self.escaped = false,
            '\\' if self.in_string => self.escaped = true,
            '"' => self.in_string = !self.in_string,
            '{' | '[' if !self.in_string => self.open += 1,
            '}' | ']' if !self.in_string => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        self.open == 0
    }
}
