//! `POST /api/generate`: one question, or raw text to go on from.

use base::{Conversation, Failure, GenerateRequest, Message, Prompt, Role, Standing, ToolChoice};

use super::{
    Asked, Generation, Idle, Turn, Work, canonical, context, invalid, name, no_images, options,
    template,
};
use crate::json::Object;
use crate::ollama::model::{GenerateFields, KeepAliveIn, ThinkIn};
use crate::openai::Fresh;

/// Understands the body of `POST /api/generate`. Without a prompt it loads the model.
pub fn parse_generate(body: &[u8], mut fresh: Fresh) -> Result<Asked, Failure> {
    let mut fields: GenerateFields = crate::json::parse(body)?;
    let model = name::model(fields.model.take(), None)?;
    let stream = fields.stream.unwrap_or(true);
    let work = work(&model, fields, &mut fresh)?;
    Ok(Asked {
        model,
        stream,
        work,
    })
}

fn work(model: &str, mut fields: GenerateFields, fresh: &mut Fresh) -> Result<Work, Failure> {
    let keep_alive = fields.keep_alive.map(|KeepAliveIn(kept)| kept);
    if fields.images.is_some_and(|images| images.any) {
        return Err(no_images("images"));
    }
    if is_empty(fields.prompt.as_deref()) && is_empty(fields.suffix.as_deref()) {
        return Ok(Work::Idle(Idle::of(model, keep_alive, fresh)));
    }
    let options = fields.options.take().map(|Object(options)| options);
    let own = options::parameters(options.unwrap_or_default(), "options")?;
    let logprobs = super::logprobs(fields.logprobs, fields.top_logprobs)?;
    let grammar = super::format(fields.format.as_deref())?;
    let truncates = fields.truncate.unwrap_or(true);
    let prompt = prompt(fields)?;
    let turns = prompt.conversation().map(|talk| {
        let messages = talk.messages.iter();
        messages.map(Turn::of).collect()
    });
    let request = GenerateRequest {
        id: fresh.request_id(),
        standing: Standing::default(),
        model: canonical(model).to_owned(),
        prompt,
        sampling: super::sampling(&own, fresh),
        max_tokens: own.max_tokens,
        context_tokens: own.context_tokens,
        stop: own.stop,
        stop_tokens: Vec::new(),
        logprobs,
        echo: false,
        ignore_eos: false,
        grammar,
        logit_bias: Vec::new(),
        keep_alive,
        prediction: String::new(),
    };
    Ok(Work::Generate(Generation {
        request,
        truncates,
        turns,
    }))
}

fn prompt(fields: GenerateFields) -> Result<Prompt, Failure> {
    let words = fields.prompt.unwrap_or_default();
    if let Some(suffix) = fields.suffix.filter(|suffix| !suffix.is_empty()) {
        return Ok(Prompt::Infill {
            prefix: words,
            suffix,
        });
    }
    let context = fields.context.unwrap_or_default();
    if fields.raw.unwrap_or(false) {
        if !is_empty(fields.system.as_deref())
            || !is_empty(fields.template.as_deref())
            || !context.is_empty()
        {
            let what = "takes the prompt as it is: no system, template or context goes with it";
            return Err(invalid("raw", what));
        }
        return Ok(Prompt::Text(words));
    }
    let earlier = context::decode(&context)?.into_iter();
    let mut messages: Vec<Message> = earlier.map(Turn::message).collect();
    if let Some(system) = fields.system.filter(|system| !system.is_empty()) {
        messages.retain(|message| message.role != Role::System);
        messages.insert(0, Message::new(Role::System, system));
    }
    messages.push(Message::new(Role::User, words));
    let conversation = Conversation {
        messages,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls: false,
        must_think: fields.think.is_some_and(ThinkIn::must),
        effort: fields.think.map(|ThinkIn(effort)| effort),
    };
    Ok(match template::template(fields.template)? {
        Some(template) => Prompt::Templated {
            conversation,
            template,
        },
        None => Prompt::Chat(conversation),
    })
}

fn is_empty(text: Option<&str>) -> bool {
    text.is_none_or(str::is_empty)
}
