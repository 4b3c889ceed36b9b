//! What is refused: settings that would have to be ignored. A neutral value (what `OpenAI` has as the default) passes.

use base::{ErrorCode, Failure};

use crate::openai::model::{ChatFields, Shallow};

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
