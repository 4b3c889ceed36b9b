//! From a body to a request and to what the response repeats of it. Pure.

use std::collections::BTreeMap;

use base::{
    AskedSampling, Conversation, Failure, GenerateRequest, Grammar, Message, Prompt, Role,
    Standing, Tool, ToolChoice,
};
use serde_json::{Value, json};

use super::input;
use super::model::{Fields, FormatIn, ToolChoiceIn, ToolIn};
use crate::json::Object;
use crate::openai::Fresh;
use crate::openai::convert::{self, invalid, missing, unsupported};
use crate::openai::model::{Count, Number};

/// Entries of `metadata`, as `OpenAI` has it.
const METADATA_MAX: usize = 16;

/// A request as it was understood, without what was said before it.
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
    /// The response's fields that repeat the request.
    pub(super) repeated: Value,
    /// `input` as items with ids.
    pub(super) input_items: Vec<Value>,
}

impl Asked {
    /// The request, with the turns before it.
    pub(super) fn after(&self, before: &[Message]) -> GenerateRequest {
        let mut request = self.request.clone();
        if let Prompt::Chat(conversation) = &mut request.prompt {
            let instructions = self.instructions.iter();
            let system = instructions.map(|text| Message::new(Role::System, text.as_str()));
            conversation.messages = system
                .chain(before.iter().cloned())
                .chain(self.turns.iter().cloned())
                .collect();
        }
        request
    }
}

/// Understands the body of `POST /v1/responses`.
pub(super) fn parse(body: &[u8], mut fresh: Fresh) -> Result<Asked, Failure> {
    let fields: Fields = crate::json::parse(body)?;
    let again: Value = serde_json::from_slice(body).unwrap_or_default();
    refuse(&fields)?;
    let id = fresh.request_id();
    let tools = tools(fields.tools)?;
    let tool_choice = tool_choice(fields.tool_choice, &tools)?;
    let effort = fields
        .reasoning
        .and_then(|Object(reasoning)| reasoning.effort);
    let format = fields.text.and_then(|Object(text)| text.format);
    let sampling = sampling(fields.temperature, fields.top_p, &mut fresh)?;
    let input = fields.input.ok_or_else(|| missing("input"))?;
    let turns = input::messages(input)?;
    let max_tokens = match fields.max_output_tokens {
        Some(Count(0)) => {
            let message = "max_output_tokens must be at least 1";
            return Err(invalid(message, "max_output_tokens"));
        }
        max => max.map(|Count(tokens)| tokens),
    };
    let (stream, background) = (
        fields.stream.unwrap_or(false),
        fields.background.unwrap_or(false),
    );
    let store = fields.store.unwrap_or(true);
    if background && !store {
        let message = "a response in the background must be stored";
        return Err(invalid(message, "store").hint("leave out store, or background"));
    }
    let conversation = Conversation {
        messages: Vec::new(),
        tools,
        tool_choice,
        parallel_tool_calls: fields.parallel_tool_calls.unwrap_or(true),
        effort: convert::effort(effort.as_deref(), "reasoning.effort")?,
    };
    Ok(Asked {
        repeated: repeated(&again, max_tokens, store, background),
        input_items: input_items(&again["input"], &id.to_string()),
        request: GenerateRequest {
            id,
            standing: Standing::default(),
            model: convert::model(fields.model)?,
            prompt: Prompt::Chat(conversation),
            sampling,
            max_tokens,
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            logprobs: None,
            echo: false,
            ignore_eos: false,
            grammar: format.map_or(Ok(None), |Object(format)| grammar(format))?,
            logit_bias: Vec::new(),
            keep_alive: None,
        },
        turns,
        instructions: fields.instructions,
        previous: fields.previous_response_id,
        store,
        stream,
        background,
    })
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

/// Tools of kinds that nobody here runs are left out: a program that offers them can do without.
fn tools(tools: Option<Vec<Object<ToolIn>>>) -> Result<Vec<Tool>, Failure> {
    let numbered = tools.unwrap_or_default().into_iter().enumerate();
    let functions = numbered.filter(|(_, Object(tool))| tool.kind.as_deref() == Some("function"));
    let tools = functions.map(|(index, Object(tool))| {
        let at = format!("tools[{index}]");
        convert::tool(
            tool.name,
            tool.description,
            tool.parameters.as_deref(),
            tool.strict,
            &at,
        )
    });
    let tools: Vec<Tool> = tools.collect::<Result<_, _>>()?;
    convert::check_tools(&tools)?;
    Ok(tools)
}

fn tool_choice(choice: Option<ToolChoiceIn>, tools: &[Tool]) -> Result<ToolChoice, Failure> {
    let choice = match choice {
        None => ToolChoice::Auto,
        Some(ToolChoiceIn::Word(word)) => convert::choice_word(&word)?,
        Some(ToolChoiceIn::Named { kind, name }) => match (kind.as_deref(), name) {
            (Some("function"), Some(name)) => ToolChoice::Named(name),
            (Some("function"), None) => return Err(missing("tool_choice.name")),
            // One that was left out cannot be called.
            _ => ToolChoice::Auto,
        },
    };
    convert::check_choice(choice, tools)
}

fn grammar(format: FormatIn) -> Result<Option<Grammar>, Failure> {
    let kind = format.kind.ok_or_else(|| missing("text.format.type"))?;
    convert::format(&kind, format.schema, "text.format", "text.format.schema")
}

fn sampling(
    temperature: Option<Number>,
    top_p: Option<Number>,
    fresh: &mut Fresh,
) -> Result<AskedSampling, Failure> {
    Ok(AskedSampling {
        temperature: convert::temperature(temperature)?,
        top_p: convert::top_p(top_p)?,
        top_k: None,
        min_p: None,
        seed: fresh.draw(),
        repetition_penalty: None,
        frequency_penalty: None,
        presence_penalty: None,
    })
}

/// What the client said, as it said it, with what `OpenAI` says where it left something open.
fn repeated(body: &Value, max_tokens: Option<u32>, store: bool, background: bool) -> Value {
    let or = |name: &str, default: Value| match &body[name] {
        Value::Null => default,
        given => given.clone(),
    };
    let reasoning = &body["reasoning"];
    json!({
        "background": background,
        "instructions": body["instructions"],
        "max_output_tokens": max_tokens,
        "max_tool_calls": body["max_tool_calls"],
        "metadata": or("metadata", json!({})),
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": body["previous_response_id"],
        "prompt_cache_key": body["prompt_cache_key"],
        "reasoning": {"effort": reasoning["effort"], "summary": reasoning["summary"]},
        "safety_identifier": body["safety_identifier"],
        "service_tier": "default",
        "store": store,
        "temperature": or("temperature", json!(1.0)),
        "text": text(&body["text"]),
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": or("tools", json!([])),
        "top_logprobs": or("top_logprobs", json!(0)),
        "top_p": or("top_p", json!(1.0)),
        "truncation": or("truncation", json!("disabled")),
        "presence_penalty": or("presence_penalty", json!(0.0)),
        "frequency_penalty": or("frequency_penalty", json!(0.0)),
        "user": body["user"],
    })
}

fn text(given: &Value) -> Value {
    let format = match &given["format"] {
        Value::Null => json!({"type": "text"}),
        format => format.clone(),
    };
    match &given["verbosity"] {
        Value::Null => json!({"format": format}),
        verbosity => json!({"format": format, "verbosity": verbosity}),
    }
}

/// Items as `GET …/input_items` shows them.
fn input_items(input: &Value, id: &str) -> Vec<Value> {
    let words = |text: &Value, role: &Value| {
        let kind = if role == "assistant" {
            "output_text"
        } else {
            "input_text"
        };
        json!([{"type": kind, "text": text}])
    };
    let user = json!("user");
    let items = match input {
        Value::Array(items) => items.clone(),
        text => vec![json!({"role": user, "content": words(text, &user)})],
    };
    let numbered = items.into_iter().enumerate();
    let complete = |(index, mut item): (usize, Value)| {
        let role = item["role"].clone();
        if item["content"].is_string() {
            item["content"] = words(&item["content"], &role);
        }
        if let Value::Object(fields) = &mut item {
            let kind = fields.entry("type").or_insert_with(|| json!("message"));
            let prefix = if kind == "message" { "msg" } else { "item" };
            let name = json!(format!("{prefix}_{id}in{index:03}"));
            fields.entry("id").or_insert(name);
            fields.entry("status").or_insert(json!("completed"));
        }
        item
    };
    numbered.map(complete).collect()
}
