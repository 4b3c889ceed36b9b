//! Tools, whether they must be called, and calls made before.

use base::{Failure, Tool, ToolCall, ToolChoice};
use serde_json::value::RawValue;

use super::refuse::{invalid, missing, unsupported};
use crate::json::Object;
use crate::openai::model::{CalledFunction, FunctionIn, ToolCallIn, ToolChoiceIn, ToolIn};

/// `OpenAI` allows 128; agents with many servers behind them send more.
const TOOLS_MAX: usize = 512;
/// Twice what `OpenAI` allows, as names of tools behind servers carry the server's name.
const NAME_BYTES_MAX: usize = 128;
/// A function without parameters takes an empty object.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

pub(super) fn tools(tools: Option<Vec<Object<ToolIn>>>) -> Result<Vec<Tool>, Failure> {
    let numbered = tools.unwrap_or_default().into_iter().enumerate();
    let tools: Vec<Tool> = numbered
        .map(|(index, Object(tool))| convert(tool, &format!("tools[{index}]")))
        .collect::<Result<_, _>>()?;
    check_tools(&tools)?;
    Ok(tools)
}

/// Refuses two of one name, and more than anybody has.
pub(in crate::openai) fn check_tools(tools: &[Tool]) -> Result<(), Failure> {
    if tools.len() > TOOLS_MAX {
        let message = format!("tools may have at most {TOOLS_MAX} entries");
        return Err(invalid(message, "tools"));
    }
    let mut names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    names.sort_unstable();
    if let Some([name, _]) = names.array_windows().find(|[one, other]| one == other) {
        let message = format!("two tools are called {name}");
        return Err(invalid(message, "tools"));
    }
    Ok(())
}

fn convert(given: ToolIn, at: &str) -> Result<Tool, Failure> {
    check_kind(given.kind.as_deref(), at)?;
    let at = format!("{at}.function");
    let Object(FunctionIn {
        name,
        description,
        parameters,
        strict,
    }) = given.function.ok_or_else(|| missing(&at))?;
    tool(name, description, parameters.as_deref(), strict, &at)
}

/// A function from its fields, which stand at `at`.
pub(in crate::openai) fn tool(
    name: Option<String>,
    description: Option<String>,
    parameters: Option<&RawValue>,
    strict: Option<bool>,
    at: &str,
) -> Result<Tool, Failure> {
    Ok(Tool {
        name: self::name(name, &format!("{at}.name"))?,
        description,
        parameters: self::parameters(parameters, &format!("{at}.parameters"))?,
        strict: strict.unwrap_or(false),
    })
}

fn check_kind(kind: Option<&str>, at: &str) -> Result<(), Failure> {
    let at = format!("{at}.type");
    match kind {
        Some("function") => Ok(()),
        Some(kind) => Err(unsupported(&format!("tools of the type {kind} are"), &at)),
        None => Err(missing(&at)),
    }
}

fn name(name: Option<String>, at: &str) -> Result<String, Failure> {
    let name = name.ok_or_else(|| missing(at))?;
    let sound = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(sound) {
        let message = format!(
            "{at} must be 1 to {NAME_BYTES_MAX} letters, digits, underscores, dashes and dots"
        );
        return Err(invalid(message, at));
    }
    Ok(name)
}

fn parameters(schema: Option<&RawValue>, at: &str) -> Result<String, Failure> {
    match schema.map(RawValue::get) {
        None | Some("null") => Ok(NO_PARAMETERS.to_owned()),
        Some(schema) if schema.starts_with('{') => Ok(schema.to_owned()),
        Some(_) => Err(invalid(
            format!("{at} must be a JSON Schema, which is an object"),
            at,
        )),
    }
}

pub(super) fn choice(choice: Option<ToolChoiceIn>, tools: &[Tool]) -> Result<ToolChoice, Failure> {
    let choice = match choice {
        None => return Ok(ToolChoice::Auto),
        Some(ToolChoiceIn::Word(word)) => choice_word(&word)?,
        Some(ToolChoiceIn::Named(named)) => {
            check_kind(named.kind.as_deref(), "tool_choice")?;
            let function = named.function.map(|Object(function)| function);
            let name = function.and_then(|FunctionIn { name, .. }| name);
            ToolChoice::Named(name.ok_or_else(|| missing("tool_choice.function.name"))?)
        }
    };
    check_choice(choice, tools)
}

pub(in crate::openai) fn choice_word(word: &str) -> Result<ToolChoice, Failure> {
    match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => {
            let message = "tool_choice must be none, auto, required or the name of a function";
            Err(invalid(message, "tool_choice"))
        }
    }
}

/// Refuses a choice among tools that are not there.
pub(in crate::openai) fn check_choice(
    choice: ToolChoice,
    tools: &[Tool],
) -> Result<ToolChoice, Failure> {
    let known = match &choice {
        ToolChoice::Auto | ToolChoice::None => true,
        ToolChoice::Required => !tools.is_empty(),
        ToolChoice::Named(name) => tools.iter().any(|tool| tool.name == *name),
    };
    if known {
        return Ok(choice);
    }
    let message = match choice {
        ToolChoice::Named(name) => format!("tool_choice names {name}, and tools has no such one"),
        ToolChoice::Auto | ToolChoice::None | ToolChoice::Required => {
            "tool_choice is required, and there are no tools".to_owned()
        }
    };
    Err(invalid(message, "tool_choice"))
}

/// The calls of an earlier answer.
pub(super) fn calls(
    calls: Option<Vec<Object<ToolCallIn>>>,
    at: &str,
) -> Result<Vec<ToolCall>, Failure> {
    let numbered = calls.unwrap_or_default().into_iter().enumerate();
    let calls = numbered.map(|(index, Object(call))| called(call, &format!("{at}[{index}]")));
    calls.collect()
}

fn called(call: ToolCallIn, at: &str) -> Result<ToolCall, Failure> {
    if call.kind.is_some() {
        check_kind(call.kind.as_deref(), at)?;
    }
    let Object(CalledFunction { name, arguments }) = call
        .function
        .ok_or_else(|| missing(&format!("{at}.function")))?;
    let id = call.id.ok_or_else(|| missing(&format!("{at}.id")))?;
    let name = name.ok_or_else(|| missing(&format!("{at}.function.name")))?;
    let at = format!("{at}.function.arguments");
    Ok(ToolCall {
        id,
        name,
        arguments: arguments_of(arguments, &at)?,
    })
}

/// Models sometimes call without arguments, and clients send that back as it came: nothing at all.
pub(in crate::openai) fn arguments_of(
    arguments: Option<String>,
    at: &str,
) -> Result<String, Failure> {
    let arguments = arguments.unwrap_or_default();
    if arguments.trim().is_empty() {
        return Ok("{}".to_owned());
    }
    let object: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_str(&arguments);
    match object {
        Ok(_) => Ok(arguments),
        Err(error) => Err(invalid(
            format!("{at} must be the text of a JSON object: {error}"),
            at,
        )),
    }
}
