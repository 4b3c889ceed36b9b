//! A response as it grows: from the events of a generation to items, and to the numbered events that tell of them. Pure.

use base::{Failure, FinishReason, GenerateEvent, Message, Piece, Role, ToolCall, Usage};
use serde_json::{Map, Value, json};

use super::events::Numbered;

/// A response and what has come of it so far.
#[derive(Debug)]
pub(super) struct Record {
    id: String,
    /// Ids of items are made of it.
    unique: String,
    response: Map<String, Value>,
    output: Vec<Value>,
    open: Option<Open>,
    /// The model's turn, for whoever goes on from it.
    turn: Message,
    events: Numbered,
}

/// The item that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Reasoning,
    Message,
    Call,
}

impl Record {
    /// A response to which nothing is said yet. `repeated` is what it repeats of its request.
    pub(super) fn new(unique: String, model: &str, created: u64, repeated: Value) -> Self {
        let id = format!("resp_{unique}");
        let mut response = match repeated {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let own = json!({
            "id": id, "object": "response", "created_at": created, "completed_at": null, "status": "in_progress",
            "error": null, "incomplete_details": null, "model": model, "output": [], "usage": null,
        });
        if let Value::Object(own) = own {
            response.extend(own);
        }
        Self {
            id,
            unique,
            response,
            output: Vec::new(),
            open: None,
            turn: Message::new(Role::Assistant, ""),
            events: Numbered::default(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// As it is now.
    pub(super) fn response(&self) -> Value {
        let mut response = self.response.clone();
        response.insert("output".to_owned(), json!(self.output));
        Value::Object(response)
    }

    /// What the model has said, as a turn.
    pub(super) fn turn(&self) -> &Message {
        &self.turn
    }

    /// Events that nobody has taken yet.
    pub(super) fn take_events(&mut self) -> Vec<Value> {
        self.events.take()
    }

    /// It waits for its turn in the background.
    pub(super) fn queue(&mut self) {
        self.set("status", json!("queued"));
        self.tell_all("response.created");
        self.tell_all("response.queued");
    }

    pub(super) fn begin(&mut self) {
        let queued = self.response["status"] == "queued";
        self.set("status", json!("in_progress"));
        if !queued {
            self.tell_all("response.created");
        }
        self.tell_all("response.in_progress");
    }

    pub(super) fn hear(&mut self, event: GenerateEvent, now: u64) {
        match event {
            GenerateEvent::Started { model, .. } => self.set("model", json!(model)),
            GenerateEvent::Prompt(_) => {}
            GenerateEvent::Delta { piece, .. } => self.piece(piece),
            GenerateEvent::Finished { reason, usage, .. } => self.finish(reason, usage, now),
        }
    }

    /// It ends in an error.
    pub(super) fn fail(&mut self, failure: &Failure) {
        let code = match failure.code {
            base::ErrorCode::Overloaded => "rate_limit_exceeded",
            base::ErrorCode::InvalidRequest | base::ErrorCode::ContextTooLong => "invalid_prompt",
            _ => "server_error",
        };
        self.close("incomplete");
        self.set("status", json!("failed"));
        self.set(
            "error",
            json!({"code": code, "message": failure.to_string()}),
        );
        self.tell_all("response.failed");
    }

    /// Somebody does not want it any more.
    pub(super) fn cancel(&mut self) {
        self.close("incomplete");
        self.set("status", json!("cancelled"));
        self.tell_all("response.cancelled");
    }

    fn set(&mut self, field: &str, value: Value) {
        self.response.insert(field.to_owned(), value);
    }

    fn tell_all(&mut self, kind: &str) {
        let response = self.response();
        self.events.tell(kind, json!({"response": response}));
    }

    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) if text.is_empty() => {}
            Piece::Reasoning(text) if text.is_empty() => {}
            Piece::Text(text) => {
                self.turn.content.push_str(&text);
                self.grow(Open::Message, &text);
            }
            Piece::Reasoning(text) => {
                self.turn.reasoning.push_str(&text);
                self.grow(Open::Reasoning, &text);
            }
            Piece::ToolCall { index, name } => self.call(index, name),
            Piece::Arguments { text, .. } => self.arguments(&text),
        }
    }

    /// Adds to an item of this kind, which may have to begin.
    fn grow(&mut self, kind: Open, text: &str) {
        if self.open != Some(kind) {
            self.close("completed");
            self.open_item(kind);
        }
        let Some(item) = self.output.last_mut() else {
            return;
        };
        append(&mut item["content"][0]["text"], text);
        let mut event = json!({"item_id": item["id"], "content_index": 0, "delta": text});
        if kind == Open::Message {
            event["logprobs"] = json!([]);
        }
        self.tell_of_item(&format!("{}.delta", name_of(kind)), event);
    }

    fn open_item(&mut self, kind: Open) {
        let at = self.output.len();
        let (item, part) = match kind {
            Open::Reasoning => (
                json!({
                    "id": format!("rs_{}{at:03}", self.unique), "type": "reasoning", "status": "in_progress",
                    "summary": [], "content": [],
                }),
                json!({"type": "reasoning_text", "text": ""}),
            ),
            Open::Message | Open::Call => (
                json!({
                    "id": format!("msg_{}{at:03}", self.unique), "type": "message", "status": "in_progress",
                    "role": "assistant", "content": [],
                }),
                json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []}),
            ),
        };
        let id = item["id"].clone();
        self.output.push(item.clone());
        self.open = Some(kind);
        self.tell_of_item("response.output_item.added", json!({"item": item}));
        let event = json!({"item_id": id, "content_index": 0, "part": part});
        self.tell_of_item("response.content_part.added", event);
        if let Some(item) = self.output.last_mut() {
            item["content"] = json!([part]);
        }
    }

    fn call(&mut self, index: u32, name: String) {
        self.close("completed");
        let at = self.output.len();
        let call_id = format!("call_{}{index:03}", self.unique);
        let item = json!({
            "id": format!("fc_{}{at:03}", self.unique), "type": "function_call", "status": "in_progress",
            "call_id": call_id, "name": name, "arguments": "",
        });
        self.turn.tool_calls.push(ToolCall {
            id: call_id,
            name,
            arguments: String::new(),
        });
        self.output.push(item.clone());
        self.open = Some(Open::Call);
        self.tell_of_item("response.output_item.added", json!({"item": item}));
    }

    fn arguments(&mut self, text: &str) {
        let (Some(Open::Call), Some(item), Some(call)) = (
            self.open,
            self.output.last_mut(),
            self.turn.tool_calls.last_mut(),
        ) else {
            return;
        };
        call.arguments.push_str(text);
        append(&mut item["arguments"], text);
        let event = json!({"item_id": item["id"], "delta": text});
        self.tell_of_item("response.function_call_arguments.delta", event);
    }

    /// Ends the item that grows, if one does.
    fn close(&mut self, status: &str) {
        let (Some(kind), Some(item)) = (self.open.take(), self.output.last_mut()) else {
            return;
        };
        item["status"] = json!(status);
        let item = item.clone();
        let id = &item["id"];
        if kind == Open::Call {
            let event =
                json!({"item_id": id, "name": item["name"], "arguments": item["arguments"]});
            self.tell_of_item("response.function_call_arguments.done", event);
        } else {
            let part = &item["content"][0];
            let mut event = json!({"item_id": id, "content_index": 0, "text": part["text"]});
            if kind == Open::Message {
                event["logprobs"] = json!([]);
            }
            self.tell_of_item(&format!("{}.done", name_of(kind)), event);
            let event = json!({"item_id": id, "content_index": 0, "part": part});
            self.tell_of_item("response.content_part.done", event);
        }
        self.tell_of_item("response.output_item.done", json!({"item": item}));
    }

    fn finish(&mut self, reason: FinishReason, usage: Usage, now: u64) {
        let (status, details) = match reason {
            FinishReason::Stop => ("completed", Value::Null),
            FinishReason::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        };
        self.close(status);
        self.set("status", json!(status));
        self.set("incomplete_details", details);
        if reason == FinishReason::Stop {
            self.set("completed_at", json!(now));
        }
        self.set("usage", usage_of(usage));
        self.tell_all(&format!("response.{status}"));
    }

    /// Of the newest item.
    fn tell_of_item(&mut self, kind: &str, mut event: Value) {
        event["output_index"] = json!(self.output.len().saturating_sub(1));
        self.events.tell(kind, event);
    }
}

const fn name_of(kind: Open) -> &'static str {
    match kind {
        Open::Reasoning => "response.reasoning_text",
        Open::Message | Open::Call => "response.output_text",
    }
}

fn append(text: &mut Value, more: &str) {
    if let Value::String(text) = text {
        text.push_str(more);
    }
}

fn usage_of(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens.saturating_add(usage.completion_tokens),
    })
}
