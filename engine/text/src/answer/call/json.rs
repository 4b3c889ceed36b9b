//! Calls whose arguments are JSON: after the name, or in an object with it. The arguments are handed out as they come.

use serde::Deserialize;
use serde_json::Value;

use super::{Callable, HEAD_BYTES_MAX, Read, Tail};
use crate::answer::family::Head;

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct JsonCall {
    head: fn(&str) -> Head<'_>,
    /// Its closing mark, if it has one.
    close: &'static str,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// Before the first brace.
    Head,
    /// The name is known, the arguments are to come.
    Named(String),
    /// In an object whose name and arguments are not clear yet, which begins there in the text.
    Object { start: usize, depth: Depth },
    /// Within the arguments.
    Arguments { depth: Depth, in_object: bool },
    /// In what an object has after its arguments.
    Rest { depth: Depth, text: String },
    /// At the closing mark.
    Tail(Tail),
}

/// Where one is in JSON text.
#[derive(Debug, Clone, Copy, Default)]
struct Depth {
    open: u32,
    in_string: bool,
    escaped: bool,
}

#[derive(Deserialize)]
struct Written {
    name: String,
    #[serde(alias = "parameters")]
    arguments: Option<Value>,
}

impl JsonCall {
    /// One that begins now.
    pub fn new(head: fn(&str) -> Head<'_>, close: &'static str) -> Self {
        let place = Place::Head;
        Self { head, close, place }
    }

    /// One whose arguments begin now.
    pub fn of(name: &str, close: &'static str) -> Self {
        Self {
            place: Place::Named(name.to_owned()),
            ..Self::new(|_| Head::None, close)
        }
    }

    /// Whether its name was handed out.
    pub fn is_begun(&self) -> bool {
        match self.place {
            Place::Head | Place::Named(_) | Place::Object { .. } => false,
            Place::Arguments { .. } | Place::Rest { .. } | Place::Tail(_) => true,
        }
    }

    /// Takes the next character. `text` is all so far, as long as nothing was handed out.
    pub fn read(&mut self, character: char, text: &str, tools: &[Callable]) -> Read {
        match &mut self.place {
            Place::Head => self.head(character, text, tools),
            Place::Named(name) => {
                let name = name.clone();
                match character {
                    '{' => self.begin(&name, false, tools),
                    _ if character.is_whitespace() => Read::Nothing,
                    _ => no_call(),
                }
            }
            Place::Object { start, depth } => {
                let is_whole = depth.ends_with(character);
                let may_begin = character == '{' && depth.open == 2 && !depth.in_string;
                let object = &text[*start..];
                self.object(object, is_whole, may_begin, tools)
            }
            Place::Arguments { depth, in_object } => {
                // Not JSON any more: they end here, as the mark that may begin here says.
                if !depth.in_string && character == '<' {
                    return self.tail(character);
                }
                if depth.ends_with(character) {
                    self.place = match *in_object {
                        true => Place::Rest {
                            depth: Depth::OBJECT,
                            text: String::new(),
                        },
                        false if self.close.is_empty() => {
                            return Read::Ended {
                                arguments: character.to_string(),
                                rest: String::new(),
                            };
                        }
                        false => Place::Tail(Tail::default()),
                    };
                }
                Read::Arguments(character.to_string())
            }
            Place::Rest { depth, text } => {
                let is_json = !text.trim_start().is_empty() || character.is_whitespace();
                if !is_json && !matches!(character, ',' | '}') {
                    let blank = std::mem::take(text);
                    return self.rest(&blank, character);
                }
                text.push(character);
                if text.len() > HEAD_BYTES_MAX {
                    return Read::ended(std::mem::take(text));
                }
                if !depth.ends_with(character) {
                    return Read::Nothing;
                }
                if self.close.is_empty() {
                    return Read::ended("");
                }
                self.place = Place::Tail(Tail::default());
                Read::Nothing
            }
            Place::Tail(tail) => tail.read(character, self.close),
        }
    }

    /// In an object: whether it is whole, or its arguments begin.
    fn object(
        &mut self,
        object: &str,
        is_whole: bool,
        may_begin: bool,
        tools: &[Callable],
    ) -> Read {
        if is_whole || (!self.close.is_empty() && object.ends_with(self.close)) {
            return self.whole(object, tools);
        }
        if !may_begin {
            return Read::Nothing;
        }
        // What there is, with nothing as its arguments, is JSON if it is what it seems to be.
        match serde_json::from_str::<Written>(&format!("{object}}}}}")) {
            Ok(Written {
                name,
                arguments: Some(_),
            }) => self.begin(&name, true, tools),
            Ok(_) | Err(_) => Read::Nothing,
        }
    }

    fn head(&mut self, character: char, text: &str, tools: &[Callable]) -> Read {
        if !self.close.is_empty() && text.ends_with(self.close) {
            let head = (self.head)(&text[..text.len() - self.close.len()]);
            return match head {
                Head::Name(name) if is_known(name, tools) => Read::Whole {
                    name: name.to_owned(),
                    arguments: "{}".to_owned(),
                },
                Head::Name(_) | Head::Object | Head::Open | Head::None => no_call(),
            };
        }
        let before = text.strip_suffix('{').unwrap_or(text);
        match (self.head)(before) {
            Head::Name(name) if character == '{' => self.begin(name, false, tools),
            Head::Object if character == '{' => {
                self.place = Place::Object {
                    start: before.len(),
                    depth: Depth::OBJECT,
                };
                Read::Nothing
            }
            Head::None => no_call(),
            Head::Open if character == '{' => no_call(),
            _ if text.len() > HEAD_BYTES_MAX => no_call(),
            Head::Name(_) | Head::Object | Head::Open => Read::Nothing,
        }
    }

    /// With the brace that begins the arguments.
    fn begin(&mut self, name: &str, in_object: bool, tools: &[Callable]) -> Read {
        if !is_known(name, tools) {
            return no_call();
        }
        let depth = Depth::OBJECT;
        self.place = Place::Arguments { depth, in_object };
        Read::Begun {
            name: name.to_owned(),
            arguments: "{".to_owned(),
        }
    }

    /// An object that is looked at when it is whole.
    fn whole(&mut self, object: &str, tools: &[Callable]) -> Read {
        let written = serde_json::from_str::<Written>(object).ok();
        let call = written.filter(|call| is_known(&call.name, tools));
        let Some(Written { name, arguments }) = call else {
            return no_call();
        };
        let arguments = match arguments {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(arguments @ Value::Object(_)) => arguments.to_string(),
            // Some models write the object as a string.
            Some(Value::String(text)) if is_object(&text) => text,
            Some(_) => return no_call(),
        };
        self.place = Place::Tail(Tail::default());
        Read::Begun { name, arguments }
    }

    fn tail(&mut self, character: char) -> Read {
        self.rest("", character)
    }

    /// At the closing mark, or at what is no part of the call.
    fn rest(&mut self, blank: &str, character: char) -> Read {
        let mut tail = Tail(blank.to_owned());
        let read = tail.read(character, self.close);
        self.place = Place::Tail(tail);
        read
    }
}

fn no_call() -> Read {
    Read::NoCall(String::new())
}

fn is_known(name: &str, tools: &[Callable]) -> bool {
    tools.iter().any(|tool| tool.name == name)
}

fn is_object(text: &str) -> bool {
    serde_json::from_str(text).is_ok_and(|value: Value| value.is_object())
}

impl Depth {
    /// After its first brace.
    const OBJECT: Self = Self {
        open: 1,
        in_string: false,
        escaped: false,
    };

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
