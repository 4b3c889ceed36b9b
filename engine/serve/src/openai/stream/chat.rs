//! Chat answers: one choice for each request.

use base::{FinishReason, GenerateEvent, Piece, ScoredToken};

use super::token::chat_logprobs;
use super::{AnswerHead, Chunks, Whole, finish_reason};
use crate::openai::model::{
    ChatAnswer, ChatChoice, ChatChunk, ChatChunkChoice, ChatDelta, ChatLogprobs, ChatMessageOut,
    FunctionOut, Head, ToolCallDelta, ToolCallOut, UsageOut, UsageSlot,
};

/// The only kind of call there is.
const FUNCTION: &str = "function";

/// What the client wants besides text.
#[derive(Debug, Clone, Copy)]
pub(in crate::openai) struct ChatExtras {
    /// How many answers.
    pub(in crate::openai) answers: usize,
    /// Whether with log-probabilities.
    pub(in crate::openai) logprobs: bool,
    /// Whether a stream ends with what it took.
    pub(in crate::openai) include_usage: bool,
}

/// Makes chunks.
pub(in crate::openai) struct ChatStream {
    head: Head,
    extras: ChatExtras,
    /// Which choices have called a tool.
    called: Vec<bool>,
    usage: UsageOut,
}

impl ChatStream {
    pub(in crate::openai) fn new(head: AnswerHead, extras: ChatExtras) -> Self {
        Self {
            head: head.head("chat.completion.chunk"),
            called: vec![false; extras.answers],
            extras,
            usage: UsageOut::default(),
        }
    }

    fn chunk(
        &self,
        index: usize,
        delta: ChatDelta,
        tokens: Vec<ScoredToken>,
        end: Option<&'static str>,
    ) -> ChatChunk {
        let logprobs = self.extras.logprobs && !tokens.is_empty();
        ChatChunk {
            head: self.head.clone(),
            choices: vec![ChatChunkChoice {
                index,
                delta,
                logprobs: logprobs.then(|| chat_logprobs(tokens)),
                finish_reason: end,
            }],
            usage: UsageSlot::before_the_end(self.extras.include_usage),
        }
    }

    fn delta(&mut self, choice: usize, piece: Piece) -> ChatDelta {
        let call = |index, id, name, arguments| ToolCallDelta {
            index,
            kind: Option::is_some(&id).then_some(FUNCTION),
            id,
            function: FunctionOut { name, arguments },
        };
        match piece {
            Piece::Text(text) => said(text),
            Piece::Reasoning(text) => ChatDelta {
                reasoning_content: Some(text),
                ..ChatDelta::default()
            },
            Piece::ToolCall { index, name } => {
                self.called
                    .iter_mut()
                    .skip(choice)
                    .take(1)
                    .for_each(|called| *called = true);
                let id = call_id(&self.head.id, choice, index);
                let call = call(index, Some(id), Some(name), String::new());
                ChatDelta {
                    tool_calls: Some([call]),
                    ..ChatDelta::default()
                }
            }
            Piece::Arguments { index, text } => ChatDelta {
                tool_calls: Some([call(index, None, None, text)]),
                ..ChatDelta::default()
            },
        }
    }
}

fn said(text: String) -> ChatDelta {
    ChatDelta {
        content: Some(text),
        ..ChatDelta::default()
    }
}

/// Names a call, for the tool's answer to it. Unique as the answer's own id is.
fn call_id(answer: &str, choice: usize, call: u32) -> String {
    let unique = answer.rsplit('-').next().unwrap_or(answer);
    format!("call_{unique}{choice:02x}{call:02x}")
}

fn is_empty(piece: &Piece) -> bool {
    match piece {
        Piece::Text(text) | Piece::Reasoning(text) | Piece::Arguments { text, .. } => {
            text.is_empty()
        }
        Piece::ToolCall { .. } => false,
    }
}

fn end_of(reason: FinishReason, called: bool) -> &'static str {
    match reason {
        FinishReason::Stop if called => "tool_calls",
        reason => finish_reason(reason),
    }
}

impl Chunks for ChatStream {
    type Chunk = ChatChunk;

    fn tell(&mut self, index: usize, event: GenerateEvent) -> Vec<ChatChunk> {
        match event {
            GenerateEvent::Started { model, .. } => {
                self.head.model = model;
                let begin = ChatDelta {
                    role: Some("assistant"),
                    ..said(String::new())
                };
                vec![self.chunk(index, begin, Vec::new(), None)]
            }
            // Chat never asks for the prompt.
            GenerateEvent::Prompt(_) => Vec::new(),
            GenerateEvent::Delta { piece, tokens } => {
                if is_empty(&piece) && tokens.is_empty() {
                    return Vec::new();
                }
                let delta = self.delta(index, piece);
                vec![self.chunk(index, delta, tokens, None)]
            }
            GenerateEvent::Finished { reason, usage, .. } => {
                self.usage.add_answer(usage, index);
                let called = self.called.get(index).copied().unwrap_or(false);
                let end = Some(end_of(reason, called));
                vec![self.chunk(index, said(String::new()), Vec::new(), end)]
            }
        }
    }

    fn end(&mut self) -> Option<ChatChunk> {
        self.extras.include_usage.then(|| ChatChunk {
            head: self.head.clone(),
            choices: Vec::new(),
            usage: UsageSlot::Known(self.usage),
        })
    }
}

/// Makes a whole answer.
pub(in crate::openai) struct ChatWhole {
    head: Head,
    choices: Vec<ChatChoice>,
    usage: UsageOut,
}

impl ChatWhole {
    pub(in crate::openai) fn new(head: AnswerHead, extras: ChatExtras) -> Self {
        let choice = |index| ChatChoice {
            index,
            message: ChatMessageOut {
                role: "assistant",
                content: None,
                refusal: None,
                reasoning_content: String::new(),
                tool_calls: Vec::new(),
            },
            logprobs: extras.logprobs.then(ChatLogprobs::default),
            finish_reason: "stop",
        };
        Self {
            head: head.head("chat.completion"),
            choices: (0..extras.answers).map(choice).collect(),
            usage: UsageOut::default(),
        }
    }
}

impl Whole for ChatWhole {
    type Answer = ChatAnswer;

    fn hear(&mut self, index: usize, event: GenerateEvent) {
        let Some(choice) = self.choices.get_mut(index) else {
            return;
        };
        match event {
            GenerateEvent::Started { model, .. } => self.head.model = model,
            GenerateEvent::Prompt(_) => {}
            GenerateEvent::Delta { piece, tokens } => {
                let id = |call| call_id(&self.head.id, index, call);
                add_piece(&mut choice.message, piece, id);
                if let Some(logprobs) = &mut choice.logprobs {
                    logprobs.content.extend(chat_logprobs(tokens).content);
                }
            }
            GenerateEvent::Finished { reason, usage, .. } => {
                choice.finish_reason = end_of(reason, !choice.message.tool_calls.is_empty());
                self.usage.add_answer(usage, index);
            }
        }
    }

    fn answer(mut self) -> ChatAnswer {
        let silent = |choice: &&mut ChatChoice| choice.message.tool_calls.is_empty();
        for choice in self.choices.iter_mut().filter(silent) {
            // Only who calls tools may say nothing at all.
            choice.message.content.get_or_insert_default();
        }
        ChatAnswer {
            head: self.head,
            choices: self.choices,
            usage: self.usage,
        }
    }
}

fn add_piece(message: &mut ChatMessageOut, piece: Piece, id: impl Fn(u32) -> String) {
    match piece {
        Piece::Text(text) if text.is_empty() => {}
        Piece::Text(text) => message.content.get_or_insert_default().push_str(&text),
        Piece::Reasoning(text) => message.reasoning_content.push_str(&text),
        Piece::ToolCall { index, name } => message.tool_calls.push(ToolCallOut {
            id: id(index),
            kind: FUNCTION,
            function: FunctionOut {
                name: Some(name),
                arguments: String::new(),
            },
        }),
        Piece::Arguments { index, text } => {
            if let Some(call) = message.tool_calls.get_mut(index as usize) {
                call.function.arguments.push_str(&text);
            }
        }
    }
}
