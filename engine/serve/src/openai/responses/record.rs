//! A response as it grows: from the events of a generation to items, and to the numbered events that tell of them. Pure.

mod item;

use base::{
    ErrorCode, Failure, FinishReason, GenerateEvent, Message, Piece, Role, ToolCall, Usage,
};
use serde_json::{Map, Value, json};

use crate::openai::custom::CallForms;
use item::Items;
pub(super) use item::{decrypted, encrypted};

/// How a response is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Telling {
    /// How calls are written.
    pub(super) forms: CallForms,
    /// What the model thinks is told as a summary, and not as it is.
    pub(super) summary: bool,
    /// What the model thinks comes a second time, for clients that send no more of it back.
    pub(super) encrypted: bool,
    /// Tokens come with their log-probabilities.
    pub(super) logprobs: bool,
}

/// A response and what has come of it so far.
#[derive(Debug)]
pub(super) struct Record {
    id: String,
    response: Map<String, Value>,
    items: Items,
    /// The model's turn, for whoever goes on from it.
    turn: Message,
}

impl Record {
    /// A response to which nothing is said yet. `repeated` is what it repeats of its request.
    pub(super) fn new(unique: String, created: u64, repeated: Value, telling: Telling) -> Self {
        let id = format!("resp_{unique}");
        let mut response = match repeated {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let own = json!({
            "id": id, "object": "response", "created_at": created, "completed_at": null, "status": "in_progress",
            "error": null, "incomplete_details": null, "output": [], "usage": null,
        });
        if let Value::Object(own) = own {
            response.extend(own);
        }
        Self {
            id,
            response,
            items: Items::new(unique, telling),
            turn: Message::new(Role::Assistant, ""),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// As it is now.
    pub(super) fn response(&self) -> Value {
        let mut response = self.response.clone();
        response.insert("output".to_owned(), json!(self.items.all()));
        Value::Object(response)
    }

    /// The item of this id.
    pub(super) fn item(&self, id: &str) -> Option<Value> {
        let items = self.items.all().iter();
        items.into_iter().find(|item| item["id"] == id).cloned()
    }

    /// What the model has said, as a turn.
    pub(super) fn turn(&self) -> &Message {
        &self.turn
    }

    /// Events that nobody has taken yet.
    pub(super) fn take_events(&mut self) -> Vec<Value> {
        self.items.events.take()
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
            GenerateEvent::Prompt(_) | GenerateEvent::Queued { .. } => {}
            GenerateEvent::Delta { piece, tokens } => {
                self.items.behind(tokens);
                self.piece(piece);
            }
            GenerateEvent::Finished { reason, usage, .. } => self.finish(reason, usage, now),
        }
    }

    /// It ends in an error.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.items.close("incomplete");
        self.set("status", json!("failed"));
        let code = code_of(failure.code);
        self.set(
            "error",
            json!({"code": code, "message": failure.to_string()}),
        );
        self.tell_all("response.failed");
    }

    /// Somebody does not want it any more. There is no event of its own for that, and the SDK's readers take none that they do
    /// not know.
    pub(super) fn cancel(&mut self) {
        self.items.close("incomplete");
        self.set("status", json!("cancelled"));
        self.tell_all("response.incomplete");
    }

    fn set(&mut self, field: &str, value: Value) {
        self.response.insert(field.to_owned(), value);
    }

    fn tell_all(&mut self, kind: &str) {
        let response = self.response();
        self.items.events.tell(kind, json!({"response": response}));
    }

    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) if text.is_empty() => {}
            Piece::Reasoning(text) if text.is_empty() => {}
            Piece::Text(text) => {
                self.turn.content.push_str(&text);
                self.items.say(&text);
            }
            Piece::Reasoning(text) => {
                self.turn.reasoning.push_str(&text);
                self.items.think(&text);
            }
            Piece::ToolCall { index, name } => {
                let id = self.items.call(index, &name);
                self.turn.tool_calls.push(ToolCall {
                    id,
                    name,
                    arguments: String::new(),
                });
            }
            Piece::Arguments { text, .. } => {
                if let Some(call) = self.turn.tool_calls.last_mut() {
                    call.arguments.push_str(&text);
                    self.items.arguments(&text);
                }
            }
        }
    }

    fn finish(&mut self, reason: FinishReason, usage: Usage, now: u64) {
        let (status, details) = match reason {
            FinishReason::Stop => ("completed", Value::Null),
            FinishReason::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        };
        if reason == FinishReason::Stop
            && self.turn.content.is_empty()
            && self.turn.tool_calls.is_empty()
        {
            // Clients look for a message, even for one that says nothing.
            self.items.say("");
        }
        self.items.close(status);
        self.set("status", json!(status));
        self.set("incomplete_details", details);
        if reason == FinishReason::Stop {
            self.set("completed_at", json!(now));
        }
        self.set("usage", usage_of(usage));
        self.tell_all(&format!("response.{status}"));
    }
}

/// `OpenAI`'s names of what goes wrong with a response.
const fn code_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Overloaded => "rate_limit_exceeded",
        ErrorCode::ContextTooLong => "context_length_exceeded",
        ErrorCode::InvalidRequest
        | ErrorCode::TooLarge
        | ErrorCode::ModelUnsupported
        | ErrorCode::PlacementImpossible => "invalid_prompt",
        ErrorCode::ModelNotFound => "model_not_found",
        ErrorCode::ModelDamaged
        | ErrorCode::NotEnoughMemory
        | ErrorCode::Forbidden
        | ErrorCode::NotFound
        | ErrorCode::MethodNotAllowed
        | ErrorCode::TimedOut
        | ErrorCode::WorkerLost
        | ErrorCode::Cancelled
        | ErrorCode::Internal
        | ErrorCode::Unauthenticated => "server_error",
    }
}

pub(super) fn usage_of(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens.saturating_add(usage.completion_tokens),
    })
}
