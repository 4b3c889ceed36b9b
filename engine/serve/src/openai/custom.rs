//! Custom tools: tools that take text where others take JSON. To the model they are functions of one string, so that every
//! model can call them; clients see the string alone. Pure.

use base::{Failure, Tool};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::convert::{invalid, missing};
use crate::json::Object;

/// How a custom tool's input is written. Chat has the grammar in an object of its own, Responses has its fields here.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::CustomFormat)]
pub(super) struct FormatIn {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[schema(value_type = Option<GrammarIn>)]
    pub(super) grammar: Option<Object<GrammarIn>>,
    #[serde(flatten)]
    pub(super) flat: GrammarIn,
}

/// A grammar.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = openai::CustomGrammar)]
pub(super) struct GrammarIn {
    pub(super) syntax: Option<String>,
    pub(super) definition: Option<String>,
}

/// A tool as the model is told of it.
pub(super) struct Custom {
    pub(super) tool: Tool,
    /// Whether its input is held to its format once it is called. What is written in Lark is only told.
    pub(super) is_held: bool,
}

/// How calls are written in an answer, besides the usual way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallForms {
    /// In the form that came before tools: one `function_call`.
    pub functions: bool,
    /// Names of the tools that take text.
    pub custom: Vec<String>,
}

impl CallForms {
    pub(super) fn is_custom(&self, name: &str) -> bool {
        self.custom.iter().any(|custom| custom == name)
    }
}

/// The function that a custom tool is to the model. `tool` has its name and what it is for.
pub(super) fn custom(
    mut tool: Tool,
    format: Option<FormatIn>,
    at: &str,
) -> Result<Custom, Failure> {
    let mut input = json!({"type": "string"});
    let mut is_held = true;
    if let Some((syntax, definition)) = format.map_or(Ok(None), |format| grammar(format, at))? {
        if syntax == "regex" {
            input["pattern"] = json!(format!("^(?:{})$", unanchored(&definition)));
            tool.strict = true;
        } else {
            is_held = false;
        }
        let told = tool.description.unwrap_or_default();
        let told = format!("{told}\nIts input follows this grammar ({syntax}):\n{definition}");
        tool.description = Some(told.trim_start().to_owned());
    }
    tool.parameters = json!({
        "type": "object", "properties": {"input": input}, "required": ["input"], "additionalProperties": false,
    })
    .to_string();
    Ok(Custom { tool, is_held })
}

/// Syntax and definition.
fn grammar(format: FormatIn, at: &str) -> Result<Option<(String, String)>, Failure> {
    let at = format!("{at}.format");
    match format.kind.as_deref() {
        None => return Err(missing(&format!("{at}.type"))),
        Some("text") => return Ok(None),
        Some("grammar") => {}
        Some(_) => {
            let at = format!("{at}.type");
            return Err(invalid(format!("{at} must be text or grammar"), at));
        }
    }
    let grammar = format
        .grammar
        .map_or(format.flat, |Object(grammar)| grammar);
    let definition = grammar.definition;
    let definition = definition.ok_or_else(|| missing(&format!("{at}.definition")))?;
    match grammar.syntax.as_deref() {
        Some(syntax @ ("lark" | "regex")) => Ok(Some((syntax.to_owned(), definition))),
        Some(_) => {
            let at = format!("{at}.syntax");
            Err(invalid(format!("{at} must be lark or regex"), at))
        }
        None => Err(missing(&format!("{at}.syntax"))),
    }
}

/// A pattern without the marks that it is of a whole text.
fn unanchored(pattern: &str) -> &str {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    match pattern.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => rest,
        Some(_) | None => pattern,
    }
}

/// The text that a call hands over. Of a call that broke off it is what there is.
pub(super) fn input_of(arguments: &str) -> String {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(mut fields)) => match fields.remove("input") {
            Some(Value::String(input)) => input,
            Some(_) | None => arguments.to_owned(),
        },
        Ok(_) | Err(_) => arguments.to_owned(),
    }
}

/// The arguments of a call that hands over this text.
pub(super) fn arguments_of_input(input: &str) -> String {
    json!({ "input": input }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(format: Value) -> Result<Custom, Failure> {
        let tool = Tool {
            name: "run".into(),
            description: Some("Runs it.".into()),
            parameters: String::new(),
            strict: false,
        };
        let format = serde_json::from_value(format).unwrap();
        custom(tool, format, "tools[0]")
    }

    #[test]
    fn a_format_is_held_where_it_can_be() {
        let flat = json!({"type": "grammar", "syntax": "regex", "definition": "^a+\\$$"});
        let nested =
            json!({"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+\\$"}});
        for format in [flat, nested] {
            let custom = made(format).unwrap();
            let parameters: Value = serde_json::from_str(&custom.tool.parameters).unwrap();
            assert_eq!(parameters["properties"]["input"]["pattern"], "^(?:a+\\$)$");
            assert!(custom.is_held && custom.tool.strict);
        }
        let lark = json!({"type": "grammar", "syntax": "lark", "definition": "start: \"a\""});
        let lark = made(lark).unwrap();
        assert!(!lark.is_held && lark.tool.description.unwrap().contains("start: \"a\""));
        assert!(made(Value::Null).unwrap().is_held);
        for (format, param) in [
            (json!({}), "tools[0].format.type"),
            (json!({"type": "grammar"}), "tools[0].format.definition"),
            (
                json!({"type": "grammar", "definition": "x"}),
                "tools[0].format.syntax",
            ),
            (
                json!({"type": "grammar", "definition": "x", "syntax": "gbnf"}),
                "tools[0].format.syntax",
            ),
        ] {
            let failure = made(format).err().unwrap();
            assert_eq!(failure.param.as_deref(), Some(param));
        }
    }

    #[test]
    fn text_goes_through_arguments_and_back() {
        let text = "*** Begin Patch\n\"é\"";
        assert_eq!(input_of(&arguments_of_input(text)), text);
        for odd in ["{\"input\": 7}", "[]", "{\"inp"] {
            assert_eq!(input_of(odd), odd);
        }
    }
}
