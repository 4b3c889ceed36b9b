//! What an answer is made of besides words: what the model thinks first, and the tools it calls.
//!
//! Each model family writes these in its own way, which its chat template shows. A family that is not known, or was never
//! taught to call tools, is told of them in a system message and asked to call them in Hermes' way, which most models
//! have seen. Calls that must come are enforced by a grammar, so that they come from any model.

mod call;
mod enforce;
mod family;
mod parser;
mod thinking;
mod told;
mod written;

use std::borrow::Cow;

use base::{Conversation, Effort, Failure, Grammar, TokenId, ToolChoice};
use serde_json::Value;

pub use parser::AnswerParser;

use crate::chat_template::CALLED;
use crate::{ChatTemplate, Tokenizer};
use call::Callable;
use family::{Body, HERMES, Pair, Syntax};
use parser::Reading;

/// How a model writes its answers.
#[derive(Debug, Clone)]
pub struct AnswerFormat {
    /// How it writes calls.
    syntax: &'static Syntax,
    /// Its template renders the calls of earlier turns in this way.
    renders_calls: bool,
    /// Its template says what tools there are.
    renders_tools: bool,
    /// Between which marks it thinks before it answers.
    thinking: Option<Pair>,
    /// Marks that are tokens of their own.
    marks: Vec<Mark>,
    /// Special tokens that end its answers.
    ends: Vec<TokenId>,
}

/// A mark that is a token of its own.
#[derive(Debug, Clone)]
struct Mark {
    text: &'static str,
    token: TokenId,
    is_special: bool,
}

impl AnswerFormat {
    /// The format that a template shows.
    pub fn of(template: &ChatTemplate, tokenizer: &Tokenizer) -> Self {
        let source = template.source();
        let habits = template.habits();
        let example = template.example().filter(|_| habits.calls.is_some());
        let shown = example.and_then(|example| {
            let mut shown = Syntax::shown_in(&source);
            shown.find(|syntax| parser::reads(syntax, &example, CALLED))
        });
        let syntax = shown.unwrap_or(&HERMES);
        let thinking = match syntax.body {
            Body::Headed { .. } => Some(thinking::ANALYSIS),
            Body::Json { .. } | Body::Tagged(_) => thinking::marks(&source, tokenizer),
        };
        let mut texts = syntax.marks();
        texts.extend(thinking.iter().flat_map(|marks| [marks.open, marks.close]));
        let mark = |text: &'static str| {
            let token = tokenizer.token(text)?;
            let is_special = tokenizer.token_bytes().is_special(token);
            Some(Mark {
                text,
                token,
                is_special,
            })
        };
        let ends = syntax.ends.iter().filter_map(|end| tokenizer.token(end));
        Self {
            syntax,
            renders_calls: shown.is_some(),
            renders_tools: shown.is_some() && habits.tools,
            thinking,
            marks: texts.into_iter().filter_map(mark).collect(),
            ends: ends.collect(),
        }
    }

    /// Whether the model was taught to call tools.
    pub fn knows_tools(&self) -> bool {
        self.renders_calls
    }

    /// Whether the model thinks before it answers.
    pub fn thinks(&self) -> bool {
        self.thinking.is_some()
    }

    /// The tokens that are marks between the parts of an answer, so that they are read even where they are special.
    pub fn marks(&self) -> Vec<TokenId> {
        self.marks.iter().map(|mark| mark.token).collect()
    }

    /// Tokens that end an answer, besides those that the model's configuration names.
    pub fn ends(&self) -> &[TokenId] {
        &self.ends
    }

    /// The conversation as the template is to render it.
    pub fn told<'a>(&self, conversation: &'a Conversation) -> Cow<'a, Conversation> {
        if !self.renders_calls {
            return told::in_words(conversation);
        }
        let is_given = conversation.tools.is_empty();
        if is_given || (self.renders_tools && conversation.tool_choice != ToolChoice::None) {
            return Cow::Borrowed(conversation);
        }
        let mut without = conversation.clone();
        if conversation.tool_choice != ToolChoice::None {
            told::tell(&mut without.messages, &without.tools, self.syntax);
        }
        without.tools.clear();
        Cow::Owned(without)
    }

    /// What reads the answer to a conversation. `rendered` is the text that the answer goes on from.
    pub fn parser(&self, conversation: &Conversation, rendered: &str) -> AnswerParser {
        let tools = match conversation.tool_choice {
            ToolChoice::None => Vec::new(),
            ToolChoice::Auto | ToolChoice::Required | ToolChoice::Named(_) => {
                let tools = conversation.tools.iter();
                tools
                    .map(|tool| Callable {
                        name: tool.name.clone(),
                        schema: serde_json::from_str(&tool.parameters).unwrap_or(Value::Null),
                    })
                    .collect()
            }
        };
        let calls_max = if conversation.parallel_tool_calls {
            u32::MAX
        } else {
            1
        };
        let is_open = thinking::is_open(self.thinking, rendered);
        AnswerParser::new(Reading {
            syntax: self.syntax,
            tools,
            calls_max,
            thinking: self.thinking,
            is_open,
            has_thought: is_open || thinking::is_over(self.thinking, rendered),
        })
    }

    /// What the answer must be: a call where one must come, or what was asked for. What the model thinks first is free.
    pub fn grammar(
        &self,
        conversation: &Conversation,
        asked: Option<&Grammar>,
        rendered: &str,
    ) -> Result<Option<Grammar>, Failure> {
        let thinking = match conversation.effort {
            _ if thinking::is_open(self.thinking, rendered) => enforce::Thinking::Already,
            _ if self.thinking.is_none() => enforce::Thinking::Never,
            // What cannot be told not to think may do so.
            Some(Effort::Off) if !matches!(self.syntax.body, Body::Headed { .. }) => {
                enforce::Thinking::Never
            }
            _ => enforce::Thinking::Perhaps,
        };
        enforce::grammar(self, conversation, asked, thinking)
    }
}

#[cfg(test)]
mod tests;
