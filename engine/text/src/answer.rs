//! What an answer is made of besides words: what the model thinks first, and the tools it calls.
//!
//! Each model family writes these in its own way, which its chat template shows. A family that is not known, or was never
//! taught to call tools, is told of them in a system message and asked to call them in Hermes' way, which most models
//! have seen. Calls that must come are enforced by a grammar, so that they come from any model.

mod call;
mod enforce;
mod parser;
mod told;

use std::borrow::Cow;

use base::{Conversation, Effort, Failure, Grammar, TokenId, ToolChoice};

pub use parser::AnswerParser;

use crate::{ChatTemplate, Tokenizer};

const THINK: &str = "<think>";
const THOUGHT: &str = "</think>";
const CALL: &str = "<tool_call>";
const CALLED: &str = "</tool_call>";

/// How a model writes its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerFormat {
    /// Its template renders tools, calls and their results, and calls are JSON between Hermes' tags.
    knows_tools: bool,
    /// It thinks between tags before it answers.
    thinks: bool,
}

impl AnswerFormat {
    /// The format that a template shows.
    pub fn of(template: &ChatTemplate, tokenizer: &Tokenizer) -> Self {
        let source = template.source();
        // Others write their arguments between tags.
        let hermes = source.contains(CALL) && source.contains("tools");
        let tagged = ["<function=", "<arg_key>", "<parameter"];
        let added = |mark: &str| tokenizer.token(mark).is_some();
        Self {
            knows_tools: hermes && !tagged.iter().any(|tag| source.contains(tag)),
            thinks: source.contains(THOUGHT) || (added(THINK) && added(THOUGHT)),
        }
    }

    /// Whether the model was taught to call tools.
    pub fn knows_tools(&self) -> bool {
        self.knows_tools
    }

    /// Whether the model thinks before it answers.
    pub fn thinks(&self) -> bool {
        self.thinks
    }

    /// The tokens that are marks between the parts of an answer, so that they are read even where they are special.
    pub fn marks(&self, tokenizer: &Tokenizer) -> Vec<TokenId> {
        let marks = [THINK, THOUGHT, CALL, CALLED];
        let tokens = marks.iter().filter_map(|mark| tokenizer.token(mark));
        tokens.collect()
    }

    /// The conversation as the template is to render it.
    pub fn told<'a>(&self, conversation: &'a Conversation) -> Cow<'a, Conversation> {
        if !self.knows_tools {
            return told::in_words(conversation);
        }
        if conversation.tool_choice == ToolChoice::None && !conversation.tools.is_empty() {
            let mut without = conversation.clone();
            without.tools.clear();
            return Cow::Owned(without);
        }
        Cow::Borrowed(conversation)
    }

    /// What reads the answer to a conversation. `rendered` is the text that the answer goes on from.
    pub fn parser(&self, conversation: &Conversation, rendered: &str) -> AnswerParser {
        let tools = match conversation.tool_choice {
            ToolChoice::None => Vec::new(),
            ToolChoice::Auto | ToolChoice::Required | ToolChoice::Named(_) => {
                let tools = conversation.tools.iter();
                tools.map(|tool| tool.name.clone()).collect()
            }
        };
        let calls_max = if conversation.parallel_tool_calls {
            u32::MAX
        } else {
            1
        };
        let is_open = self.thinks && is_open(rendered);
        AnswerParser::new(tools, calls_max, self.thinks, is_open)
    }

    /// What the answer must be: a call where one must come, or what was asked for. What the model thinks first is free.
    pub fn grammar(
        &self,
        conversation: &Conversation,
        asked: Option<&Grammar>,
        rendered: &str,
    ) -> Result<Option<Grammar>, Failure> {
        let thinking = match (self.thinks, conversation.effort) {
            (true, _) if is_open(rendered) => enforce::Thinking::Already,
            (false, _) | (true, Some(Effort::Off)) => enforce::Thinking::Never,
            (true, _) => enforce::Thinking::Perhaps,
        };
        enforce::grammar(conversation, asked, thinking)
    }
}

/// Whether a rendered prompt ends where the model already thinks.
fn is_open(rendered: &str) -> bool {
    rendered.trim_end().ends_with(THINK)
}

#[cfg(test)]
mod tests;
