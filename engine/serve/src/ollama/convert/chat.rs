//! `POST /api/chat`.

use base::{Conversation, Failure, GenerateRequest, Prompt, Standing, ToolChoice};

use super::{Asked, Generation, Idle, Work, canonical, messages, name, options, tools};
use crate::json::Object;
use crate::ollama::model::{ChatFields, KeepAliveIn, ThinkIn};
use crate::openai::Fresh;

/// Understands the body of `POST /api/chat`. Without messages it loads the model.
pub fn parse_chat(body: &[u8], mut fresh: Fresh) -> Result<Asked, Failure> {
    let fields: ChatFields = crate::json::parse(body)?;
    let model = name::model(fields.model.clone(), None)?;
    let stream = fields.stream.unwrap_or(true);
    let work = work(&model, fields, &mut fresh)?;
    Ok(Asked {
        model,
        stream,
        work,
    })
}

fn work(model: &str, fields: ChatFields, fresh: &mut Fresh) -> Result<Work, Failure> {
    let keep_alive = fields.keep_alive.map(|KeepAliveIn(kept)| kept);
    let messages = messages::messages(fields.messages.unwrap_or_default())?;
    if messages.is_empty() {
        return Ok(Work::Idle(Idle::of(model, keep_alive, fresh)));
    }
    let options = fields.options.map(|Object(options)| options);
    let own = options::parameters(options.unwrap_or_default(), "options")?;
    let conversation = Conversation {
        messages,
        tools: tools::tools(fields.tools)?,
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls: true,
        must_think: fields.think.is_some_and(ThinkIn::must),
        effort: fields.think.map(|ThinkIn(effort)| effort),
    };
    let request = GenerateRequest {
        id: fresh.request_id(),
        standing: Standing::default(),
        model: canonical(model).to_owned(),
        prompt: Prompt::Chat(conversation),
        sampling: super::sampling(&own, fresh),
        max_tokens: own.max_tokens,
        context_tokens: own.context_tokens,
        stop: own.stop,
        stop_tokens: Vec::new(),
        logprobs: super::logprobs(fields.logprobs, fields.top_logprobs)?,
        echo: false,
        ignore_eos: false,
        grammar: super::format(fields.format.as_deref())?,
        logit_bias: Vec::new(),
        keep_alive,
        prediction: String::new(),
    };
    Ok(Work::Generate(Generation {
        request,
        truncates: fields.truncate.unwrap_or(true),
        turns: None,
    }))
}
