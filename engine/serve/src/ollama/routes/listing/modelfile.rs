//! A model as a Modelfile, from which it can be created again.

use std::fmt::Write;

use base::{GenerateRequest, Parameters};

use super::role;
use crate::gateway::ModelDescription;
use crate::ollama::convert::shown;

/// Columns before a parameter's value.
const NAME_COLUMNS: usize = 30;

/// The text.
pub(super) fn text(model: &ModelDescription) -> String {
    let derived = model.derived.clone().unwrap_or_default();
    let base = if derived.base.is_empty() {
        &model.info.id
    } else {
        &derived.base
    };
    let mut text = format!(
        "# The Modelfile of {}. To make a model like it, change what should differ.\n\nFROM {}\n",
        shown(&model.info.id),
        shown(base),
    );
    let mut add = |word: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{word} \"\"\"{value}\"\"\"");
    };
    let template = derived.template.as_ref().unwrap_or(&model.template);
    for (word, value) in [
        ("TEMPLATE", Some(template)),
        ("SYSTEM", derived.system.as_ref()),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            add(word, value);
        }
    }
    for message in &derived.messages {
        add(&format!("MESSAGE {}", role(message.role)), &message.content);
    }
    if let Some(licence) = &derived.licence {
        add("LICENSE", licence);
    }
    for (name, value) in each(&derived.parameters) {
        let _ = writeln!(text, "PARAMETER {name} {value}");
    }
    text
}

/// One parameter in each line.
pub(super) fn parameters(own: &Parameters) -> String {
    let lines = each(own).into_iter();
    let lines = lines.map(|(name, value)| format!("{name:<NAME_COLUMNS$} {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// As Ollama writes how long an answer may be.
fn tokens(max: u32) -> String {
    match max {
        GenerateRequest::TO_THE_END => "-1".to_owned(),
        max => max.to_string(),
    }
}

fn each(own: &Parameters) -> Vec<(&'static str, String)> {
    let single = |value: Option<f32>| value.map(|value| value.to_string());
    let whole = |value: Option<u32>| value.map(|value| value.to_string());
    let set = [
        ("frequency_penalty", single(own.frequency_penalty)),
        ("min_p", single(own.min_p)),
        ("num_ctx", whole(own.context_tokens)),
        ("num_predict", own.max_tokens.map(tokens)),
        ("presence_penalty", single(own.presence_penalty)),
        ("repeat_penalty", single(own.repetition_penalty)),
        ("seed", own.seed.map(|seed| seed.to_string())),
        ("temperature", single(own.temperature)),
        ("top_k", whole(own.top_k)),
        ("top_p", single(own.top_p)),
    ];
    let set = set.into_iter();
    let mut all: Vec<_> = set
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    all.extend(own.stop.iter().map(|stop| ("stop", format!("{stop:?}"))));
    all
}
