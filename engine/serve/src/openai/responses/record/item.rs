//! The items of a response: the newest grows, those before it are done. Each change is told in an event. Pure.

use base::ScoredToken;
use serde_json::{Value, json};

use super::Telling;
use crate::openai::custom::input_of;
use crate::openai::responses::events::Numbered;
use crate::openai::stream::chat_logprobs;

/// What marks a text that only this server can have written. It never leaves the machines of its user, so it is the text itself.
const OWN_MARK: &str = "espalier:";

/// What clients keep and give back, and need not read.
pub(in crate::openai::responses) fn encrypted(text: &str) -> String {
    format!("{OWN_MARK}{text}")
}

/// What the model thought, as it comes back from a client; `None` if another server wrote it.
pub(in crate::openai::responses) fn decrypted(content: &str) -> Option<&str> {
    content.strip_prefix(OWN_MARK)
}

/// All items, and the events that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Items {
    /// Ids are made of it.
    unique: String,
    telling: Telling,
    all: Vec<Value>,
    open: Option<Open>,
    /// The tokens behind what is said next.
    tokens: Vec<ScoredToken>,
    pub(super) events: Numbered,
}

/// The item that grows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Open {
    Message,
    /// Thoughts as they are.
    Thoughts,
    /// Thoughts as a summary of them.
    Summary,
    Call,
    /// A call with text, which is within these arguments.
    Custom(String),
}

impl Items {
    pub(super) fn new(unique: String, telling: Telling) -> Self {
        Self {
            unique,
            telling,
            all: Vec::new(),
            open: None,
            tokens: Vec::new(),
            events: Numbered::default(),
        }
    }

    pub(super) fn all(&self) -> &[Value] {
        &self.all
    }

    /// Tokens behind the next piece.
    pub(super) fn behind(&mut self, tokens: Vec<ScoredToken>) {
        if self.telling.logprobs {
            self.tokens.extend(tokens);
        }
    }

    /// More words.
    pub(super) fn say(&mut self, text: &str) {
        if self.open != Some(Open::Message) {
            self.begin(
                "msg",
                json!({"type": "message", "role": "assistant", "content": []}),
                Open::Message,
            );
            let part =
                json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
            self.begin_part("content", &part);
        }
        let logprobs = json!(chat_logprobs(std::mem::take(&mut self.tokens)).content);
        let part = &mut self.newest()["content"][0];
        append(&mut part["text"], text);
        if let (Value::Array(all), Value::Array(more)) = (&mut part["logprobs"], &logprobs) {
            all.extend(more.iter().cloned());
        }
        if !text.is_empty() {
            let event = json!({"content_index": 0, "delta": text, "logprobs": logprobs});
            self.tell("response.output_text.delta", event);
        }
    }

    /// More thoughts.
    pub(super) fn think(&mut self, text: &str) {
        let (open, field) = if self.telling.summary {
            (Open::Summary, "summary")
        } else {
            (Open::Thoughts, "content")
        };
        if self.open.as_ref() != Some(&open) {
            let mut item = json!({"type": "reasoning", "summary": []});
            if !self.telling.summary {
                item["content"] = json!([]);
            }
            self.begin("rs", item, open);
            let kind = if self.telling.summary {
                "summary_text"
            } else {
                "reasoning_text"
            };
            self.begin_part(field, &json!({"type": kind, "text": ""}));
        }
        append(&mut self.newest()[field][0]["text"], text);
        let event = json!({(self.index_name()): 0, "delta": text});
        let kind = format!("response.{}.delta", self.part_name());
        self.tell(&kind, event);
    }

    /// The next call begins; its id.
    pub(super) fn call(&mut self, index: u32, name: &str) -> String {
        let call_id = format!("call_{}{index:03}", self.unique);
        if self.telling.forms.is_custom(name) {
            let item =
                json!({"type": "custom_tool_call", "call_id": call_id, "name": name, "input": ""});
            self.begin("ctc", item, Open::Custom(String::new()));
        } else {
            let item =
                json!({"type": "function_call", "call_id": call_id, "name": name, "arguments": ""});
            self.begin("fc", item, Open::Call);
        }
        call_id
    }

    /// More of the arguments of the call that grows.
    pub(super) fn arguments(&mut self, text: &str) {
        match &mut self.open {
            // The text is within JSON, and is known when that is whole.
            Some(Open::Custom(arguments)) => arguments.push_str(text),
            Some(Open::Call) => {
                append(&mut self.newest()["arguments"], text);
                self.tell(
                    "response.function_call_arguments.delta",
                    json!({"delta": text}),
                );
            }
            Some(Open::Message | Open::Thoughts | Open::Summary) | None => {}
        }
    }

    /// Ends the item that grows, if one does.
    pub(super) fn close(&mut self, status: &str) {
        let Some(open) = self.open.clone() else {
            return;
        };
        match &open {
            Open::Message => self.end_part(
                "content",
                json!({"logprobs": self.newest_now()["content"][0]["logprobs"]}),
            ),
            Open::Thoughts => self.end_part("content", json!({})),
            Open::Summary => self.end_part("summary", json!({})),
            Open::Call => {
                let item = self.newest_now();
                let event = json!({"name": item["name"], "arguments": item["arguments"]});
                self.tell("response.function_call_arguments.done", event);
            }
            Open::Custom(arguments) => {
                let input = input_of(arguments);
                self.newest()["input"] = json!(input);
                self.tell(
                    "response.custom_tool_call_input.delta",
                    json!({"delta": input}),
                );
                self.tell(
                    "response.custom_tool_call_input.done",
                    json!({"input": input}),
                );
            }
        }
        if self.telling.encrypted && matches!(open, Open::Thoughts | Open::Summary) {
            let field = if open == Open::Summary {
                "summary"
            } else {
                "content"
            };
            let item = self.newest();
            let text = item[field][0]["text"].as_str().unwrap_or_default();
            item["encrypted_content"] = json!(encrypted(text));
        }
        self.newest()["status"] = json!(status);
        self.open = None;
        let item = self.newest_now().clone();
        self.tell_of(json!({"item": item}), "response.output_item.done");
    }

    /// A new item, after the end of the one before.
    fn begin(&mut self, prefix: &str, mut item: Value, open: Open) {
        self.close("completed");
        item["id"] = json!(format!("{prefix}_{}{:03}", self.unique, self.all.len()));
        item["status"] = json!("in_progress");
        self.all.push(item.clone());
        self.open = Some(open);
        self.tell_of(json!({"item": item}), "response.output_item.added");
    }

    /// The first part of the item that grows.
    fn begin_part(&mut self, field: &str, part: &Value) {
        self.newest()[field] = json!([part]);
        self.tell_of_part("added", json!({"part": part}));
    }

    fn end_part(&mut self, field: &str, mut done: Value) {
        let part = self.newest_now()[field][0].clone();
        done["text"] = part["text"].clone();
        done[self.index_name()] = json!(0);
        let kind = format!("response.{}.done", self.part_name());
        self.tell(&kind, done);
        self.tell_of_part("done", json!({"part": part}));
    }

    fn tell_of_part(&mut self, what: &str, mut event: Value) {
        event[self.index_name()] = json!(0);
        let part = if self.open == Some(Open::Summary) {
            "reasoning_summary_part"
        } else {
            "content_part"
        };
        self.tell(&format!("response.{part}.{what}"), event);
    }

    /// What counts the parts of the item that grows.
    fn index_name(&self) -> &'static str {
        if self.open == Some(Open::Summary) {
            "summary_index"
        } else {
            "content_index"
        }
    }

    /// What the parts of the item that grows are called.
    fn part_name(&self) -> &'static str {
        match self.open {
            Some(Open::Summary) => "reasoning_summary_text",
            Some(Open::Thoughts) => "reasoning_text",
            Some(Open::Message | Open::Call | Open::Custom(_)) | None => "output_text",
        }
    }

    /// An event of the newest item.
    fn tell(&mut self, kind: &str, mut event: Value) {
        event["item_id"] = self.newest_now()["id"].clone();
        self.tell_of(event, kind);
    }

    fn tell_of(&mut self, mut event: Value, kind: &str) {
        event["output_index"] = json!(self.all.len().saturating_sub(1));
        self.events.tell(kind, event);
    }

    /// The item that grows.
    fn newest(&mut self) -> &mut Value {
        let newest = self.all.last_mut();
        newest.expect("an item is in the list from its beginning on")
    }

    fn newest_now(&self) -> &Value {
        self.all.last().unwrap_or(&Value::Null)
    }
}

fn append(text: &mut Value, more: &str) {
    if let Value::String(text) = text {
        text.push_str(more);
    }
}
