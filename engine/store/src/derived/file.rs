//! A derived model as its file has it: JSON, with a version. What is not said is not in it.

use std::io;

use base::{DerivedModel, Message, Parameters, Role};
use serde::{Deserialize, Serialize};

/// Files of a later version are not understood.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(super) struct DerivedFile {
    version: u32,
    name: String,
    base: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Turn>,
    #[serde(default)]
    parameters: Settings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    licence: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Turn {
    role: Speaker,
    content: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repetition_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop: Vec<String>,
}

impl DerivedFile {
    pub(super) fn of(name: &str, model: &DerivedModel) -> Self {
        let messages = model.messages.iter().map(|message| Turn {
            role: speaker(message.role),
            content: message.content.clone(),
        });
        Self {
            version: VERSION,
            name: name.to_owned(),
            base: model.base.clone(),
            system: model.system.clone(),
            template: model.template.clone(),
            messages: messages.collect(),
            parameters: settings(&model.parameters),
            licence: model.licence.clone(),
        }
    }

    pub(super) fn text(&self) -> io::Result<String> {
        serde_json::to_string_pretty(self).map_err(io::Error::other)
    }

    /// The name and the model of a file's bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<(String, DerivedModel)> {
        let file: Self = serde_json::from_slice(bytes).ok()?;
        if file.version != VERSION {
            return None;
        }
        let messages = file.messages.into_iter();
        let messages = messages.map(|turn| Message::new(role(turn.role), turn.content));
        let model = DerivedModel {
            base: file.base,
            system: file.system,
            template: file.template,
            messages: messages.collect(),
            parameters: parameters(file.parameters),
            licence: file.licence,
        };
        Some((file.name, model))
    }
}

fn settings(own: &Parameters) -> Settings {
    Settings {
        temperature: own.temperature,
        top_p: own.top_p,
        top_k: own.top_k,
        min_p: own.min_p,
        repetition_penalty: own.repetition_penalty,
        frequency_penalty: own.frequency_penalty,
        presence_penalty: own.presence_penalty,
        seed: own.seed,
        max_tokens: own.max_tokens,
        context_tokens: own.context_tokens,
        stop: own.stop.clone(),
    }
}

fn parameters(own: Settings) -> Parameters {
    Parameters {
        temperature: own.temperature,
        top_p: own.top_p,
        top_k: own.top_k,
        min_p: own.min_p,
        repetition_penalty: own.repetition_penalty,
        frequency_penalty: own.frequency_penalty,
        presence_penalty: own.presence_penalty,
        seed: own.seed,
        max_tokens: own.max_tokens,
        context_tokens: own.context_tokens,
        stop: own.stop,
    }
}

fn speaker(role: Role) -> Speaker {
    match role {
        Role::System => Speaker::System,
        Role::User => Speaker::User,
        Role::Assistant => Speaker::Assistant,
        Role::Tool => Speaker::Tool,
    }
}

fn role(speaker: Speaker) -> Role {
    match speaker {
        Speaker::System => Role::System,
        Speaker::User => Role::User,
        Speaker::Assistant => Role::Assistant,
        Speaker::Tool => Role::Tool,
    }
}
