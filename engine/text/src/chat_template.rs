//! A model's chat template: messages to the one text that the model continues.
//!
//! Templates come with models, so they are foreign code: they run in an interpreter that sees nothing but the messages,
//! on limited fuel.

mod habits;
mod list;
mod python;
mod turns;
mod values;

use std::path::Path;

use base::{Conversation, Effort};
use minijinja::{Environment, Error, ErrorKind, Value, context};
use serde_json::Value as Json;

use crate::calendar::strftime;
use crate::tokenizer::{read_capped, read_json};
use crate::{SpecialTokens, TokenizerError};
pub(crate) use habits::CALLED;
pub use habits::Habits;
use python::{Raised, python_like, without_training_marks};

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special: SpecialTokens,
    habits: Habits,
}

/// Why a template could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] TokenizerError),
    /// Not text.
    #[error("the chat template is not UTF-8 (hint: fetch the model's folder again)")]
    NotText,
    /// Longer than any real template.
    #[error("the chat template has {bytes} bytes, more than the {SOURCE_BYTES_MAX} allowed")]
    TooLong {
        /// Its size.
        bytes: usize,
    },
    /// Not a template.
    #[error(
        "the chat template does not parse: {0} (hint: the model can still be used through /v1/completions)"
    )]
    Syntax(String),
}

/// Why messages could not be rendered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RenderError {
    /// The template itself refuses such messages, in its own words.
    #[error("the model's chat template refuses these messages: {0}")]
    Refused(String),
    /// The template does not come to an end.
    #[error(
        "the model's chat template takes too many steps (hint: send fewer messages, or use another model)"
    )]
    OutOfFuel,
    /// The template failed.
    #[error(
        "the model's chat template failed: {0} (hint: the model can still be used through /v1/completions)"
    )]
    Failed(String),
}

/// Twenty times the longest template of a known model.
const SOURCE_BYTES_MAX: usize = 512 << 10;
/// Steps of a render, whatever the messages: a fraction of a second.
const FUEL_BASE: u64 = 2_000_000;
/// More steps for long conversations: a known template takes some hundred steps for a message.
const FUEL_PER_MESSAGE: u64 = 20_000;
const NAME: &str = "chat";

impl ChatTemplate {
    /// The template of a model's folder: `chat_template.jinja`, or `chat_template` in `chat_template.json` or
    /// `tokenizer_config.json`. `None` if the model has none.
    pub fn load(folder: &Path) -> Result<Option<Self>, TemplateError> {
        let special = SpecialTokens::load(folder)?;
        if let Some(bytes) = read_capped(&folder.join("chat_template.jinja"))? {
            let source = String::from_utf8(bytes).map_err(|_| TemplateError::NotText)?;
            return Self::new(&source, special).map(Some);
        }
        for file in ["chat_template.json", "tokenizer_config.json"] {
            let config = read_json(&folder.join(file))?.unwrap_or(Json::Null);
            if let Some(source) = default_template(&config["chat_template"]) {
                return Self::new(source, special).map(Some);
            }
        }
        Ok(None)
    }

    /// Compiles a template.
    pub fn new(source: &str, special: SpecialTokens) -> Result<Self, TemplateError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(TemplateError::TooLong {
                bytes: source.len(),
            });
        }
        let mut environment = python_like()?;
        environment
            .add_template_owned(NAME, without_training_marks(source))
            .map_err(|error| TemplateError::Syntax(error.to_string()))?;
        let mut template = Self {
            environment,
            special,
            habits: Habits::default(),
        };
        template.habits = Habits::of(&template);
        Ok(template)
    }

    /// How it wants conversations to be.
    pub fn habits(&self) -> &Habits {
        &self.habits
    }

    /// A conversation in which [`CALLED`] is called with an argument, if the template takes such.
    pub(crate) fn example(&self) -> Option<String> {
        habits::example(self)
    }

    /// The template as it came.
    pub fn source(&self) -> String {
        let template = self.environment.get_template(NAME);
        template.map_or_else(|_| String::new(), |template| template.source().to_owned())
    }

    /// The text that the model continues with its answer. `unix_seconds` is the time for templates that print it.
    pub fn render(
        &self,
        conversation: &Conversation,
        unix_seconds: i64,
    ) -> Result<String, RenderError> {
        let rendered = self.render_as(conversation, &self.habits, unix_seconds);
        if matches!(rendered, Err(RenderError::Refused(_)))
            && let Some(messages) = turns::taken(&conversation.messages)
        {
            let plain = Conversation {
                messages,
                ..conversation.clone()
            };
            return self
                .render_as(&plain, &self.habits, unix_seconds)
                .or(rendered);
        }
        rendered
    }

    fn render_as(
        &self,
        conversation: &Conversation,
        habits: &Habits,
        unix_seconds: i64,
    ) -> Result<String, RenderError> {
        let messages = values::messages(conversation, habits);
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL_BASE + FUEL_PER_MESSAGE * messages.len() as u64));
        environment.add_function("strftime_now", move |format: &str| {
            strftime(format, unix_seconds)
        });
        let effort = conversation.effort;
        let thinks = effort.map(|effort| effort != Effort::Off);
        let optional = |value: Option<Value>| value.unwrap_or(Value::UNDEFINED);
        let values = context! {
            messages => messages,
            add_generation_prompt => true,
            tools => values::tools(&conversation.tools),
            documents => (),
            bos_token => self.special.bos.as_deref().unwrap_or_default(),
            eos_token => self.special.eos.as_deref().unwrap_or_default(),
            enable_thinking => optional(thinks.map(Value::from)),
            thinking => optional(thinks.map(Value::from)),
            reasoning_effort => optional(effort.and_then(|effort| habits.effort_name(effort)).map(Value::from)),
            thinking_budget => optional((effort == Some(Effort::Off)).then(|| Value::from(0))),
        };
        let template = environment
            .get_template(NAME)
            .map_err(|error| render_error(&error))?;
        template
            .render(values)
            .map_err(|error| render_error(&error))
    }
}

/// One template, or the one named `default` of a list of them.
fn default_template(value: &Json) -> Option<&str> {
    match value {
        Json::String(source) => Some(source),
        Json::Array(named) => {
            let default = named.iter().find(|entry| entry["name"] == "default")?;
            default["template"].as_str()
        }
        _ => None,
    }
}

fn render_error(error: &Error) -> RenderError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    // Ends: a chain of sources is finite.
    while let Some(current) = source {
        if let Some(Raised(message)) = current.downcast_ref() {
            return RenderError::Refused(message.clone());
        }
        source = current.source();
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return RenderError::OutOfFuel;
    }
    RenderError::Failed(error.to_string())
}

#[cfg(test)]
mod tests;
