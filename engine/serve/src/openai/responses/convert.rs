//! From a body to a request and to what the response repeats of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use base::{
    AskedSampling, Conversation, Failure, GenerateRequest, Grammar, Message, Prompt, Role, Standing,
};
use serde_json::Value;

use super::model::{Fields, FormatIn, ReasoningIn};
use super::record::Telling;
use super::{input, repeat, tools};
use crate::json::Object;
use crate::openai::Fresh;
use crate::openai::convert::{self, TOP_LOGPROBS_MAX, invalid, missing, unsupported};
use crate::openai::custom::CallForms;
use crate::openai::model::Count;

/// Entries of `metadata`, as `OpenAI` has it.
const METADATA_MAX: usize = 16;

/// A request as it was understood, without what was said before it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a request has as many switches"
)]
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: GenerateRequest,
    /// What is said now; instructions are not among it.
    pub(super) turns: Vec<Message>,
    pub(super) instructions: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) store: bool,
    pub(super) stream: bool,
    pub(super) background: bool,
    /// Whether the oldest turns are left out if all of them together are too long.
    pub(super) truncates: bool,
    pub(super) telling: Telling,
    /// The response's fields that repeat the request.
    pub(super) repeated: Value,
    /// `input` as items with ids.
    pub(super) input_items: Vec<Value>,
}

impl Asked {
    /// The request, with the turns before it.
    pub(super) fn after(&self, before: &[Message]) -> Result<GenerateRequest, Failure> {
        called(before, &self.turns)?;
        let mut request = self.request.clone();
        if let Prompt::Chat(conversation) = &mut request.prompt {
            let instructions = self.instructions.iter();
            let system = instructions.map(|text| Message::new(Role::System, text.as_str()));
            let turns = system
                .chain(before.iter().cloned())
                .chain(self.turns.iter().cloned());
            conversation.messages = convert::with_one_system(turns.collect());
        }
        Ok(request)
    }
}

/// Refuses what came of a call that nobody has made.
fn called(before: &[Message], turns: &[Message]) -> Result<(), Failure> {
    let mut calls = BTreeSet::new();
    for turn in before.iter().chain(turns) {
        calls.extend(turn.tool_calls.iter().map(|call| call.id.as_str()));
        let id = turn.tool_call_id.as_deref();
        if let Some(id) = id.filter(|id| !calls.contains(id)) {
            let message = format!("No tool call found for function call output with call_id {id}.");
            let hint =
                "send the call before what came of it, or go on from the response that made it";
            return Err(invalid(message, "input").hint(hint));
        }
    }
    Ok(())
}

/// Understands the body of `POST /v1/responses`. `kept` has the items that a client may name.
pub(super) fn parse(
    body: &[u8],
    mut fresh: Fresh,
    kept: &dyn Fn(&str) -> Option<Value>,
) -> Result<Asked, Failure> {
    let fields: Fields = crate::json::parse(body)?;
    let again: Value = serde_json::from_slice(body).unwrap_or_default();
    refuse(&fields)?;
    let id = fresh.request_id();
    let sampling = sampling(&fields, &mut fresh)?;
    let mut offered = tools::offered(fields.tools)?;
    let tool_choice = tools::choice(fields.tool_choice, &mut offered)?;
    let Object(reasoning) = fields.reasoning.unwrap_or_default();
    let telling = telling(offered.forms, fields.include.as_deref(), &reasoning);
    let format = fields.text.and_then(|Object(text)| text.format);
    let input = fields.input.ok_or_else(|| missing("input"))?;
    let turns = input::messages(input, kept)?;
    let max_tokens = max_tokens(fields.max_output_tokens)?;
    let background = fields.background.unwrap_or(false);
    let store = fields.store.unwrap_or(true);
    if background && !store {
        let message = "a response in the background must be stored";
        return Err(invalid(message, "store").hint("leave out store, or background"));
    }
    let model = convert::model(fields.model)?;
    let conversation = Conversation {
        messages: Vec::new(),
        tools: offered.tools,
        tool_choice,
        parallel_tool_calls: fields.parallel_tool_calls.unwrap_or(true),
        effort: convert::effort(reasoning.effort.as_deref(), "reasoning.effort")?,
        must_think: false,
    };
    Ok(Asked {
        repeated: repeat::fields(&again, &model, max_tokens, store, background),
        input_items: repeat::input_items(&again["input"], &id.to_string()),
        request: GenerateRequest {
            id,
            standing: Standing::default(),
            model,
            prompt: Prompt::Chat(conversation),
            sampling,
            max_tokens,
            context_tokens: None,
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            logprobs: top_logprobs(fields.top_logprobs, telling.logprobs)?,
            echo: false,
            ignore_eos: false,
            grammar: format.map_or(Ok(None), |Object(format)| grammar(format))?,
            logit_bias: Vec::new(),
            keep_alive: None,
            prediction: String::new(),
        },
        turns,
        instructions: fields.instructions,
        previous: fields.previous_response_id,
        store,
        stream: fields.stream.unwrap_or(false),
        background,
        truncates: truncates(fields.truncation.as_deref())?,
        telling,
    })
}

fn telling(forms: CallForms, include: Option<&[String]>, reasoning: &ReasoningIn) -> Telling {
    let include = include.unwrap_or_default();
    let includes = |name: &str| include.iter().any(|included| included == name);
    Telling {
        forms,
        summary: reasoning.summary.is_some(),
        encrypted: includes("reasoning.encrypted_content"),
        logprobs: includes("message.output_text.logprobs"),
    }
}

fn max_tokens(asked: Option<Count>) -> Result<Option<u32>, Failure> {
    match asked {
        Some(Count(0)) => {
            let message = "max_output_tokens must be at least 1";
            Err(invalid(message, "max_output_tokens"))
        }
        max => Ok(max.map(|Count(tokens)| tokens)),
    }
}

/// Alternatives with each token, if tokens are told of at all.
fn top_logprobs(asked: Option<Count>, told: bool) -> Result<Option<u32>, Failure> {
    let Count(top) = asked.unwrap_or(Count(0));
    if top > TOP_LOGPROBS_MAX {
        let message = format!("top_logprobs must be from 0 to {TOP_LOGPROBS_MAX}");
        return Err(invalid(message, "top_logprobs"));
    }
    Ok(told.then_some(top))
}

fn truncates(word: Option<&str>) -> Result<bool, Failure> {
    match word {
        None | Some("disabled") => Ok(false),
        Some("auto") => Ok(true),
        Some(_) => Err(invalid("truncation must be auto or disabled", "truncation")),
    }
}

fn refuse(fields: &Fields) -> Result<(), Failure> {
    for (value, param) in [
        (&fields.conversation, "conversation"),
        (&fields.prompt, "prompt"),
    ] {
        if value.as_ref().is_some_and(|value| value.get() != "null") {
            return Err(unsupported(
                &format!("{param}s kept by a server are"),
                param,
            ));
        }
    }
    let entries = fields.metadata.as_ref().map_or(0, BTreeMap::len);
    if entries > METADATA_MAX {
        let message = format!("metadata may have at most {METADATA_MAX} entries");
        return Err(invalid(message, "metadata"));
    }
    Ok(())
}

fn grammar(format: FormatIn) -> Result<Option<Grammar>, Failure> {
    let kind = format.kind.ok_or_else(|| missing("text.format.type"))?;
    convert::format(&kind, format.schema, "text.format", "text.format.schema")
}

fn sampling(fields: &Fields, fresh: &mut Fresh) -> Result<AskedSampling, Failure> {
    Ok(AskedSampling {
        temperature: convert::temperature(fields.temperature)?,
        top_p: convert::top_p(fields.top_p)?,
        top_k: None,
        min_p: None,
        seed: None,
        drawn_seed: fresh.draw(),
        repetition_penalty: None,
        frequency_penalty: convert::penalty(fields.frequency_penalty, "frequency_penalty")?,
        presence_penalty: convert::penalty(fields.presence_penalty, "presence_penalty")?,
    })
}
