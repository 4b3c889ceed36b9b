//! What a response's request lets the model call. Tools of kinds that nobody here runs are left out: a program that offers
//! them can do without.

use base::{Failure, ToolChoice};

use super::model::{ToolChoiceIn, ToolIn, ToolNamed};
use crate::json::Object;
use crate::openai::convert::{self, Offered, missing};
use crate::openai::model::CustomIn;

pub(super) fn offered(tools: Option<Vec<Object<ToolIn>>>) -> Result<Offered, Failure> {
    let mut offered = Offered::default();
    for (index, Object(tool)) in tools.unwrap_or_default().into_iter().enumerate() {
        let at = format!("tools[{index}]");
        match tool.kind.as_deref() {
            Some("function") => offered.add(convert::tool(
                tool.name,
                tool.description,
                tool.parameters.as_deref(),
                tool.strict,
                &at,
            )?),
            Some("custom") => {
                let custom = CustomIn {
                    name: tool.name,
                    description: tool.description,
                    format: tool.format,
                };
                offered.add_custom(convert::custom_tool(custom, &at)?);
            }
            Some(_) => {}
            None => return Err(missing(&format!("{at}.type"))),
        }
    }
    offered.checked()
}

pub(super) fn choice(
    choice: Option<ToolChoiceIn>,
    offered: &mut Offered,
) -> Result<ToolChoice, Failure> {
    let choice = match choice {
        None => ToolChoice::Auto,
        Some(ToolChoiceIn::Word(word)) => convert::choice_word(&word)?,
        Some(ToolChoiceIn::Named(named)) => match (named.kind.as_deref(), named.name) {
            (Some("function" | "custom"), Some(name)) => ToolChoice::Named(name),
            (Some("function" | "custom"), None) => return Err(missing("tool_choice.name")),
            (Some("allowed_tools"), _) => {
                let tools = named.tools.unwrap_or_default();
                allowed(tools, named.mode.as_deref(), offered)?
            }
            // One that was left out cannot be called.
            (Some(_) | None, _) => ToolChoice::Auto,
        },
    };
    offered.choose(choice)
}

fn allowed(
    tools: Vec<Object<ToolNamed>>,
    mode: Option<&str>,
    offered: &mut Offered,
) -> Result<ToolChoice, Failure> {
    let ours = |tool: &ToolNamed| matches!(tool.kind.as_deref(), Some("function" | "custom"));
    let ours = tools.into_iter().filter(|Object(tool)| ours(tool));
    let names: Vec<String> = ours.filter_map(|Object(tool)| tool.name).collect();
    let none = names.is_empty();
    let choice = convert::allow(&names, mode, "tool_choice", offered)?;
    // Those that were left out cannot be called.
    Ok(if none { ToolChoice::Auto } else { choice })
}
