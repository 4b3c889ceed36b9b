//! What is refused: settings that would have to be ignored. A neutral value (what `OpenAI` has as the default) passes.

use base::{ErrorCode, Failure};

use crate::openai::model::{ChatFields, CompletionFields, Shallow};

/// A value that is wrong.
pub(in crate::openai) fn invalid(message: impl Into<String>, param: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, message).param(param)
}

/// A field that must be there.
pub(in crate::openai) fn missing(param: &str) -> Failure {
    invalid(format!("{param} is required"), param)
}

/// Something that is right in `OpenAI`'s API and that this server cannot do.
pub(in crate::openai) fn unsupported(what: &str, param: &str) -> Failure {
    invalid(format!("{what} not supported"), param).hint(format!("leave out {param}"))
}

pub(super) fn chat(fields: &ChatFields) -> Result<(), Failure> {
    let old = "functions were replaced by tools in OpenAI's API, and the old form is";
    check(fields.functions.as_ref(), "functions", old, is_empty)?;
    // Without functions the model chooses among none.
    let neutral = |value: &Shallow| is_text(value, "none") || is_text(value, "auto");
    check(fields.function_call.as_ref(), "function_call", old, neutral)?;
    check(fields.audio.as_ref(), "audio", "spoken answers are", |_| {
        false
    })?;
    let search = fields.web_search_options.as_ref();
    check(search, "web_search_options", "searching the web is", |_| {
        false
    })?;
    match fields.modalities.as_ref().map(|names| names.0.as_slice()) {
        None => Ok(()),
        Some([only]) if only == "text" => Ok(()),
        Some(_) => Err(unsupported("anything but text is", "modalities")),
    }
}

pub(super) fn completion(fields: &CompletionFields) -> Result<(), Failure> {
    let nothing = |value: &Shallow| is_text(value, "");
    check(
        fields.suffix.as_ref(),
        "suffix",
        "inserting text before a suffix is",
        nothing,
    )?;
    check(
        fields.best_of.as_ref(),
        "best_of",
        "choosing the best of several answers is",
        is(1.0),
    )
}

/// Refuses a value that asks for something. `null` is as good as absent.
pub(super) fn check(
    value: Option<&Shallow>,
    param: &str,
    what: &str,
    neutral: impl Fn(&Shallow) -> bool,
) -> Result<(), Failure> {
    match value {
        None | Some(Shallow::Null) => Ok(()),
        Some(value) if neutral(value) => Ok(()),
        Some(_) => Err(unsupported(what, param)),
    }
}

fn is(neutral: f64) -> impl Fn(&Shallow) -> bool {
    move |value| *value == Shallow::Number(neutral)
}

fn is_text(value: &Shallow, neutral: &str) -> bool {
    matches!(value, Shallow::Text(text) if text == neutral)
}

pub(super) fn is_empty(value: &Shallow) -> bool {
    matches!(
        value,
        Shallow::List { empty: true } | Shallow::Object { empty: true, .. }
    )
}
