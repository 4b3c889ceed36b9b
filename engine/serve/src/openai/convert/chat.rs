//! Chat requests.

use base::{Conversation, Failure, GenerateRequest, Message, Prompt, Role};

use super::Fresh;
use super::refuse::{self, invalid, missing, unsupported};
use super::sampling::{self, TOP_LOGPROBS_MAX};
use crate::json::Object;
use crate::openai::model::{ChatFields, Content, Count, MessageIn, SharedFields};

pub(super) fn request(
    shared: SharedFields,
    fields: ChatFields,
    fresh: &mut Fresh,
) -> Result<GenerateRequest, Failure> {
    let shared = sampling::shared(shared, fresh)?;
    refuse::chat(&fields)?;
    let max_tokens = max_tokens(shared.max_tokens, fields.max_completion_tokens)?;
    let logprobs = logprobs(fields.logprobs.unwrap_or(false), fields.top_logprobs)?;
    Ok(GenerateRequest {
        id: fresh.request_id(),
        model: shared.model,
        prompt: Prompt::Chat(Conversation {
            messages: messages(fields.messages)?,
            ..Conversation::default()
        }),
        sampling: shared.sampling,
        max_tokens,
        stop: shared.stop,
        stop_tokens: shared.stop_tokens,
        logprobs,
        echo: false,
        ignore_eos: shared.ignore_eos,
        grammar: None,
        logit_bias: Vec::new(),
    })
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
    for (value, name) in [
        (message.tool_calls.as_ref(), "tool_calls"),
        (message.function_call.as_ref(), "function_call"),
    ] {
        refuse::check(
            value,
            &format!("{at}.{name}"),
            "tools are",
            refuse::is_empty,
        )?;
    }
    refuse::check(
        message.audio.as_ref(),
        &format!("{at}.audio"),
        "audio is",
        |_| false,
    )?;
    let at = format!("{at}.content");
    let content = match message.content {
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
    Ok(Message::new(role, content))
}

fn role(name: Option<&str>, at: &str) -> Result<Role, Failure> {
    match name {
        Some("system" | "developer") => Ok(Role::System),
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some(name @ ("tool" | "function")) => Err(invalid(
            format!("messages of the role {name} are not supported: there are no tools"),
            at,
        )),
        Some(_) => Err(invalid(
            format!("{at} must be system, developer, user or assistant"),
            at,
        )),
        None => Err(missing(at)),
    }
}

fn text(kind: Option<String>, text: Option<String>, at: &str) -> Result<String, Failure> {
    let kind = kind.ok_or_else(|| missing(&format!("{at}.type")))?;
    match kind.as_str() {
        "text" => text.ok_or_else(|| missing(&format!("{at}.text"))),
        "image_url" => Err(unsupported("images are", at)),
        "input_audio" => Err(unsupported("audio is", at)),
        "file" => Err(unsupported("files are", at)),
        _ => Err(unsupported("content other than text is", at)),
    }
}
