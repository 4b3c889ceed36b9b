//! From a request's bytes to a validated [`GenerateRequest`]. Pure; the first fault found is the one reported.

mod blocks;
mod messages;
mod sampling;
mod tools;

use base::{Conversation, ErrorCode, Failure, GenerateRequest, Grammar, Prompt, Standing};
use serde_json::value::RawValue;

use super::model::{MessagesFields, OutputFormat};
use crate::json::Object;
use crate::openai::Fresh;

/// The field of conversations that the server keeps. The SDKs' runners of tools ask for it, and go on without it when they
/// are refused in the words of [`error`](super::error).
pub(super) const THREAD: &str = "thread";

/// A request as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// What to generate.
    pub request: GenerateRequest,
    /// Whether the answer is sent as it comes.
    pub stream: bool,
    /// Whether what the model thinks is kept from the client.
    pub omits_thoughts: bool,
    /// The prompt is to be read so that it is in the cache, and nothing said.
    pub only_reads: bool,
}

/// Understands the body of `POST /v1/messages`.
pub fn parse_messages(body: &[u8], mut fresh: Fresh) -> Result<Asked, Failure> {
    let fields: MessagesFields = crate::json::parse(body)?;
    let max_tokens = sampling::max_tokens(fields.max_tokens)?;
    let stream = fields.stream.unwrap_or(false);
    let omits_thoughts = sampling::omits_thoughts(fields.thinking.as_ref())?;
    // The engine reads a prompt for the sake of a token that comes after it.
    let request = request(fields, max_tokens.max(1), &mut fresh)?;
    Ok(Asked {
        request,
        stream,
        omits_thoughts,
        only_reads: max_tokens == 0,
    })
}

/// Understands the body of `POST /v1/messages/count_tokens`: a request that generates nothing.
pub fn parse_count(body: &[u8], mut fresh: Fresh) -> Result<GenerateRequest, Failure> {
    request(crate::json::parse(body)?, 0, &mut fresh)
}

fn request(
    fields: MessagesFields,
    max_tokens: u32,
    fresh: &mut Fresh,
) -> Result<GenerateRequest, Failure> {
    let servers = fields.mcp_servers.as_ref();
    if servers.is_some_and(|servers| !servers.is_empty()) {
        let failure = invalid("mcp_servers", "are not called from here");
        return Err(failure.hint("let the client call them, and name their tools in tools"));
    }
    if fields.thread.is_some() {
        let failure = invalid(THREAD, "is not kept here");
        return Err(failure.hint("send the whole conversation, without it"));
    }
    let sampling = sampling::sampling(&fields, fresh)?;
    let effort = sampling::effort(fields.thinking, fields.output_config.as_ref())?;
    let format = fields
        .output_config
        .and_then(|Object(config)| config.format);
    let tools = tools::tools(&fields.tools.unwrap_or_default())?;
    let choice = tools::choice(fields.tool_choice, &tools)?;
    Ok(GenerateRequest {
        id: fresh.request_id(),
        standing: Standing::default(),
        model: sampling::model(fields.model)?,
        prompt: Prompt::Chat(Conversation {
            messages: messages::messages(fields.system, fields.messages)?,
            tools,
            tool_choice: choice.tool,
            parallel_tool_calls: choice.parallel,
            effort,
            must_think: false,
        }),
        sampling,
        max_tokens: Some(max_tokens),
        context_tokens: None,
        stop: sampling::stop(fields.stop_sequences)?,
        stop_tokens: Vec::new(),
        logprobs: None,
        echo: false,
        ignore_eos: false,
        grammar: match format {
            Some(format) => grammar(format, "output_config.format")?,
            None => fields
                .output_format
                .map_or(Ok(None), |format| grammar(format, "output_format"))?,
        },
        logit_bias: Vec::new(),
        keep_alive: None,
        prediction: String::new(),
    })
}

fn grammar(Object(format): Object<OutputFormat>, at: &str) -> Result<Option<Grammar>, Failure> {
    let kind = format.kind.ok_or_else(|| missing(format!("{at}.type")))?;
    if kind != "json_schema" {
        return Err(invalid(format!("{at}.type"), "must be json_schema"));
    }
    let at = format!("{at}.schema");
    let schema = format.schema.ok_or_else(|| missing(&at))?;
    Ok(Some(Grammar::JsonSchema(object(&schema, at)?)))
}

/// The text of a value that has to be an object.
fn object(value: &RawValue, at: impl Into<String>) -> Result<String, Failure> {
    let text = value.get();
    if text.starts_with('{') {
        Ok(text.to_string())
    } else {
        Err(invalid(at, "must be an object"))
    }
}

/// A value that is wrong.
fn invalid(at: impl Into<String>, what: &str) -> Failure {
    let at = at.into();
    Failure::new(ErrorCode::InvalidRequest, format!("{at} {what}")).param(at)
}

/// A field that must be there.
fn missing(at: impl Into<String>) -> Failure {
    invalid(at, "is required")
}

#[cfg(test)]
mod tests;
