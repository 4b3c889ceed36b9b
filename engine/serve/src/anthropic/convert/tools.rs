//! Tools and whether to call them.

use std::collections::HashSet;

use base::{Failure, Tool, ToolChoice};
use serde_json::value::RawValue;

use super::{invalid, missing, object};
use crate::anthropic::model::{Kind, ToolChoiceIn, ToolIn};
use crate::json::{Object, parse_part};

/// Longest name of a tool.
const NAME_CHARS_MAX: usize = 128;

/// Whether to call tools.
pub(super) struct Choice {
    pub(super) tool: ToolChoice,
    /// Several at once.
    pub(super) parallel: bool,
}

/// The tools that the client runs. Those that Anthropic would run, or whose schema is in Claude's training, are left
/// out: the model then knows nothing of them, and agents that offer them get on without.
pub(super) fn tools(tools: &[Box<RawValue>]) -> Result<Vec<Tool>, Failure> {
    let mut names = HashSet::new();
    let mut known = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let at = format!("tools[{index}]");
        let Kind { kind } = parse_part(tool, &at)?;
        if kind.is_some_and(|kind| kind != "custom") {
            continue;
        }
        let tool = convert(parse_part(tool, &at)?, &at)?;
        if !names.insert(tool.name.clone()) {
            return Err(invalid(format!("{at}.name"), "is another tool's name too"));
        }
        known.push(tool);
    }
    Ok(known)
}

fn convert(tool: ToolIn, at: &str) -> Result<Tool, Failure> {
    let name = tool.name.ok_or_else(|| missing(format!("{at}.name")))?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
        let what = format!("must be 1 to {NAME_CHARS_MAX} letters, digits, _, - and .");
        return Err(invalid(format!("{at}.name"), &what));
    }
    let schema_at = format!("{at}.input_schema");
    let schema = tool.input_schema.ok_or_else(|| missing(&schema_at))?;
    Ok(Tool {
        name,
        description: tool.description,
        parameters: object(&schema, schema_at)?,
        strict: tool.strict.unwrap_or(false),
    })
}

pub(super) fn choice(
    choice: Option<Object<ToolChoiceIn>>,
    tools: &[Tool],
) -> Result<Choice, Failure> {
    let Some(Object(choice)) = choice else {
        return Ok(Choice {
            tool: ToolChoice::Auto,
            parallel: true,
        });
    };
    let kind = choice.kind.ok_or_else(|| missing("tool_choice.type"))?;
    let tool = match kind.as_str() {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "any" if tools.is_empty() => {
            let failure = invalid("tool_choice.type", "is any, and there are no tools");
            return Err(failure.hint("only tools with an input_schema can be called"));
        }
        "any" => ToolChoice::Required,
        "tool" => ToolChoice::Named(named(choice.name, tools)?),
        _ => {
            let what = "must be auto, any, tool or none";
            return Err(invalid("tool_choice.type", what));
        }
    };
    Ok(Choice {
        tool,
        parallel: !choice.disable_parallel_tool_use.unwrap_or(false),
    })
}

fn named(name: Option<String>, tools: &[Tool]) -> Result<String, Failure> {
    let at = "tool_choice.name";
    let name = name.ok_or_else(|| missing(at))?;
    if tools.iter().any(|tool| tool.name == name) {
        return Ok(name);
    }
    let failure = invalid(at, "is none of the tools");
    Err(failure.hint("only tools with an input_schema can be called"))
}
