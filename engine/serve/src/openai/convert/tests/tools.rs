//! Tools, formats and the other things that were added to a plain chat.

use std::collections::BTreeSet;

use super::{Fresh, USER, parse_chat, parsed};
use expect_test::expect;

const TOOL: &str = r#""tools": [{"type": "function", "function": {"name": "now", "parameters": {"type": "object", "b": 1, "a": 2}, "strict": true}}]"#;

#[test]
fn tools_and_what_came_of_them() {
    let body = format!(
        r#"{{"model": "m", {TOOL}, "tool_choice": {{"type": "function", "function": {{"name": "now"}}}}, "parallel_tool_calls": false,
        "reasoning_effort": "none", "messages": [
            {{"role": "user", "content": "hi"}},
            {{"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                {{"id": "call_1", "type": "function", "function": {{"name": "now", "arguments": "{{\"a\": 1}}"}}}},
                {{"id": "call_2", "type": "function", "function": {{"name": "now", "arguments": ""}}}}]}},
            {{"role": "tool", "tool_call_id": "call_1", "content": [{{"type": "text", "text": "noon"}}]}}
        ]}}"#
    );
    let asked = parse_chat(body.as_bytes(), Fresh::new(7)).unwrap();
    let base::Prompt::Chat(conversation) = &asked.requests[0].prompt else {
        panic!("no chat");
    };
    expect![[r#"
        Conversation {
            messages: [
                Message {
                    role: User,
                    content: "hi",
                    reasoning: "",
                    tool_calls: [],
                    tool_call_id: None,
                    name: None,
                },
                Message {
                    role: Assistant,
                    content: "",
                    reasoning: "hm",
                    tool_calls: [
                        ToolCall {
                            id: "call_1",
                            name: "now",
                            arguments: "{\"a\": 1}",
                        },
                        ToolCall {
                            id: "call_2",
                            name: "now",
                            arguments: "{}",
                        },
                    ],
                    tool_call_id: None,
                    name: None,
                },
                Message {
                    role: Tool,
                    content: "noon",
                    reasoning: "",
                    tool_calls: [],
                    tool_call_id: Some(
                        "call_1",
                    ),
                    name: None,
                },
            ],
            tools: [
                Tool {
                    name: "now",
                    description: None,
                    parameters: "{\"type\": \"object\", \"b\": 1, \"a\": 2}",
                    strict: true,
                },
            ],
            tool_choice: Named(
                "now",
            ),
            parallel_tool_calls: false,
            effort: Some(
                Off,
            ),
            must_think: false,
        }"#]]
    .assert_eq(&format!("{conversation:#?}"));
}

#[test]
fn tools_that_make_no_sense_are_refused_with_their_place() {
    let mut said = Vec::new();
    for field in [
        r#""tools": [{"function": {"name": "x"}}]"#.to_owned(),
        r#""tools": [{"type": "function"}]"#.to_owned(),
        r#""tools": [{"type": "function", "function": {"name": "a b"}}]"#.to_owned(),
        r#""tools": [{"type": "function", "function": {"name": "x", "parameters": []}}]"#.to_owned(),
        r#""tools": [{"type": "function", "function": {"name": "x"}}, {"type": "function", "function": {"name": "x"}}]"#.to_owned(),
        r#""tool_choice": "required""#.to_owned(),
        r#""tool_choice": "sometimes""#.to_owned(),
        format!(r#"{TOOL}, "tool_choice": {{"type": "function", "function": {{"name": "then"}}}}"#),
        r#""messages": [{"role": "tool", "content": "7"}]"#.to_owned(),
        r#""messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "x"}}]}]"#.to_owned(),
        r#""response_format": {"type": "json_schema"}"#.to_owned(),
        r#""response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": 7}}"#.to_owned(),
        r#""response_format": {"type": "json_object"}, "structured_outputs": {"regex": "a"}"#.to_owned(),
        r#""structured_outputs": {"regex": "a", "choice": ["b"]}"#.to_owned(),
        r#""structured_outputs": {"choice": []}"#.to_owned(),
        r#""reasoning_effort": "huge""#.to_owned(),
        r#""n": 0"#.to_owned(),
        r#""logit_bias": {"x": 1}"#.to_owned(),
        r#""logit_bias": {"7": 101}"#.to_owned(),
        r#""frequency_penalty": 3"#.to_owned(),
        r#""repetition_penalty": 0"#.to_owned(),
    ] {
        // The last of two fields of the same name counts, as in most of the world's parsers.
        let messages = if field.contains("messages") {
            r#""model": "sprout""#
        } else {
            USER
        };
        let body = format!("{{{messages}, {field}}}");
        let failure = parse_chat(body.as_bytes(), Fresh::new(1)).unwrap_err();
        let param = failure.param.as_deref().unwrap_or("-");
        said.push(format!("{param} | {failure}"));
    }
    expect![[r"
        tools[0].type | tools[0].type is required
        tools[0].function | tools[0].function is required
        tools[0].function.name | tools[0].function.name must be 1 to 128 letters, digits, underscores, dashes and dots
        tools[0].function.parameters | tools[0].function.parameters must be a JSON Schema, which is an object
        tools | two tools are called x
        tool_choice | tool_choice is required, and there are no tools
        tool_choice | tool_choice must be none, auto, required or the name of a function
        tool_choice | tool_choice names then, and tools has no such one
        messages[0].tool_call_id | messages[0].tool_call_id is required
        messages[0].tool_calls[0].id | messages[0].tool_calls[0].id is required
        response_format.json_schema | response_format.json_schema is required
        response_format.json_schema.schema | response_format.json_schema.schema must be a JSON Schema, which is an object
        structured_outputs | response_format and structured_outputs both say what the answer must be (hint: leave out one of them)
        structured_outputs | structured_outputs takes one of json, regex, choice and grammar
        structured_outputs.choice | structured_outputs.choice must have 1 to 1024 strings, none of them empty
        reasoning_effort | reasoning_effort must be none, minimal, low, medium, high or xhigh
        n | n must be from 1 to 32
        logit_bias.x | logit_bias.x: its name must be a token id
        logit_bias.7 | logit_bias.7 must be from -100 to 100
        frequency_penalty | frequency_penalty must be from -2 to 2
        repetition_penalty | repetition_penalty must be more than 0 and at most 10"]].assert_eq(&said.join("\n"));
}

#[test]
fn what_an_answer_must_be() {
    let grammar = |fields: &str| match parsed(parse_chat, USER, fields).grammar {
        Some(grammar) => format!("{grammar:?}"),
        None => "-".to_owned(),
    };
    let said = [
        r#""response_format": {"type": "text"}"#,
        r#""response_format": {"type": "json_object"}"#,
        r#""response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"b": {}, "a": {}}}}"#,
        r#""structured_outputs": {"json": {"type": "integer"}}"#,
        r#""structured_outputs": {"regex": "a+"}"#,
        r#""structured_outputs": {"choice": ["yes", "\"no\""]}"#,
        r#""structured_outputs": {"grammar": "start: \"a\""}"#,
        r#""structured_outputs": {}"#,
    ]
    .map(grammar);
    expect![[r#"
        -
        JsonSchema("{\"type\":\"object\"}")
        JsonSchema("{\"b\": {}, \"a\": {}}")
        JsonSchema("{\"type\": \"integer\"}")
        Regex("a+")
        Lark("start: \"yes\" | \"\\\"no\\\"\"")
        Lark("start: \"a\"")
        -"#]]
    .assert_eq(&said.join("\n"));
}

#[test]
fn several_answers_have_seeds_and_ids_of_their_own() {
    let body = format!(
        r#"{{{USER}, "n": 3, "seed": 5, "logit_bias": {{"9": -100, "3": 1.5}}, "presence_penalty": 0.5}}"#
    );
    let asked = parse_chat(body.as_bytes(), Fresh::new(7)).unwrap();
    let each = || asked.requests.iter().map(|one| &one.sampling);
    let seeds: Vec<_> = each().filter_map(|one| one.seed).collect();
    assert_eq!(seeds, [5, 6, 7]);
    let drawn: BTreeSet<_> = each().map(|one| one.drawn_seed).collect();
    assert_eq!(drawn.len(), 3);
    assert_ne!(asked.requests[0].id, asked.requests[1].id);
    let first = &asked.requests[0];
    assert_eq!(first.logit_bias, [(3, 1.5), (9, -100.0)]);
    assert_eq!(first.sampling.presence_penalty, Some(0.5));
}
