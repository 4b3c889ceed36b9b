//! Chat requests.

use base::{Conversation, Effort, Failure, GenerateRequest, Message, Prompt, Role, Standing};

use super::Fresh;
use super::refuse::{self, invalid, missing, unsupported};
use super::sampling::{self, TOP_LOGPROBS_MAX};
use super::{format, tools};
use crate::json::Object;
use crate::openai::custom::CallForms;
use crate::openai::model::{
    ChatFields, Content, Count, MessageIn, Part, PredictionIn, Shallow, SharedFields,
};

pub(super) fn requests(
    shared: SharedFields,
    fields: ChatFields,
    fresh: &mut Fresh,
) -> Result<(CallForms, Vec<GenerateRequest>), Failure> {
    let shared = sampling::shared(shared, fresh)?;
    refuse::chat(&fields)?;
    let max_tokens = max_tokens(shared.max_tokens, fields.max_completion_tokens)?;
    let logprobs = logprobs(fields.logprobs.unwrap_or(false), fields.top_logprobs)?;
    let mut offered = tools::offered(fields.tools, fields.functions)?;
    let tool_choice = tools::choice(fields.tool_choice, fields.function_call, &mut offered)?;
    // The old form has a place for one call.
    let parallel = fields.parallel_tool_calls.unwrap_or(true) && !offered.forms.functions;
    let format = format::response_format(fields.response_format)?;
    let request = GenerateRequest {
        id: fresh.request_id(),
        standing: Standing::default(),
        model: shared.model,
        prompt: Prompt::Chat(Conversation {
            messages: messages(fields.messages)?,
            tool_choice,
            tools: offered.tools,
            parallel_tool_calls: parallel,
            effort: effort(fields.reasoning_effort.as_deref(), "reasoning_effort")?,
            must_think: false,
        }),
        sampling: shared.sampling,
        max_tokens,
        context_tokens: None,
        stop: shared.stop,
        stop_tokens: shared.stop_tokens,
        logprobs,
        echo: false,
        ignore_eos: shared.ignore_eos,
        grammar: format::grammar(format, shared.grammar)?,
        logit_bias: shared.logit_bias,
        keep_alive: None,
        prediction: prediction(fields.prediction)?,
    };
    let requests = sampling::each_answer(request, shared.answers, fresh);
    Ok((offered.forms, requests))
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
    let mut turns: Vec<Message> = Vec::with_capacity(messages.len());
    for (index, Object(message)) in messages.into_iter().enumerate() {
        let turn = convert(message, &turns, &format!("messages[{index}]"))?;
        turns.push(turn);
    }
    Ok(with_one_system(turns))
}

/// What the system says at the beginning as one turn: many templates have a place for one, and Codex sends several.
pub(in crate::openai) fn with_one_system(turns: Vec<Message>) -> Vec<Message> {
    let mut joined: Vec<Message> = Vec::with_capacity(turns.len());
    for turn in turns {
        match &mut joined[..] {
            [first] if first.role == Role::System && turn.role == Role::System => {
                first.content = format!("{}\n\n{}", first.content, turn.content);
            }
            _ => joined.push(turn),
        }
    }
    joined
}

/// A turn that comes after `before`.
fn convert(message: MessageIn, before: &[Message], at: &str) -> Result<Message, Failure> {
    let is_function = message.role.as_deref() == Some("function");
    let role = role(message.role.as_deref(), &format!("{at}.role"))?;
    refuse::check(
        message.audio.as_ref(),
        &format!("{at}.audio"),
        "audio is",
        |_| false,
    )?;
    let mut tool_calls = tools::calls(message.tool_calls, &format!("{at}.tool_calls"))?;
    if let Some(Object(function)) = message.function_call {
        let id = format!("call_{}", before.len());
        let at = format!("{at}.function_call");
        tool_calls.push(tools::called_function(function, id, &at)?);
    }
    let tool_call_id = match (role, message.tool_call_id) {
        (Role::Tool, None) if is_function => Some(call_of(before, message.name.as_deref())),
        (Role::Tool, None) => return Err(missing(&format!("{at}.tool_call_id"))),
        (_, id) => id,
    };
    let content = content(message.content, role, &format!("{at}.content"))?;
    Ok(Message {
        role,
        content,
        reasoning: match (message.reasoning_content, message.reasoning) {
            (Some(text), _) | (None, Some(Shallow::Text(text))) => text,
            (None, Some(_) | None) => String::new(),
        },
        tool_calls,
        tool_call_id,
        name: message.name,
    })
}

/// The call of a function that its result, in the old form, names by the function alone: the latest one.
fn call_of(before: &[Message], name: Option<&str>) -> String {
    let calls = before
        .iter()
        .rev()
        .flat_map(|turn| turn.tool_calls.iter().rev());
    let mut named = calls.filter(|call| name.is_none_or(|name| call.name == name));
    named
        .next()
        .map_or_else(String::new, |call| call.id.clone())
}

fn content(content: Option<Content>, role: Role, at: &str) -> Result<String, Failure> {
    match content {
        // Who only calls tools, or only thinks, says nothing.
        None if role == Role::Assistant => Ok(String::new()),
        None => Err(missing(at)),
        Some(Content::Text(text)) => Ok(text),
        Some(Content::Parts(parts)) => {
            let numbered = parts.into_iter().enumerate();
            let texts = numbered.map(|(index, Object(part))| text(part, &format!("{at}[{index}]")));
            // A line each: nothing says how parts join, and glued together words would merge.
            Ok(texts.collect::<Result<Vec<String>, Failure>>()?.join("\n"))
        }
    }
}

/// The text that is predicted. Its parts are one text that was cut, so nothing comes between them.
fn prediction(fields: Option<Object<PredictionIn>>) -> Result<String, Failure> {
    let Some(Object(fields)) = fields else {
        return Ok(String::new());
    };
    match fields.kind.as_deref() {
        Some("content") => {}
        Some(_) => {
            return Err(invalid(
                "prediction.type must be content",
                "prediction.type",
            ));
        }
        None => return Err(missing("prediction.type")),
    }
    let at = "prediction.content";
    match fields.content {
        Some(Content::Text(text)) => Ok(text),
        Some(Content::Parts(parts)) => {
            let numbered = parts.into_iter().enumerate();
            let texts = numbered.map(|(index, Object(part))| text(part, &format!("{at}[{index}]")));
            texts.collect()
        }
        None => Err(missing(at)),
    }
}

fn role(name: Option<&str>, at: &str) -> Result<Role, Failure> {
    match name {
        Some("system" | "developer") => Ok(Role::System),
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some("tool" | "function") => Ok(Role::Tool),
        Some(_) => Err(invalid(
            format!("{at} must be system, developer, user, assistant or tool"),
            at,
        )),
        None => Err(missing(at)),
    }
}

fn text(part: Part, at: &str) -> Result<String, Failure> {
    let kind = part.kind.ok_or_else(|| missing(&format!("{at}.type")))?;
    match kind.as_str() {
        "text" => part.text.ok_or_else(|| missing(&format!("{at}.text"))),
        "refusal" => Ok(part.refusal.or(part.text).unwrap_or_default()),
        "image_url" => Err(unsupported("images are", at)),
        "input_audio" => Err(unsupported("audio is", at)),
        "file" => Err(unsupported("files are", at)),
        _ => Err(unsupported("content other than text is", at)),
    }
}
