//! Chat requests.

use base::{Conversation, Effort, Failure, GenerateRequest, Message, Prompt, Role, Standing};

use super::Fresh;
use super::refuse::{self, invalid, missing, unsupported};
use super::sampling::{self, TOP_LOGPROBS_MAX};
use super::{format, tools};
use crate::json::Object;
use crate::openai::model::{ChatFields, Content, Count, MessageIn, SharedFields};

pub(super) fn requests(
    shared: SharedFields,
    fields: ChatFields,
    fresh: &mut Fresh,
) -> Result<Vec<GenerateRequest>, Failure> {
    let shared = sampling::shared(shared, fresh)?;
    refuse::chat(&fields)?;
    let max_tokens = max_tokens(shared.max_tokens, fields.max_completion_tokens)?;
    let logprobs = logprobs(fields.logprobs.unwrap_or(false), fields.top_logprobs)?;
    let tools = tools::tools(fields.tools)?;
    let format = format::response_format(fields.response_format)?;
    let request = GenerateRequest {
        id: fresh.request_id(),
        standing: Standing::default(),
        model: shared.model,
        prompt: Prompt::Chat(Conversation {
            messages: messages(fields.messages)?,
            tool_choice: tools::choice(fields.tool_choice, &tools)?,
            tools,
            parallel_tool_calls: fields.parallel_tool_calls.unwrap_or(true),
            effort: effort(fields.reasoning_effort.as_deref(), "reasoning_effort")?,
        }),
        sampling: shared.sampling,
        max_tokens,
        stop: shared.stop,
        stop_tokens: shared.stop_tokens,
        logprobs,
        echo: false,
        ignore_eos: shared.ignore_eos,
        grammar: format::grammar(format, shared.grammar)?,
        logit_bias: shared.logit_bias,
        keep_alive: None,
    };
    Ok(sampling::each_answer(request, shared.answers, fresh))
}

/// How much to think; `param` is where the word stands.
pub(in crate::openai) fn effort(
    word: Option<&str>,
    param: &str,
) -> Result<Option<Effort>, Failure> {
    Ok(Some(match word {
        None => return Ok(None),
        Some("none") => Effort::Off,
        Some("minimal" | "low") => Effort::Low,
        Some("medium") => Effort::Medium,
        Some("high" | "xhigh" | "max") => Effort::High,
        Some(_) => {
            let message = format!("{param} must be none, minimal, low, medium, high or xhigh");
            return Err(invalid(message, param));
        }
    }))
}

/// The limit has an old and a new name.
fn max_tokens(old: Option<u32>, new: Option<Count>) -> Result<Option<u32>, Failure> {
    let new = new.map(|Count(tokens)| tokens);
    let (tokens, param) = match (old, new) {
        (Some(old), Some(new)) if old != new => {
            let message =
                "max_tokens and max_completion_tokens are the same setting and differ here";
            return Err(invalid(message, "max_tokens").hint("leave out max_tokens"));
        }
        (_, Some(new)) => (Some(new), "max_completion_tokens"),
        (old, None) => (old, "max_tokens"),
    };
    match tokens {
        Some(0) => Err(invalid(format!("{param} must be at least 1"), param)),
        tokens => Ok(tokens),
    }
}

fn logprobs(wanted: bool, top: Option<Count>) -> Result<Option<u32>, Failure> {
    match top {
        Some(_) if !wanted => {
            let message = "top_logprobs is only allowed when logprobs is true";
            Err(invalid(message, "top_logprobs"))
        }
        Some(Count(top)) if top > TOP_LOGPROBS_MAX => {
            let message = format!("top_logprobs must be from 0 to {TOP_LOGPROBS_MAX}");
            Err(invalid(message, "top_logprobs"))
        }
        top => Ok(wanted.then(|| top.map_or(0, |Count(top)| top))),
    }
}

fn messages(messages: Option<Vec<Object<MessageIn>>>) -> Result<Vec<Message>, Failure> {
    let messages = messages.ok_or_else(|| missing("messages"))?;
    if messages.is_empty() {
        let failure = invalid("messages is empty", "messages");
        return Err(failure.hint("send at least one message, for example from the user"));
    }
    let numbered = messages.into_iter().enumerate();
    numbered
        .map(|(index, Object(message))| convert(message, &format!("messages[{index}]")))
        .collect()
}

fn convert(message: MessageIn, at: &str) -> Result<Message, Failure> {
    let role = role(message.role.as_deref(), &format!("{at}.role"))?;
    refuse::check(
        message.function_call.as_ref(),
        &format!("{at}.function_call"),
        "functions were replaced by tool_calls in OpenAI's API, and the old form is",
        refuse::is_empty,
    )?;
    refuse::check(
        message.audio.as_ref(),
        &format!("{at}.audio"),
        "audio is",
        |_| false,
    )?;
    let tool_calls = tools::calls(message.tool_calls, &format!("{at}.tool_calls"))?;
    if role == Role::Tool && message.tool_call_id.is_none() {
        return Err(missing(&format!("{at}.tool_call_id")));
    }
    let at = format!("{at}.content");
    let content = match message.content {
        // Who only calls tools, or only thinks, says nothing.
        None if role == Role::Assistant => String::new(),
        None => return Err(missing(&at)),
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => {
            let numbered = parts.into_iter().enumerate();
            let texts = numbered
                .map(|(index, Object(part))| text(part.kind, part.text, &format!("{at}[{index}]")));
            // A line each: nothing says how parts join, and glued together words would merge.
            texts.collect::<Result<Vec<String>, Failure>>()?.join("\n")
        }
    };
    Ok(Message {
        role,
        content,
        reasoning: message.reasoning_content.unwrap_or_default(),
        tool_calls,
        tool_call_id: message.tool_call_id,
        name: message.name,
    })
}

fn role(name: Option<&str>, at: &str) -> Result<Role, Failure> {
    match name {
        Some("system" | "developer") => Ok(Role::System),
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some("tool") => Ok(Role::Tool),
        Some(_) => Err(invalid(
            format!("{at} must be system, developer, user, assistant or tool"),
            at,
        )),
        None => Err(missing(at)),
    }
}

fn text(kind: Option<String>, text: Option<String>, at: &str) -> Result<String, Failure> {
    let kind = kind.ok_or_else(|| missing(&format!("{at}.type")))?;
    match kind.as_str() {
        "text" | "refusal" => text.ok_or_else(|| missing(&format!("{at}.text"))),
        "image_url" => Err(unsupported("images are", at)),
        "input_audio" => Err(unsupported("audio is", at)),
        "file" => Err(unsupported("files are", at)),
        _ => Err(unsupported("content other than text is", at)),
    }
}
