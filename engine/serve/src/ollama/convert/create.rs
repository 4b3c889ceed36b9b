//! `POST /api/create`: a model from another one with words and settings of its own.

use std::collections::BTreeMap;

use base::{DerivedModel, Failure, Message, Parameters};
use serde_json::Value;

use super::{canonical, invalid, messages, missing, modelfile, name, options, template};
use crate::json::Object;
use crate::ollama::model::{CreateFields, License, OptionsIn};

/// A model that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::ollama) struct Create {
    /// Its name.
    pub(in crate::ollama) name: String,
    /// What it is made from.
    pub(in crate::ollama) from: String,
    /// Whether the answer is sent as it comes.
    pub(in crate::ollama) stream: bool,
    /// What it adds.
    own: Own,
}

#[derive(Debug, Clone, PartialEq)]
struct Own {
    system: Option<String>,
    template: Option<String>,
    messages: Vec<Message>,
    parameters: Parameters,
    licence: Option<String>,
}

impl Create {
    /// The model itself. `base` is the model with files that `from` runs, `inherited` what `from` adds to it.
    pub(in crate::ollama) fn model(
        self,
        base: String,
        inherited: Option<DerivedModel>,
    ) -> DerivedModel {
        let inherited = inherited.unwrap_or_default();
        let own = self.own;
        DerivedModel {
            base,
            system: own.system.or(inherited.system),
            template: own.template.or(inherited.template),
            messages: if own.messages.is_empty() {
                inherited.messages
            } else {
                own.messages
            },
            parameters: merged(own.parameters, inherited.parameters),
            licence: own.licence.or(inherited.licence),
        }
    }
}

fn merged(own: Parameters, inherited: Parameters) -> Parameters {
    Parameters {
        temperature: own.temperature.or(inherited.temperature),
        top_p: own.top_p.or(inherited.top_p),
        top_k: own.top_k.or(inherited.top_k),
        min_p: own.min_p.or(inherited.min_p),
        repetition_penalty: own.repetition_penalty.or(inherited.repetition_penalty),
        frequency_penalty: own.frequency_penalty.or(inherited.frequency_penalty),
        presence_penalty: own.presence_penalty.or(inherited.presence_penalty),
        seed: own.seed.or(inherited.seed),
        max_tokens: own.max_tokens.or(inherited.max_tokens),
        context_tokens: own.context_tokens.or(inherited.context_tokens),
        stop: if own.stop.is_empty() {
            inherited.stop
        } else {
            own.stop
        },
    }
}

/// Understands the body of `POST /api/create`. What its fields say counts more than its Modelfile.
pub(in crate::ollama) fn parse_create(body: &[u8]) -> Result<Create, Failure> {
    let fields: CreateFields = crate::json::parse(body)?;
    check(&fields)?;
    let name = name::model(fields.model, fields.name)?;
    let text = fields.modelfile.unwrap_or_default();
    let file = modelfile::parse(&text)?;
    let from = fields.from.or(file.from);
    let from = from.filter(|from| !from.is_empty());
    let from = from.ok_or_else(|| {
        missing("from").hint("name the model that it is made from; GET /api/tags lists them")
    })?;
    let licences = file.licenses.join("\n");
    let licence = fields.license.map_or(licences, |License(text)| text);
    let by_file = Own {
        system: file.system,
        template: None,
        messages: said(file.messages)?,
        parameters: of_file(file.parameters)?,
        licence: None,
    };
    let options = fields.parameters.map(|Object(options)| options);
    let own = options::parameters(options.unwrap_or_default(), "parameters")?;
    let turns = messages::messages(fields.messages.unwrap_or_default())?;
    let full = |text: &String| !text.is_empty();
    Ok(Create {
        name: canonical(&name).to_owned(),
        from: canonical(&from).to_owned(),
        stream: fields.stream.unwrap_or(true),
        own: Own {
            system: fields.system.or(by_file.system).filter(full),
            template: template::template(fields.template.or(file.template))?,
            messages: if turns.is_empty() {
                by_file.messages
            } else {
                turns
            },
            parameters: merged(own, by_file.parameters),
            licence: Some(licence).filter(full),
        },
    })
}

/// What would make other weights.
fn check(fields: &CreateFields) -> Result<(), Failure> {
    let any = |map: &Option<serde_json::Map<String, Value>>| {
        map.as_ref().is_some_and(|map| !map.is_empty())
    };
    let at = [
        (any(&fields.files), "files"),
        (any(&fields.adapters), "adapters"),
        (
            fields
                .quantize
                .as_ref()
                .is_some_and(|kind| !kind.is_empty()),
            "quantize",
        ),
    ];
    match at.into_iter().find(|(asked, _)| *asked) {
        None => Ok(()),
        Some((_, at)) => {
            let failure = invalid(at, "cannot be had: weights are not made here");
            Err(failure.hint(
                "put the model's folder (safetensors) among the node's models, and create from its name",
            ))
        }
    }
}

fn of_file(parameters: BTreeMap<String, Value>) -> Result<Parameters, Failure> {
    let text = Value::from_iter(parameters).to_string();
    let options: OptionsIn = crate::json::parse(text.as_bytes())?;
    options::parameters(options, "PARAMETER")
}

fn said(messages: Vec<(String, String)>) -> Result<Vec<Message>, Failure> {
    let turns = messages.into_iter().map(|(role, content)| {
        let turn = serde_json::json!({"role": role, "content": content});
        serde_json::from_value(turn).map_err(|error| invalid("modelfile", &error.to_string()))
    });
    messages::messages(turns.collect::<Result<_, Failure>>()?)
}
