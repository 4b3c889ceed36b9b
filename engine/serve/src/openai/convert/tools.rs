//! Tools, whether they must be called, and calls made before.

use base::{Failure, Tool, ToolCall, ToolChoice};
use serde_json::value::RawValue;

use super::refuse::{invalid, missing, unsupported};
use crate::json::Object;
use crate::openai::custom::{self, CallForms, Custom};
use crate::openai::model::{
    CalledFunction, CustomIn, FunctionChoice, FunctionIn, NamedChoice, ToolCallIn, ToolChoiceIn,
    ToolIn,
};

/// `OpenAI` allows 128; agents with many servers behind them send more.
const TOOLS_MAX: usize = 512;
/// Twice what `OpenAI` allows, as names of tools behind servers carry the server's name.
const NAME_BYTES_MAX: usize = 128;
/// A function without parameters takes an empty object.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// What may be called, and how calls are to be written.
#[derive(Debug, Default)]
pub(in crate::openai) struct Offered {
    pub(in crate::openai) tools: Vec<Tool>,
    pub(in crate::openai) forms: CallForms,
    /// Custom tools whose format the model is told of and not held to.
    told: Vec<String>,
}

impl Offered {
    /// Adds a function.
    pub(in crate::openai) fn add(&mut self, tool: Tool) {
        self.tools.push(tool);
    }

    /// Adds a tool that takes text.
    pub(in crate::openai) fn add_custom(&mut self, custom: Custom) {
        let name = &custom.tool.name;
        self.forms.custom.push(name.clone());
        if !custom.is_held {
            self.told.push(name.clone());
        }
        self.tools.push(custom.tool);
    }

    /// Refuses two of one name, and more than anybody has.
    pub(in crate::openai) fn checked(self) -> Result<Self, Failure> {
        check_tools(&self.tools)?;
        Ok(self)
    }

    /// Leaves nothing but these.
    pub(in crate::openai) fn only(&mut self, names: &[String]) {
        self.tools.retain(|tool| names.contains(&tool.name));
    }

    /// Refuses a choice among tools that are not there, and one that must not be made.
    pub(in crate::openai) fn choose(&self, choice: ToolChoice) -> Result<ToolChoice, Failure> {
        let choice = check_choice(choice, &self.tools)?;
        let must = |name: &&String| match &choice {
            ToolChoice::Auto | ToolChoice::None => false,
            ToolChoice::Required => self.tools.iter().any(|tool| tool.name == **name),
            ToolChoice::Named(named) => named == *name,
        };
        let Some(name) = self.told.iter().find(must) else {
            return Ok(choice);
        };
        let message =
            format!("{name} has a grammar in Lark's syntax, so calling it cannot be made certain");
        let failure = invalid(message, "tool_choice");
        Err(failure.hint("leave the choice to the model, or write the grammar as a regex"))
    }
}

/// What chat offers: `tools`, or `functions` as they were called before.
pub(super) fn offered(
    tools: Option<Vec<Object<ToolIn>>>,
    functions: Option<Vec<Object<FunctionIn>>>,
) -> Result<Offered, Failure> {
    let mut offered = Offered::default();
    let tools = tools.unwrap_or_default();
    let functions = functions.unwrap_or_default();
    if !tools.is_empty() && !functions.is_empty() {
        let failure = invalid("tools and functions are the same setting", "functions");
        return Err(failure.hint("leave out functions"));
    }
    offered.forms.functions = !functions.is_empty();
    for (index, Object(function)) in functions.into_iter().enumerate() {
        offered.add(of_function(function, &format!("functions[{index}]"))?);
    }
    for (index, Object(tool)) in tools.into_iter().enumerate() {
        let at = format!("tools[{index}]");
        match tool.kind.as_deref() {
            Some("custom") => {
                let at = format!("{at}.custom");
                let Object(given) = tool.custom.ok_or_else(|| missing(&at))?;
                offered.add_custom(custom_tool(given, &at)?);
            }
            kind => {
                check_kind(kind, &at)?;
                let at = format!("{at}.function");
                let Object(function) = tool.function.ok_or_else(|| missing(&at))?;
                offered.add(of_function(function, &at)?);
            }
        }
    }
    offered.checked()
}

fn of_function(function: FunctionIn, at: &str) -> Result<Tool, Failure> {
    let parameters = function.parameters.as_deref();
    tool(
        function.name,
        function.description,
        parameters,
        function.strict,
        at,
    )
}

/// A tool that takes text, whose fields stand at `at`.
pub(in crate::openai) fn custom_tool(given: CustomIn, at: &str) -> Result<Custom, Failure> {
    let tool = tool(given.name, given.description, None, None, at)?;
    custom::custom(tool, given.format.map(|Object(format)| format), at)
}

fn check_tools(tools: &[Tool]) -> Result<(), Failure> {
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

/// Whether a tool must be called, and which.
pub(super) fn choice(
    choice: Option<ToolChoiceIn>,
    old: Option<FunctionChoice>,
    offered: &mut Offered,
) -> Result<ToolChoice, Failure> {
    let choice = match (choice, old) {
        (None, None) => return Ok(ToolChoice::Auto),
        (Some(ToolChoiceIn::Word(word)), _) => choice_word(&word)?,
        (Some(ToolChoiceIn::Named(named)), _) => named_choice(named, offered)?,
        // Without functions the model chooses among none.
        (None, Some(FunctionChoice::Word(word))) => choice_word(&word)?,
        (None, Some(FunctionChoice::Named(named))) => {
            let name = named.name.ok_or_else(|| missing("function_call.name"))?;
            ToolChoice::Named(name)
        }
    };
    offered.choose(choice)
}

fn named_choice(named: NamedChoice, offered: &mut Offered) -> Result<ToolChoice, Failure> {
    if named.kind.as_deref() == Some("allowed_tools") {
        let at = "tool_choice.allowed_tools";
        let Object(allowed) = named.allowed_tools.ok_or_else(|| missing(at))?;
        let tools = allowed.tools.unwrap_or_default().into_iter().enumerate();
        let names =
            tools.map(|(index, Object(tool))| name_in(tool, &format!("{at}.tools[{index}]")));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        return allow(&names, allowed.mode.as_deref(), at, offered);
    }
    name_in(named, "tool_choice").map(ToolChoice::Named)
}

/// Leaves only the tools of these names; `mode` says whether one of them must be called.
pub(in crate::openai) fn allow(
    names: &[String],
    mode: Option<&str>,
    at: &str,
    offered: &mut Offered,
) -> Result<ToolChoice, Failure> {
    offered.only(names);
    match mode {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("required") => Ok(ToolChoice::Required),
        Some(_) => {
            let at = format!("{at}.mode");
            Err(invalid(format!("{at} must be auto or required"), at))
        }
        None => Err(missing(&format!("{at}.mode"))),
    }
}

fn name_in(choice: NamedChoice, at: &str) -> Result<String, Failure> {
    let (named, field) = match choice.kind.as_deref() {
        Some("custom") => (choice.custom, "custom"),
        kind => {
            check_kind(kind, at)?;
            (choice.function, "function")
        }
    };
    let name = named.and_then(|Object(named)| named.name);
    name.ok_or_else(|| missing(&format!("{at}.{field}.name")))
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

fn check_choice(choice: ToolChoice, tools: &[Tool]) -> Result<ToolChoice, Failure> {
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
    let id = call.id.ok_or_else(|| missing(&format!("{at}.id")))?;
    if call.kind.as_deref() == Some("custom") {
        let at = format!("{at}.custom");
        let Object(custom) = call.custom.ok_or_else(|| missing(&at))?;
        let input = custom.input.unwrap_or_default();
        return Ok(ToolCall {
            id,
            name: custom.name.ok_or_else(|| missing(&format!("{at}.name")))?,
            arguments: custom::arguments_of_input(&input),
        });
    }
    if call.kind.is_some() {
        check_kind(call.kind.as_deref(), at)?;
    }
    let at = format!("{at}.function");
    let Object(function) = call.function.ok_or_else(|| missing(&at))?;
    called_function(function, id, &at)
}

/// A call of a function, whose fields stand at `at`.
pub(super) fn called_function(
    function: CalledFunction,
    id: String,
    at: &str,
) -> Result<ToolCall, Failure> {
    let name = function
        .name
        .ok_or_else(|| missing(&format!("{at}.name")))?;
    Ok(ToolCall {
        id,
        name,
        arguments: arguments_of(function.arguments),
    })
}

/// The text of a JSON object in any case. Models call without arguments, or break off in the middle of them, and clients
/// send that back as it came: a conversation must not end with it. What is no object is handed to the template as one.
pub(in crate::openai) fn arguments_of(arguments: Option<String>) -> String {
    let arguments = arguments.unwrap_or_default();
    if arguments.trim().is_empty() {
        return "{}".to_owned();
    }
    match serde_json::from_str::<serde_json::Value>(&arguments) {
        Ok(serde_json::Value::Object(_)) => arguments,
        Ok(_) | Err(_) => custom::arguments_of_input(&arguments),
    }
}
