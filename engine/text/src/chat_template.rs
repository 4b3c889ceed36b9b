//! A model's chat template: messages to the one text that the model continues.
//!
//! Templates come with models, so they are foreign code: they run in an interpreter that sees nothing but the messages,
//! on limited fuel.

mod turns;

use std::path::Path;

use base::{Conversation, Effort, Message, Role, Tool, ToolCall};
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, State, Value, context};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::calendar::strftime;
use crate::tokenizer::{read_capped, read_json};
use crate::{SpecialTokens, TokenizerError};

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special: SpecialTokens,
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

/// Marks an error that the template raised on purpose.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

impl ChatTemplate {
    /// The template of a model's folder: `chat_template.jinja`, or `chat_template` in `chat_template.json` or
    /// `tokenizer_config.json`. `None` if the model has none.
    pub fn load(folder: &Path) -> Result<Option<Self>, TemplateError> {
        let special = SpecialTokens::load(folder)?;
        if let Some(bytes) = read_capped(&folder.join("chat_template.jinja"))? {
            let source = String::from_utf8(bytes).map_err(|_| TemplateError::NotText)?;
            return Self::new(source, special).map(Some);
        }
        for file in ["chat_template.json", "tokenizer_config.json"] {
            let config = read_json(&folder.join(file))?.unwrap_or(Json::Null);
            if let Some(source) = default_template(&config["chat_template"]) {
                return Self::new(source.to_owned(), special).map(Some);
            }
        }
        Ok(None)
    }

    /// Compiles a template.
    pub fn new(source: String, special: SpecialTokens) -> Result<Self, TemplateError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(TemplateError::TooLong {
                bytes: source.len(),
            });
        }
        let mut environment = python_like()?;
        environment
            .add_template_owned(NAME, source)
            .map_err(|error| TemplateError::Syntax(error.to_string()))?;
        Ok(Self {
            environment,
            special,
        })
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
        let messages = &conversation.messages;
        let rendered = self.render_turns(messages, conversation, unix_seconds);
        if matches!(rendered, Err(RenderError::Refused(_)))
            && let Some(plain) = turns::taken(messages)
            && let Ok(text) = self.render_turns(&plain, conversation, unix_seconds)
        {
            return Ok(text);
        }
        rendered
    }

    fn render_turns(
        &self,
        messages: &[Message],
        conversation: &Conversation,
        unix_seconds: i64,
    ) -> Result<String, RenderError> {
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL_BASE + FUEL_PER_MESSAGE * messages.len() as u64));
        environment.add_function("strftime_now", move |format: &str| {
            strftime(format, unix_seconds)
        });
        let rendered: Vec<Value> = messages.iter().map(message_value).collect();
        let effort = conversation.effort;
        let thinks = effort.map(|effort| effort != Effort::Off);
        let values = context! {
            messages => rendered,
            add_generation_prompt => true,
            tools => tools_value(&conversation.tools),
            documents => (),
            bos_token => self.special.bos.as_deref().unwrap_or_default(),
            eos_token => self.special.eos.as_deref().unwrap_or_default(),
            enable_thinking => thinks.map_or(Value::UNDEFINED, Value::from),
            thinking => thinks.map_or(Value::UNDEFINED, Value::from),
            reasoning_effort => effort.and_then(effort_name).map_or(Value::UNDEFINED, Value::from),
        };
        let template = environment
            .get_template(NAME)
            .map_err(|error| render_error(&error))?;
        template
            .render(values)
            .map_err(|error| render_error(&error))
    }
}

/// A message as templates know it from Hugging Face; what it does not have is not there.
fn message_value(message: &Message) -> Value {
    let mut fields = json!({"role": role_name(message.role), "content": message.content});
    if !message.reasoning.is_empty() {
        fields["reasoning_content"] = message.reasoning.as_str().into();
    }
    if !message.tool_calls.is_empty() {
        fields["tool_calls"] = message.tool_calls.iter().map(call_json).collect();
    }
    if let Some(id) = &message.tool_call_id {
        fields["tool_call_id"] = id.as_str().into();
    }
    if let Some(name) = &message.name {
        fields["name"] = name.as_str().into();
    }
    Value::from(Serde(fields))
}

/// Arguments are a mapping, as most templates expect; what is none is given as it is.
fn call_json(call: &ToolCall) -> Json {
    let arguments: Json = serde_json::from_str(&call.arguments)
        .unwrap_or_else(|_| Json::String(call.arguments.clone()));
    json!({
        "id": call.id, "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    })
}

fn tools_value(tools: &[Tool]) -> Value {
    if tools.is_empty() {
        return Value::from(());
    }
    let value = |tool: &Tool| {
        let parameters: Json = serde_json::from_str(&tool.parameters).unwrap_or(Json::Null);
        let mut function = json!({"name": tool.name});
        if let Some(description) = &tool.description {
            function["description"] = description.as_str().into();
        }
        function["parameters"] = parameters;
        Value::from(Serde(json!({"type": "function", "function": function})))
    };
    tools.iter().map(value).collect()
}

/// What templates that can be told how much to think call it.
fn effort_name(effort: Effort) -> Option<&'static str> {
    match effort {
        Effort::Off => None,
        Effort::Low => Some("low"),
        Effort::Medium => Some("medium"),
        Effort::High => Some("high"),
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
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

/// An environment that behaves as Hugging Face's `apply_chat_template` does.
fn python_like() -> Result<Environment<'static>, TemplateError> {
    let mut environment = Environment::new();
    let syntax = minijinja::syntax::SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .map_err(|error| TemplateError::Syntax(error.to_string()))?;
    environment.set_syntax(syntax);
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message.clone())
                .with_source(Raised(message)))
        },
    );
    environment.add_filter("tojson", python_json);
    Ok(environment)
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`: nothing is escaped for HTML.
#[expect(clippy::needless_pass_by_value, reason = "the signature of a filter")]
fn python_json(state: &mut State<'_, '_>, value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Python's other options change nothing for what templates print.
    let _: (Option<bool>, Option<bool>) = (options.get("ensure_ascii")?, options.get("sort_keys")?);
    let spaces = " ".repeat(indent.unwrap_or(0).min(16));
    let mut bytes = Vec::new();
    let written = match indent {
        Some(_) => {
            let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(
                &mut bytes, formatter,
            ))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut bytes, Spaced,
        )),
    };
    let failed = |reason: String| Error::new(ErrorKind::BadSerialization, reason);
    written.map_err(|error| failed(error.to_string()))?;
    state.consume_fuel(bytes.len() as u64)?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

/// JSON with a space after each comma and colon, as Python writes it.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
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
