//! Models as lists and pages show them. Pure.

mod modelfile;

use std::collections::BTreeMap;
use std::time::Duration;

use base::Role;
use serde_json::Value;

use crate::date::{rfc3339, rfc3339_ns};
use crate::gateway::{ModelDescription, ModelInfo};
use crate::ollama::convert::shown;
use crate::ollama::model::{
    Details, Loaded, LoadedList, Model, ModelList, Show, ShownMessage, Tensor,
};
use crate::view::{ClusterView, InstanceState, InstanceView};

/// What is never unloaded: as far away as a date is written.
const NEVER: &str = "9999-12-31T23:59:59Z";
/// For what the files do not say, where clients want something.
const UNKNOWN: &str = "unknown";

/// All models.
pub(super) fn tags(models: Vec<ModelInfo>) -> ModelList {
    let models = models.into_iter().map(|model| Model {
        name: shown(&model.id),
        model: shown(&model.id),
        modified_at: rfc3339(model.created_unix_seconds),
        size: size(&model),
        digest: digest(&model),
        details: details(&model),
    });
    ModelList {
        models: models.collect(),
    }
}

/// The models that are loaded. Of one that is loaded several times the first is told.
pub(super) fn loaded(view: &ClusterView, models: &[ModelInfo]) -> LoadedList {
    let mut all: Vec<Loaded> = Vec::new();
    for instance in view.instances.iter().filter(|instance| is_up(instance)) {
        let name = shown(&instance.model.0);
        if all.iter().any(|known| known.name == name) {
            continue;
        }
        let known = models.iter().find(|model| model.id == instance.model.0);
        let size = instance.shards.iter().map(|shard| shard.bytes).sum();
        let expires = instance.expires_unix_ms.map(Duration::from_millis);
        all.push(Loaded {
            model: name.clone(),
            name,
            size,
            digest: instance.fingerprint.to_string(),
            details: known.map_or_else(no_details, details),
            expires_at: expires.map_or_else(|| NEVER.to_owned(), rfc3339_ns),
            // The device's memory is the computer's.
            size_vram: size,
            context_length: instance.context_tokens,
        });
    }
    LoadedList { models: all }
}

fn is_up(instance: &InstanceView) -> bool {
    match instance.state {
        InstanceState::Ready | InstanceState::Mending => true,
        InstanceState::Placing
        | InstanceState::Downloading
        | InstanceState::Loading
        | InstanceState::Failed => false,
    }
}

/// All there is to know of a model; its tensors only if `verbose`.
pub(super) fn show(model: &ModelDescription, verbose: bool) -> Show {
    let derived = model.derived.clone().unwrap_or_default();
    let tensors = model.tensors.iter().filter(|_| verbose);
    let tensors = tensors.map(|tensor| Tensor {
        name: tensor.name.clone(),
        kind: tensor.element.clone(),
        shape: tensor.shape.clone(),
    });
    let messages = derived.messages.iter().map(|message| ShownMessage {
        role: role(message.role),
        content: message.content.clone(),
    });
    Show {
        license: license(model),
        modelfile: modelfile::text(model),
        parameters: modelfile::parameters(&derived.parameters),
        template: derived.template.unwrap_or_else(|| model.template.clone()),
        system: derived.system.unwrap_or_default(),
        details: details(&model.info),
        messages: messages.collect(),
        model_info: model_info(&model.info),
        tensors: tensors.collect(),
        capabilities: capabilities(model),
        modified_at: rfc3339(model.info.created_unix_seconds),
    }
}

fn capabilities(model: &ModelDescription) -> Vec<&'static str> {
    if model.embeds {
        return vec!["embedding"];
    }
    let mut capabilities = vec!["completion"];
    // Any model that chats can be made to call tools.
    if !model.template.is_empty() {
        capabilities.push("tools");
    }
    if model.infills {
        capabilities.push("insert");
    }
    if model.thinks {
        capabilities.push("thinking");
    }
    capabilities
}

fn license(model: &ModelDescription) -> String {
    let own = model.derived.as_ref();
    let own = own.and_then(|derived| derived.licence.clone());
    let named = model.info.on_disk.as_ref().map(|disk| disk.licence.clone());
    let text = Some(model.licence_text.clone()).filter(|text| !text.is_empty());
    own.or(text).or(named).unwrap_or_default()
}

fn model_info(model: &ModelInfo) -> BTreeMap<String, Value> {
    let mut info = BTreeMap::new();
    let Some(disk) = &model.on_disk else {
        return info;
    };
    let family = &disk.family;
    let shape = disk.shape;
    info.insert("general.architecture".into(), family.as_str().into());
    info.insert("general.basename".into(), model.id.as_str().into());
    for (name, number) in [
        ("general.parameter_count".to_owned(), shape.parameters),
        (format!("{family}.context_length"), shape.context_tokens),
        (format!("{family}.embedding_length"), shape.hidden_size),
        (format!("{family}.block_count"), shape.layers),
        (format!("{family}.attention.head_count"), shape.heads),
        (
            format!("{family}.attention.head_count_kv"),
            shape.key_value_heads,
        ),
        (
            format!("{family}.feed_forward_length"),
            shape.feed_forward_size,
        ),
        (format!("{family}.vocab_size"), shape.vocabulary_size),
    ] {
        info.extend(number.map(|number| (name, number.into())));
    }
    info
}

fn details(model: &ModelInfo) -> Details {
    let Some(disk) = &model.on_disk else {
        return Details {
            parent_model: model.base.clone().unwrap_or_default(),
            ..no_details()
        };
    };
    let family = said(&disk.family);
    Details {
        parent_model: model.base.clone().unwrap_or_default(),
        format: "safetensors",
        families: vec![family.clone()],
        family,
        parameter_size: disk
            .shape
            .parameters
            .map_or_else(|| UNKNOWN.to_owned(), in_short),
        quantization_level: match disk.weights_format.as_str() {
            "float32" => "F32".to_owned(),
            "float16" => "F16".to_owned(),
            "bfloat16" => "BF16".to_owned(),
            other => said(other),
        },
        context_length: disk.shape.context_tokens,
        embedding_length: disk.shape.hidden_size,
    }
}

/// Of a model whose files are elsewhere.
fn no_details() -> Details {
    Details {
        parent_model: String::new(),
        format: "safetensors",
        family: UNKNOWN.to_owned(),
        families: vec![UNKNOWN.to_owned()],
        parameter_size: UNKNOWN.to_owned(),
        quantization_level: UNKNOWN.to_owned(),
        context_length: None,
        embedding_length: None,
    }
}

fn said(text: &str) -> String {
    let text = if text.is_empty() { UNKNOWN } else { text };
    text.to_owned()
}

fn size(model: &ModelInfo) -> u64 {
    model.on_disk.as_ref().map_or(0, |disk| disk.weights_bytes)
}

fn digest(model: &ModelInfo) -> String {
    let fingerprint = model.fingerprint;
    fingerprint.map_or_else(String::new, |digest| digest.to_string())
}

/// A count as people say it: `8.0B`, `134.5M`.
fn in_short(count: u64) -> String {
    let in_units = |unit: u64, name: &str| format!("{:.1}{name}", count as f64 / unit as f64);
    match count {
        1_000_000_000.. => in_units(1_000_000_000, "B"),
        1_000_000.. => in_units(1_000_000, "M"),
        1000.. => in_units(1000, "K"),
        _ => count.to_string(),
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

#[cfg(test)]
mod tests;
