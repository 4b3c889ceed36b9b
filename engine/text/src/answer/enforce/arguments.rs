//! The arguments of a call in a grammar: JSON by its schema, or each argument between its tags.

use serde_json::{Map, Value};

use super::rules::{Rules, quoted};
use crate::answer::call::Kinds;
use crate::answer::family::{Body, Tags};
use crate::answer::written::around_value;
use crate::grammar::kept_to;

/// Adds rules for the arguments of a tool, which `call` is the rule of. What comes in their place.
pub fn add(rules: &mut Rules<'_>, call: &str, schema: Value) -> String {
    let name = format!("{call}_arguments");
    match &rules.format.syntax.body {
        Body::Json { .. } | Body::Headed { .. } => {
            rules.add(&name, &format!("%json {}", kept_to(schema)));
            name
        }
        Body::Tagged(tags) => add_tagged(rules, tags, &name, &schema),
    }
}

fn add_tagged(rules: &mut Rules<'_>, tags: &'static Tags, name: &str, schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object() else {
        // Nothing says what they are.
        let any = add_text(rules, tags, &format!("{name}_any"), "$key");
        rules.add(name, &format!("({any})*"));
        return name.to_owned();
    };
    let required = schema["required"].as_array();
    let mut parts = Vec::new();
    for (at, (key, value)) in properties.iter().enumerate() {
        let one = add_argument(rules, tags, &format!("{name}_{at}"), key, value, schema);
        let is_required = required.is_some_and(|keys| keys.iter().any(|one| one == key));
        parts.push(format!("({one}){}", if is_required { "" } else { "?" }));
    }
    if parts.is_empty() {
        return String::new();
    }
    rules.add(name, &parts.join(" "));
    name.to_owned()
}

fn add_argument(
    rules: &mut Rules<'_>,
    tags: &'static Tags,
    name: &str,
    key: &str,
    value: &Value,
    root: &Value,
) -> String {
    let kinds = Kinds::of(root, key);
    let choices: Option<Vec<&str>> = match (value["enum"].as_array(), value["const"].as_str()) {
        (Some(choices), _) => choices.iter().map(Value::as_str).collect(),
        (None, Some(choice)) => Some(vec![choice]),
        (None, None) => None,
    };
    let is_text = kinds.is_string();
    let (open, close) = around_value(tags, key, is_text);
    let (open, close) = (rules.literal(&open), rules.literal(&close));
    match choices {
        Some(choices) if is_text => {
            let choices: Vec<String> = choices.into_iter().map(quoted).collect();
            format!("{open} ({}) {close}", choices.join(" | "))
        }
        Some(_) | None if kinds.may_be_string() => add_text(rules, tags, name, key),
        Some(_) | None => {
            rules.add(
                name,
                &format!("%json {}", kept_to(with_definitions(value, root))),
            );
            format!("{open} {name} {close}")
        }
    }
}

/// An argument that is any text.
fn add_text(rules: &mut Rules<'_>, tags: &'static Tags, name: &str, key: &str) -> String {
    let (open, close) = around_value(tags, key, true);
    let after = &close[close.find(tags.value.close).unwrap_or(0) + tags.value.close.len()..];
    let (open, after) = (rules.literal(&open), rules.literal(after));
    let text = rules.until(name, tags.value.close);
    format!("{open} {text} {after}")
}

/// The schema of one argument, with what it may refer to.
fn with_definitions(schema: &Value, root: &Value) -> Value {
    let mut fields: Map<String, Value> = match schema.as_object() {
        Some(fields) => fields.clone(),
        None => return schema.clone(),
    };
    for place in ["$defs", "definitions"] {
        if let Some(definitions) = root.get(place) {
            fields.insert(place.to_owned(), definitions.clone());
        }
    }
    Value::Object(fields)
}
