//! Calls whose arguments stand between tags. They come out as JSON: texts as they come, other values when they are whole.

use serde_json::Value;

use super::kinds::Kinds;
use super::{BYTES_MAX, Callable, HEAD_BYTES_MAX, Read, Tail};
use crate::answer::family::Tags;

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct TaggedCall {
    tags: &'static Tags,
    /// The call's own closing mark.
    close: &'static str,
    /// The schema of the tool that is called.
    schema: Value,
    /// Arguments so far.
    count: u32,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// Before the tool's name is whole.
    Name,
    /// Between arguments.
    Between(String),
    /// In an argument's name.
    Key(String),
    /// Between an argument's name and its value.
    Before(String, Kinds),
    /// In a value. `is_fresh`: nothing of it has come.
    Value {
        kinds: Kinds,
        held: String,
        is_fresh: bool,
    },
    /// After the last argument.
    Tail(Tail),
}

impl TaggedCall {
    /// One that begins now.
    pub fn new(tags: &'static Tags, close: &'static str) -> Self {
        Self {
            tags,
            close,
            schema: Value::Null,
            count: 0,
            place: Place::Name,
        }
    }

    /// Whether its name was handed out.
    pub fn is_begun(&self) -> bool {
        !matches!(self.place, Place::Name)
    }

    /// Takes the next character. `text` is all so far, as long as nothing was handed out.
    pub fn read(&mut self, character: char, text: &str, tools: &[Callable]) -> Read {
        match &mut self.place {
            Place::Name => self.name(text, tools),
            Place::Between(gap) => {
                gap.push(character);
                let gap = gap.clone();
                self.between(&gap)
            }
            Place::Key(key) => {
                key.push(character);
                let Some(key) = key.strip_suffix(self.tags.key.close) else {
                    if key.len() > HEAD_BYTES_MAX {
                        let rest = std::mem::take(key);
                        return self.end(rest);
                    }
                    return Read::Nothing;
                };
                let key = key.to_owned();
                self.key(&key)
            }
            Place::Before(gap, kinds) => {
                gap.push(character);
                let rest = gap.trim_start();
                if rest == self.tags.value.open {
                    let kinds = *kinds;
                    self.begin_value(kinds);
                    return Read::Nothing;
                }
                if self.tags.value.open.starts_with(rest) {
                    return Read::Nothing;
                }
                // A value without its opening tag.
                let (kinds, gap) = (*kinds, std::mem::take(gap));
                self.begin_value(kinds);
                self.value(&gap)
            }
            Place::Value { .. } => self.value(character.encode_utf8(&mut [0; 4])),
            Place::Tail(tail) => tail.read(character, self.close),
        }
    }

    fn name(&mut self, text: &str, tools: &[Callable]) -> Read {
        let no_call = Read::NoCall(String::new());
        let Tags { name: around, .. } = self.tags;
        let rest = text.trim_start();
        let Some(name) = rest.strip_prefix(around.open) else {
            return if around.open.starts_with(rest) {
                Read::Nothing
            } else {
                no_call
            };
        };
        // Without a mark of its own it ends with its line, or where the next tag begins.
        let after = match around.close {
            "" => name.strip_suffix(['\n', '<']),
            close => name.strip_suffix(close),
        };
        let Some(after) = after else {
            return if name.len() > HEAD_BYTES_MAX {
                no_call
            } else {
                Read::Nothing
            };
        };
        let name = after.trim();
        let Some(tool) = tools.iter().find(|tool| tool.name == name) else {
            return no_call;
        };
        self.schema = tool.schema.clone();
        let next = if text.ends_with('<') { "<" } else { "" };
        self.place = Place::Between(next.to_owned());
        Read::Begun {
            name: name.to_owned(),
            arguments: String::new(),
        }
    }

    fn between(&mut self, gap: &str) -> Read {
        let Tags { key, end, .. } = self.tags;
        let rest = gap.trim_start();
        if rest == key.open {
            self.place = Place::Key(String::new());
            return Read::Nothing;
        }
        if rest == self.close {
            return self.end(String::new());
        }
        if !end.is_empty() && rest == *end {
            self.place = Place::Tail(Tail::default());
            return Read::Arguments(self.closing());
        }
        if [key.open, self.close, end]
            .iter()
            .any(|mark| mark.starts_with(rest))
        {
            return Read::Nothing;
        }
        self.end(gap.to_owned())
    }

    /// An argument's name, with what else its tag says.
    fn key(&mut self, tag: &str) -> Read {
        let (key, says) = tag.split_once('"').unwrap_or((tag, ""));
        let key = key.trim();
        let kinds = if self.tags.says_kind && says.contains("string=\"true\"") {
            Kinds::STRING
        } else if self.tags.says_kind && says.contains("string=\"false\"") {
            Kinds::NOT_STRING
        } else {
            Kinds::of(&self.schema, key)
        };
        let comma = if self.count == 0 { "{" } else { ", " };
        self.count += 1;
        if self.tags.value.open.is_empty() {
            self.begin_value(kinds);
        } else {
            self.place = Place::Before(String::new(), kinds);
        }
        let quote = if kinds.is_string() { "\"" } else { "" };
        Read::Arguments(format!("{comma}{}: {quote}", Value::from(key)))
    }

    fn begin_value(&mut self, kinds: Kinds) {
        self.place = Place::Value {
            kinds,
            held: String::new(),
            is_fresh: true,
        };
    }

    /// More of a value.
    fn value(&mut self, more: &str) -> Read {
        let Place::Value {
            kinds,
            held,
            is_fresh,
        } = &mut self.place
        else {
            return Read::Nothing;
        };
        let more = match more.strip_prefix('\n') {
            Some(more) if *is_fresh && self.tags.is_padded => more,
            Some(_) | None => more,
        };
        *is_fresh = false;
        held.push_str(more);
        let close = self.tags.value.close;
        if let Some(value) = held.strip_suffix(close) {
            let value = match value.strip_suffix('\n') {
                Some(value) if self.tags.is_padded => value,
                Some(_) | None => value,
            };
            let json = if kinds.is_string() {
                format!("{}\"", escaped(value))
            } else {
                kinds.json(value)
            };
            self.place = Place::Between(String::new());
            return Read::Arguments(json);
        }
        if !kinds.is_string() {
            if held.len() <= BYTES_MAX {
                return Read::Nothing;
            }
            // Too long for anything but text.
            *kinds = Kinds::STRING;
            return Read::Arguments("\"".to_owned());
        }
        let keep = end_that_begins(held, close, self.tags.is_padded);
        let rest = held.split_off(held.len() - keep);
        match std::mem::replace(held, rest) {
            text if text.is_empty() => Read::Nothing,
            text => Read::Arguments(escaped(&text)),
        }
    }

    /// What closes the arguments.
    fn closing(&self) -> String {
        if self.count == 0 { "{}" } else { "}" }.to_owned()
    }

    fn end(&mut self, rest: String) -> Read {
        self.place = Place::Tail(Tail::default());
        let arguments = self.closing();
        Read::Ended { arguments, rest }
    }
}

/// As it stands within JSON's quotes.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Length of the longest end of a text that `mark` begins with, and the line break before it if it `is_padded`.
fn end_that_begins(text: &str, mark: &str, is_padded: bool) -> usize {
    let from = text.len().saturating_sub(mark.len());
    let kept = (from..text.len())
        .filter(|&at| text.is_char_boundary(at))
        .find(|&at| mark.starts_with(&text[at..]))
        .map_or(0, |at| text.len() - at);
    let before = &text[..text.len() - kept];
    kept + usize::from(is_padded && before.ends_with('\n'))
}
