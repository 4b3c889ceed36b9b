//! Chat answers.

use base::{GenerateEvent, Piece, ScoredToken};

use super::token::chat_logprobs;
use super::{AnswerHead, Chunks, Whole, finish_reason};
use crate::openai::model::{
    ChatAnswer, ChatChoice, ChatChunk, ChatChunkChoice, ChatDelta, ChatLogprobs, ChatMessageOut,
    Head, UsageOut, UsageSlot,
};

/// Makes chunks.
pub(in crate::openai) struct ChatStream {
    head: Head,
    logprobs: bool,
    include_usage: bool,
    usage: UsageOut,
}

impl ChatStream {
    pub(in crate::openai) fn new(head: AnswerHead, logprobs: bool, include_usage: bool) -> Self {
        Self {
            head: head.head("chat.completion.chunk"),
            logprobs,
            include_usage,
            usage: UsageOut::default(),
        }
    }

    fn chunk(
        &self,
        delta: ChatDelta,
        tokens: Vec<ScoredToken>,
        end: Option<&'static str>,
    ) -> ChatChunk {
        let logprobs = self.logprobs && !tokens.is_empty();
        ChatChunk {
            head: self.head.clone(),
            choices: vec![ChatChunkChoice {
                index: 0,
                delta,
                logprobs: logprobs.then(|| chat_logprobs(tokens)),
                finish_reason: end,
            }],
            usage: UsageSlot::before_the_end(self.include_usage),
        }
    }
}

impl Chunks for ChatStream {
    type Chunk = ChatChunk;

    fn tell(&mut self, _index: usize, event: GenerateEvent) -> Vec<ChatChunk> {
        let delta = |role, content| ChatDelta { role, content };
        match event {
            GenerateEvent::Started { model, .. } => {
                self.head.model = model;
                vec![self.chunk(delta(Some("assistant"), String::new()), Vec::new(), None)]
            }
            // Chat never asks for the prompt.
            GenerateEvent::Prompt(_) => Vec::new(),
            GenerateEvent::Delta { piece, tokens } => {
                let Piece::Text(text) = piece else {
                    return Vec::new();
                };
                if text.is_empty() && tokens.is_empty() {
                    return Vec::new();
                }
                vec![self.chunk(delta(None, text), tokens, None)]
            }
            GenerateEvent::Finished { reason, usage, .. } => {
                self.usage.add(usage);
                let end = Some(finish_reason(reason));
                vec![self.chunk(delta(None, String::new()), Vec::new(), end)]
            }
        }
    }

    fn end(&mut self) -> Option<ChatChunk> {
        self.include_usage.then(|| ChatChunk {
            head: self.head.clone(),
            choices: Vec::new(),
            usage: UsageSlot::Known(self.usage),
        })
    }
}

/// Makes a whole answer.
pub(in crate::openai) struct ChatWhole {
    head: Head,
    content: String,
    logprobs: Option<ChatLogprobs>,
    finish_reason: &'static str,
    usage: UsageOut,
}

impl ChatWhole {
    pub(in crate::openai) fn new(head: AnswerHead, logprobs: bool) -> Self {
        Self {
            head: head.head("chat.completion"),
            content: String::new(),
            logprobs: logprobs.then(ChatLogprobs::default),
            finish_reason: "stop",
            usage: UsageOut::default(),
        }
    }
}

impl Whole for ChatWhole {
    type Answer = ChatAnswer;

    fn hear(&mut self, _index: usize, event: GenerateEvent) {
        match event {
            GenerateEvent::Started { model, .. } => self.head.model = model,
            GenerateEvent::Prompt(_) => {}
            GenerateEvent::Delta { piece, tokens } => {
                if let Piece::Text(text) = piece {
                    self.content.push_str(&text);
                }
                if let Some(logprobs) = &mut self.logprobs {
                    logprobs.content.extend(chat_logprobs(tokens).content);
                }
            }
            GenerateEvent::Finished { reason, usage, .. } => {
                self.finish_reason = finish_reason(reason);
                self.usage.add(usage);
            }
        }
    }

    fn answer(self) -> ChatAnswer {
        ChatAnswer {
            head: self.head,
            choices: [ChatChoice {
                index: 0,
                message: ChatMessageOut {
                    role: "assistant",
                    content: self.content,
                    refusal: None,
                },
                logprobs: self.logprobs,
                finish_reason: self.finish_reason,
            }],
            usage: self.usage,
        }
    }
}
