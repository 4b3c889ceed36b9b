//! Chat answers: one choice for each request.

use base::{GenerateEvent, Piece, ScoredToken};

use super::call::{self, Calls, end_of, said};
use super::token::chat_logprobs;
use super::{AnswerHead, Chunks, Whole};
use crate::openai::custom::CallForms;
use crate::openai::model::{
    ChatAnswer, ChatChoice, ChatChunk, ChatChunkChoice, ChatDelta, ChatLogprobs, ChatMessageOut,
    Head, UsageOut, UsageSlot,
};

/// What the client wants besides text.
#[derive(Debug, Clone)]
pub(in crate::openai) struct ChatExtras {
    /// How many answers.
    pub(in crate::openai) answers: usize,
    /// Whether with log-probabilities.
    pub(in crate::openai) logprobs: bool,
    /// Whether a stream ends with what it took.
    pub(in crate::openai) include_usage: bool,
    /// How calls are written.
    pub(in crate::openai) forms: CallForms,
}

/// Makes chunks.
pub(in crate::openai) struct ChatStream {
    head: Head,
    extras: ChatExtras,
    /// Of each choice.
    calls: Vec<Calls>,
    usage: UsageOut,
}

impl ChatStream {
    pub(in crate::openai) fn new(head: AnswerHead, extras: ChatExtras) -> Self {
        Self {
            head: head.head("chat.completion.chunk"),
            calls: std::iter::repeat_with(Calls::default)
                .take(extras.answers)
                .collect(),
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

    /// What a piece and the tokens behind it add.
    fn deltas(&mut self, index: usize, piece: Piece, tokens: Vec<ScoredToken>) -> Vec<ChatChunk> {
        let Some(calls) = self.calls.get_mut(index) else {
            return Vec::new();
        };
        let mut deltas = calls.deltas(piece, (self.head.id.as_str(), index), &self.extras.forms);
        if deltas.is_empty() && !tokens.is_empty() {
            deltas.push(said(String::new()));
        }
        let mut tokens = Some(tokens);
        let deltas = deltas.into_iter();
        let chunk = |delta| self.chunk(index, delta, tokens.take().unwrap_or_default(), None);
        deltas.map(chunk).collect()
    }
}

fn is_empty(piece: &Piece) -> bool {
    match piece {
        Piece::Text(text) | Piece::Reasoning(text) | Piece::Arguments { text, .. } => {
            text.is_empty()
        }
        Piece::ToolCall { .. } => false,
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
            GenerateEvent::Prompt(_) | GenerateEvent::Queued { .. } => Vec::new(),
            GenerateEvent::Delta { piece, tokens } => {
                if is_empty(&piece) && tokens.is_empty() {
                    return Vec::new();
                }
                self.deltas(index, piece, tokens)
            }
            GenerateEvent::Finished { reason, usage, .. } => {
                self.usage.add_answer(usage, index);
                let calls = self.calls.get_mut(index);
                let (rest, called) =
                    calls.map_or((None, false), |calls| (calls.end(), calls.called));
                let rest = rest.map(|delta| self.chunk(index, delta, Vec::new(), None));
                let end = Some(end_of(reason, called, &self.extras.forms));
                let end = self.chunk(index, said(String::new()), Vec::new(), end);
                rest.into_iter().chain([end]).collect()
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
    forms: CallForms,
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
                reasoning: String::new(),
                tool_calls: Vec::new(),
                function_call: None,
            },
            logprobs: extras.logprobs.then(ChatLogprobs::default),
            finish_reason: "stop",
        };
        Self {
            head: head.head("chat.completion"),
            choices: (0..extras.answers).map(choice).collect(),
            forms: extras.forms,
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
            GenerateEvent::Prompt(_) | GenerateEvent::Queued { .. } => {}
            GenerateEvent::Delta { piece, tokens } => {
                let of = (self.head.id.as_str(), index);
                call::add_piece(&mut choice.message, piece, of, &self.forms);
                if let Some(logprobs) = &mut choice.logprobs {
                    logprobs.content.extend(chat_logprobs(tokens).content);
                }
            }
            GenerateEvent::Finished { reason, usage, .. } => {
                let called = !choice.message.tool_calls.is_empty();
                choice.finish_reason = end_of(reason, called, &self.forms);
                self.usage.add_answer(usage, index);
            }
        }
    }

    fn answer(mut self) -> ChatAnswer {
        for choice in &mut self.choices {
            call::finish(&mut choice.message, &self.forms);
        }
        ChatAnswer {
            head: self.head,
            choices: self.choices,
            usage: self.usage,
        }
    }
}
