//! Tools, and calls that were made before.

use std::collections::HashSet;

use base::{Failure, Tool, ToolCall};
use serde_json::value::RawValue;

use super::{invalid, missing};
use crate::json::Object;
use crate::ollama::model::{FunctionIn, ToolCallIn, ToolIn};

/// Agents with many servers behind them send some hundred.
const TOOLS_MAX: usize = 512;
/// Longest name of a tool.
const NAME_CHARS_MAX: usize = 128;
/// A function without parameters takes an empty object.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

pub(super) fn tools(tools: Option<Vec<Object<ToolIn>>>) -> Result<Vec<Tool>, Failure> {
    let tools = tools.unwrap_or_default();
    if tools.len() > TOOLS_MAX {
        let what = format!("may have at most {TOOLS_MAX} entries");
        return Err(invalid("tools", &what));
    }
    let mut names = HashSet::new();
    let mut known = Vec::new();
    for (index, Object(tool)) in tools.into_iter().enumerate() {
        let at = format!("tools[{index}]");
        let tool = convert(tool, &at)?;
        if !names.insert(tool.name.clone()) {
            let at = format!("{at}.function.name");
            return Err(invalid(at, "is another tool's name too"));
        }
        known.push(tool);
    }
    Ok(known)
}

fn convert(tool: ToolIn, at: &str) -> Result<Tool, Failure> {
    if tool.kind.is_some_and(|kind| kind != "function") {
        return Err(invalid(format!("{at}.type"), "must be function"));
    }
    let at = format!("{at}.function");
    let Object(FunctionIn {
        name,
        description,
        parameters,
    }) = tool.function.ok_or_else(|| missing(&at))?;
    let name = name.ok_or_else(|| missing(format!("{at}.name")))?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
        let what = format!("must be 1 to {NAME_CHARS_MAX} letters, digits, _, - and .");
        return Err(invalid(format!("{at}.name"), &what));
    }
    let parameters = match parameters.as_deref().map(RawValue::get) {
        None | Some("null") => NO_PARAMETERS,
        Some(schema) if schema.starts_with('{') => schema,
        Some(_) => {
            let what = "must be a JSON Schema, which is an object";
            return Err(invalid(format!("{at}.parameters"), what));
        }
    };
    Ok(Tool {
        name,
        description,
        parameters: parameters.to_owned(),
        strict: false,
    })
}

/// The calls of an earlier turn, which stand at `at`. Ollama's have no ids by nature: one is made of the call's place.
pub(super) fn calls(
    calls: Option<Vec<Object<ToolCallIn>>>,
    turn: usize,
    at: &str,
) -> Result<Vec<ToolCall>, Failure> {
    let calls = calls.unwrap_or_default().into_iter().enumerate();
    let calls = calls.map(|(index, Object(call))| {
        let at = format!("{at}[{index}].function");
        let Object(function) = call.function.ok_or_else(|| missing(&at))?;
        let id = call.id.filter(|id| !id.is_empty());
        Ok(ToolCall {
            id: id.unwrap_or_else(|| format!("call_{turn}_{index}")),
            name: function.name.ok_or_else(|| missing(format!("{at}.name")))?,
            arguments: arguments(function.arguments.as_deref(), &format!("{at}.arguments"))?,
        })
    });
    calls.collect()
}

/// An object; some clients send its text.
fn arguments(value: Option<&RawValue>, at: &str) -> Result<String, Failure> {
    let text = value.map_or("null", RawValue::get);
    if text == "null" {
        return Ok("{}".to_owned());
    }
    let quoted: Option<String> = serde_json::from_str(text).ok();
    let object = quoted.as_deref().unwrap_or(text).trim();
    let is_object = serde_json::from_str::<&RawValue>(object).is_ok() && object.starts_with('{');
    if is_object {
        Ok(object.to_owned())
    } else {
        Err(invalid(at, "must be an object"))
    }
}
