//! What a response repeats of its request: its settings, and its input as items with ids. Pure.

use serde_json::{Value, json};

/// What the client said, as it said it, with what `OpenAI` says where it left something open.
pub(super) fn fields(
    body: &Value,
    model: &str,
    max_tokens: Option<u32>,
    store: bool,
    background: bool,
) -> Value {
    let or = |name: &str, default: Value| match &body[name] {
        Value::Null => default,
        given => given.clone(),
    };
    let reasoning = &body["reasoning"];
    json!({
        "background": background,
        "instructions": body["instructions"],
        "max_output_tokens": max_tokens,
        "max_tool_calls": body["max_tool_calls"],
        "metadata": or("metadata", json!({})),
        "model": model,
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": body["previous_response_id"],
        "prompt_cache_key": body["prompt_cache_key"],
        "reasoning": {"effort": reasoning["effort"], "summary": reasoning["summary"]},
        "safety_identifier": body["safety_identifier"],
        "service_tier": "default",
        "store": store,
        "temperature": or("temperature", json!(1.0)),
        "text": text(&body["text"]),
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": tools(&body["tools"]),
        "top_logprobs": or("top_logprobs", json!(0)),
        "top_p": or("top_p", json!(1.0)),
        "truncation": or("truncation", json!("disabled")),
        "presence_penalty": or("presence_penalty", json!(0.0)),
        "frequency_penalty": or("frequency_penalty", json!(0.0)),
        "user": body["user"],
    })
}

/// Functions with all their fields.
fn tools(given: &Value) -> Value {
    let tools = given.as_array().into_iter().flatten();
    let complete = |tool: &Value| {
        let open = json!({"description": null, "parameters": null, "strict": false});
        if tool["type"] == "function" {
            completed(tool.clone(), open)
        } else {
            tool.clone()
        }
    };
    tools.map(complete).collect()
}

/// `given`, with fields of `open` where it has none.
fn completed(mut given: Value, open: Value) -> Value {
    if let (Value::Object(fields), Value::Object(open)) = (&mut given, open) {
        for (name, value) in open {
            let field = fields.entry(name).or_insert(Value::Null);
            if field.is_null() {
                *field = value;
            }
        }
    }
    given
}

fn text(given: &Value) -> Value {
    let format = match &given["format"] {
        Value::Null => json!({"type": "text"}),
        format if format["type"] == "json_schema" => {
            let open = json!({"description": null, "strict": false});
            completed(format.clone(), open)
        }
        format => format.clone(),
    };
    match &given["verbosity"] {
        Value::Null => json!({"format": format}),
        verbosity => json!({"format": format, "verbosity": verbosity}),
    }
}

/// Items as `GET …/input_items` shows them.
pub(super) fn input_items(input: &Value, id: &str) -> Vec<Value> {
    let words = |text: &Value, role: &Value| {
        let kind = if role == "assistant" {
            "output_text"
        } else {
            "input_text"
        };
        json!([{"type": kind, "text": text}])
    };
    let user = json!("user");
    let items = match input {
        Value::Array(items) => items.clone(),
        text => vec![json!({"role": user, "content": words(text, &user)})],
    };
    let numbered = items.into_iter().enumerate();
    let complete = |(index, mut item): (usize, Value)| {
        let role = item["role"].clone();
        if item["content"].is_string() {
            item["content"] = words(&item["content"], &role);
        }
        if let Value::Object(fields) = &mut item {
            let kind = fields.entry("type").or_insert_with(|| json!("message"));
            let prefix = if kind == "message" { "msg" } else { "item" };
            let name = json!(format!("{prefix}_{id}in{index:03}"));
            fields.entry("id").or_insert(name);
            fields.entry("status").or_insert(json!("completed"));
        }
        item
    };
    numbered.map(complete).collect()
}
