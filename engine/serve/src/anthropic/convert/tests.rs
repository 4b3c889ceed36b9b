//! What is taken, what is refused, and in which words.

use std::fmt::Write;

use super::{parse_count, parse_messages};
use crate::openai::Fresh;
use base::{Effort, Failure, GenerateRequest, Message, Prompt, Role};
use expect_test::{Expect, expect};

const USER: &str = r#""messages": [{"role": "user", "content": "hi"}]"#;
const REST: &str = r#""model": "sprout", "max_tokens": 9"#;

fn parsed(body: &str) -> Result<GenerateRequest, Failure> {
    parse_messages(body.as_bytes(), Fresh::new(7)).map(|asked| asked.request)
}

fn with(fields: &str) -> Result<GenerateRequest, Failure> {
    parsed(&format!("{{{REST}, {USER}, {fields}}}"))
}

fn talk(request: GenerateRequest) -> base::Conversation {
    match request.prompt {
        Prompt::Chat(conversation) => conversation,
        Prompt::Templated { .. } | Prompt::Text(_) | Prompt::Tokens(_) | Prompt::Infill { .. } => {
            panic!("no conversation")
        }
    }
}

/// Checks the place and the words of a refusal.
#[track_caller]
fn refused(said: Result<GenerateRequest, Failure>, expected: &Expect) {
    let failure = said.unwrap_err();
    let param = failure.param.as_deref().unwrap_or("-");
    expected.assert_eq(&format!("{} | {param} | {failure}", failure.code.name()));
}

#[track_caller]
fn refused_with(fields: &str, expected: &Expect) {
    refused(with(fields), expected);
}

/// Checks the turns that `messages` become.
#[track_caller]
fn turns(system: &str, messages: &str, expected: &Expect) {
    let body = format!(r#"{{{REST}, "system": {system}, "messages": {messages}}}"#);
    let mut said = String::new();
    for message in talk(parsed(&body).unwrap()).messages {
        line(&mut said, message);
    }
    expected.assert_eq(&said);
}

fn line(said: &mut String, message: Message) {
    let Message {
        role,
        content,
        reasoning,
        tool_calls,
        tool_call_id,
        name,
    } = message;
    write!(said, "{role:?} {content:?}").unwrap();
    if role == Role::Tool {
        write!(said, " to {tool_call_id:?} of {name:?}").unwrap();
    }
    if !reasoning.is_empty() {
        write!(said, " after {reasoning:?}").unwrap();
    }
    for call in tool_calls {
        write!(said, " calls {} {} {}", call.id, call.name, call.arguments).unwrap();
    }
    said.push('\n');
}

const EVERYTHING: &str = r#"{
        "model": "acme/big", "stream": true, "max_tokens": 99,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]}],
        "temperature": 1, "top_p": 0.25, "top_k": 5, "stop_sequences": ["a", "b"],
        "tools": [
            {"type": "custom", "name": "get_weather", "description": "The weather", "strict": true,
                "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}, "cache_control": null},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "bash_20250124", "name": "bash"}
        ],
        "tool_choice": {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "metadata": {"user_id": "ann"}, "service_tier": "auto", "context_management": {"edits": []},
        "container": null, "mcp_servers": [], "betas": ["x"], "something_new": [1, {"x": null}]
    }"#;

#[test]
fn a_request_with_everything() {
    let asked = parse_messages(EVERYTHING.as_bytes(), Fresh::new(7)).unwrap();
    assert!(asked.stream);
    expect![[r#"
        GenerateRequest {
            id: RequestId(044c3cd7f43c661c),
            standing: Standing {
                client: ClientId(
                    0,
                ),
                priority: Usual,
                time_limit: None,
            },
            model: "acme/big",
            prompt: Chat(
                Conversation {
                    messages: [
                        Message {
                            role: System,
                            content: "Be brief.",
                            reasoning: "",
                            tool_calls: [],
                            tool_call_id: None,
                            name: None,
                        },
                        Message {
                            role: User,
                            content: "One\ntwo",
                            reasoning: "",
                            tool_calls: [],
                            tool_call_id: None,
                            name: None,
                        },
                    ],
                    tools: [
                        Tool {
                            name: "get_weather",
                            description: Some(
                                "The weather",
                            ),
                            parameters: "{\"type\": \"object\", \"properties\": {\"z\": {}, \"a\": {}}}",
                            strict: true,
                        },
                    ],
                    tool_choice: Named(
                        "get_weather",
                    ),
                    parallel_tool_calls: false,
                    effort: Some(
                        Low,
                    ),
                    must_think: false,
                },
            ),
            sampling: AskedSampling {
                temperature: Some(
                    1.0,
                ),
                top_p: Some(
                    0.25,
                ),
                top_k: Some(
                    5,
                ),
                min_p: None,
                seed: None,
                drawn_seed: 7191089600892374487,
                repetition_penalty: None,
                frequency_penalty: None,
                presence_penalty: None,
            },
            max_tokens: Some(
                99,
            ),
            context_tokens: None,
            stop: [
                "a",
                "b",
            ],
            stop_tokens: [],
            logprobs: None,
            echo: false,
            ignore_eos: false,
            grammar: Some(
                JsonSchema(
                    "{\"type\": \"object\"}",
                ),
            ),
            logit_bias: [],
            keep_alive: None,
            prediction: "",
        }"#]].assert_eq(&format!("{:#?}", asked.request));
}

#[test]
fn instructions() {
    let user = r#"[{"role": "user", "content": "hi"}]"#;
    turns(
        "null",
        user,
        &expect![[r#"
        User "hi"
    "#]],
    );
    turns(
        r#""""#,
        user,
        &expect![[r#"
        User "hi"
    "#]],
    );
    turns(
        r#""Be brief.""#,
        user,
        &expect![[r#"
        System "Be brief."
        User "hi"
    "#]],
    );
    let blocks = r#"[{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=abc12;"},
        {"type": "text", "text": "You are a tool."}, {"type": "text", "text": "Be brief."}]"#;
    turns(
        blocks,
        user,
        &expect![[r#"
        System "You are a tool.\nBe brief."
        User "hi"
    "#]],
    );
    turns(
        r#""x-anthropic-billing-header: cch=abc12;\n\nBe brief.""#,
        user,
        &expect![[r#"
            System "Be brief."
            User "hi"
        "#]],
    );
    // Only the very first line is Claude Code's; the rest is somebody's own words.
    let mark = "x-anthropic-billing-header: cch=abc12;";
    turns(
        &format!(
            r#"[{{"type": "text", "text": "Be brief."}}, {{"type": "text", "text": "{mark}"}}]"#
        ),
        &format!(
            r#"[{{"role": "system", "content": "{mark}"}}, {{"role": "user", "content": "{mark}"}}]"#
        ),
        &expect![[r#"
            System "Be brief.\nx-anthropic-billing-header: cch=abc12;\nx-anthropic-billing-header: cch=abc12;"
            User "x-anthropic-billing-header: cch=abc12;"
        "#]],
    );
    let later = r#"[{"role": "system", "content": "First."}, {"role": "user", "content": "hi"},
        {"role": "system", "content": [{"type": "text", "text": "Later."}]}]"#;
    turns(
        r#""Be brief.""#,
        later,
        &expect![[r#"
        System "Be brief.\nFirst."
        User "hi"
        System "Later."
    "#]],
    );
}

#[test]
fn a_turn_with_tools() {
    let messages = r#"[
        {"role": "user", "content": "What's the weather?"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Let me look.", "signature": "x"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "One moment."},
            {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"z": "Paris", "a": 1}},
            {"type": "tool_use", "id": "t2", "name": "get_time", "input": {}}
        ]},
        {"role": "user", "content": [
            {"type": "text", "text": "Here are the results:"},
            {"type": "tool_result", "tool_use_id": "t1", "content": "Sunny, 25°C"},
            {"type": "tool_result", "tool_use_id": "t2", "is_error": true,
                "content": [{"type": "text", "text": "no clock"}, {"type": "text", "text": "at all"}]},
            {"type": "tool_result", "tool_use_id": "t3"}
        ]}
    ]"#;
    turns(
        "null",
        messages,
        &expect![[r#"
        User "What's the weather?"
        Assistant "One moment." after "Let me look." calls t1 get_weather {"z": "Paris", "a": 1} calls t2 get_time {}
        Tool "Sunny, 25°C" to Some("t1") of Some("get_weather")
        Tool "Error: no clock\nat all" to Some("t2") of Some("get_time")
        Tool "" to Some("t3") of None
        User "Here are the results:"
    "#]],
    );
}

#[test]
fn turns_of_one_speaker_become_one() {
    let messages = r#"[
        {"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c"}, {"role": "assistant", "content": ""}, {"role": "assistant", "content": "d"},
        {"role": "user", "content": "e"}, {"role": "assistant", "content": []}
    ]"#;
    turns(
        "null",
        messages,
        &expect![[r#"
        User "a\nb"
        Assistant "c\nd"
        User "e"
    "#]],
    );
}

#[test]
fn other_kinds_of_content() {
    let messages = r#"[
        {"role": "user", "content": [
            {"type": "document", "title": "Note", "source": {"type": "text", "media_type": "text/plain", "data": "Words."}},
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "More"}, {"type": "text", "text": "words."}]}},
            {"type": "search_result", "title": "A page", "source": "https://a.example", "content": [{"type": "text", "text": "Found."}]}
        ]},
        {"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": {"type": "web_search_tool_result_error"}},
            {"type": "compaction", "content": "In short.", "encrypted_content": "x"}, {"type": "compaction", "content": null},
            {"type": "text", "text": "Done.", "citations": [{"type": "x"}]}
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "grep"}]}]}
    ]"#;
    turns(
        "null",
        messages,
        &expect![[r#"
            User "Note\nWords.\nMore\nwords.\nA page\nhttps://a.example\nFound."
            Assistant "In short.\nDone."
            Tool "grep" to Some("t") of None
        "#]],
    );
}

#[test]
fn what_is_missing_is_named() {
    refused(
        parsed("{}"),
        &expect!["invalid_request | max_tokens | max_tokens is required"],
    );
    refused(
        parsed(r#"{"max_tokens": 9}"#),
        &expect![
            "invalid_request | model | model is required (hint: GET /v1/models lists the models there are)"
        ],
    );
    refused(
        parsed(&format!(r#"{{"max_tokens": 9, {USER}}}"#)),
        &expect![
            "invalid_request | model | model is required (hint: GET /v1/models lists the models there are)"
        ],
    );
    refused(
        parsed(&format!(r#"{{"model": "", "max_tokens": 9, {USER}}}"#)),
        &expect![
            "invalid_request | model | model is required (hint: GET /v1/models lists the models there are)"
        ],
    );
    refused(
        parsed(&format!("{{{REST}}}")),
        &expect!["invalid_request | messages | messages is required"],
    );
    refused(
        parsed(&format!(r#"{{{REST}, "messages": []}}"#)),
        &expect![
            "invalid_request | messages | messages is empty (hint: send at least one message, for example from the user)"
        ],
    );
}

#[test]
fn malformed_messages_are_refused_by_their_place() {
    let say = |message: &str| parsed(&format!(r#"{{{REST}, "messages": [{message}]}}"#));
    refused(
        say(r#""hi""#),
        &expect![[
            r"invalid_request | messages[0] | messages[0]: invalid type: string, expected an object"
        ]],
    );
    refused(
        say(r#"{"content": "hi"}"#),
        &expect!["invalid_request | messages[0].role | messages[0].role is required"],
    );
    refused(
        say(r#"{"role": "tool", "content": "hi"}"#),
        &expect![
            "invalid_request | messages[0].role | messages[0].role must be user, assistant or system"
        ],
    );
    refused(
        say(r#"{"role": "user"}"#),
        &expect!["invalid_request | messages[0].content | messages[0].content is required"],
    );
    refused(
        say(r#"{"role": "user", "content": 7}"#),
        &expect![
            "invalid_request | messages[0].content | messages[0].content: invalid type: integer `7`, expected a string or a list of content blocks"
        ],
    );
    refused(
        say(r#"{"role": "user", "content": ""}"#),
        &expect!["invalid_request | messages | messages say nothing"],
    );
    refused(
        say(
            r#"{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": []}]}"#,
        ),
        &expect![
            "invalid_request | messages[0].content[0].input | messages[0].content[0].input must be an object"
        ],
    );
    refused(
        say(r#"{"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "t"}]}"#),
        &expect![
            "invalid_request | messages[0].content | messages[0].content has results of tools, which are the user's to send"
        ],
    );
    refused(
        say(
            r#"{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "The answer is"}"#,
        ),
        &expect![
            "invalid_request | messages | messages end with words of the assistant, and an answer cannot be begun for the model (hint: end with a message of the user)"
        ],
    );
}

#[test]
fn malformed_blocks_are_refused_by_their_place() {
    let user = |block: &str| {
        parsed(&format!(
            r#"{{{REST}, "messages": [{{"role": "user", "content": [{block}]}}]}}"#
        ))
    };
    refused(
        user("7"),
        &expect![
            "invalid_request | messages[0].content[0] | messages[0].content[0]: invalid type: integer `7`, expected an object"
        ],
    );
    refused(
        user(r#"{"text": "hi"}"#),
        &expect![
            "invalid_request | messages[0].content[0].type | messages[0].content[0].type is required"
        ],
    );
    refused(
        user(r#"{"type": "text"}"#),
        &expect![
            "invalid_request | messages[0].content[0].text | messages[0].content[0].text is required"
        ],
    );
    refused(
        user(r#"{"type": "text", "text": 7}"#),
        &expect![
            "invalid_request | messages[0].content[0].text | messages[0].content[0].text: invalid type: integer `7`, expected a string"
        ],
    );
    refused(
        user(r#"{"type": "poem", "text": "hi"}"#),
        &expect![
            "invalid_request | messages[0].content[0].type | messages[0].content[0].type is no kind of content that is known here"
        ],
    );
    let image = r#"{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}}"#;
    refused(
        user(image),
        &expect![
            "invalid_request | messages[0].content[0] | messages[0].content[0] is an image: image input is not supported, models here read text alone"
        ],
    );
    let pdf = r#"{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="}}"#;
    refused(
        user(pdf),
        &expect![
            "invalid_request | messages[0].content[0].source | messages[0].content[0].source is a document that is not plain text, and models here read text alone"
        ],
    );
    refused(
        user(r#"{"type": "tool_result"}"#),
        &expect![
            "invalid_request | messages[0].content[0].tool_use_id | messages[0].content[0].tool_use_id is required"
        ],
    );
    refused(
        user(r#"{"type": "tool_use", "id": "t", "name": "f", "input": {}}"#),
        &expect![
            "invalid_request | messages[0].content | messages[0].content has blocks that only the assistant's turns have"
        ],
    );
    refused_with(
        r#""system": [{"type": "image"}]"#,
        &expect![
            "invalid_request | system[0] | system[0] is an image: image input is not supported, models here read text alone"
        ],
    );
    refused_with(
        r#""system": 7"#,
        &expect![
            "invalid_request | system | system: invalid type: integer `7`, expected a string or a list of content blocks"
        ],
    );
}

#[test]
fn malformed_settings_are_refused_by_their_name() {
    refused_with(
        r#""temperature": 1.5"#,
        &expect!["invalid_request | temperature | temperature must be from 0 to 1"],
    );
    refused_with(
        r#""temperature": "hot""#,
        &expect![[
            r"invalid_request | temperature | temperature: invalid type: string, expected a number"
        ]],
    );
    refused_with(
        r#""top_p": 0"#,
        &expect![
            "invalid_request | top_p | top_p must be more than 0 and at most 1 (hint: for the likeliest token alone set temperature to 0)"
        ],
    );
    refused_with(
        r#""top_k": -1"#,
        &expect![
            "invalid_request | top_k | top_k: invalid type: integer `-1`, expected a whole number that is not negative"
        ],
    );
    refused_with(
        r#""stop_sequences": "END""#,
        &expect![[
            r"invalid_request | stop_sequences | stop_sequences: invalid type: string, expected a sequence"
        ]],
    );
    refused_with(
        r#""stop_sequences": ["END", ""]"#,
        &expect!["invalid_request | stop_sequences[1] | stop_sequences[1] must not be empty"],
    );
    let many = format!(r#""stop_sequences": {:?}"#, vec!["x"; 17]);
    refused_with(
        &many,
        &expect!["invalid_request | stop_sequences | stop_sequences may have at most 16 strings"],
    );
    refused_with(
        r#""thinking": {}"#,
        &expect!["invalid_request | thinking.type | thinking.type is required"],
    );
    refused_with(
        r#""thinking": {"type": "enabled"}"#,
        &expect!["invalid_request | thinking.budget_tokens | thinking.budget_tokens is required"],
    );
    refused_with(
        r#""thinking": {"type": "deep"}"#,
        &expect![
            "invalid_request | thinking.type | thinking.type must be enabled, disabled or adaptive"
        ],
    );
    refused_with(
        r#""output_config": {"effort": "huge"}"#,
        &expect![
            "invalid_request | output_config.effort | output_config.effort must be low, medium, high, xhigh or max"
        ],
    );
    refused_with(
        r#""output_config": {"format": {"type": "regex"}}"#,
        &expect![
            "invalid_request | output_config.format.type | output_config.format.type must be json_schema"
        ],
    );
    refused_with(
        r#""output_format": {"type": "json_schema"}"#,
        &expect!["invalid_request | output_format.schema | output_format.schema is required"],
    );
    refused_with(
        r#""output_format": {"type": "json_schema", "schema": "x"}"#,
        &expect!["invalid_request | output_format.schema | output_format.schema must be an object"],
    );
    refused_with(
        r#""thinking": {"type": "adaptive", "display": "loud"}"#,
        &expect![
            "invalid_request | thinking.display | thinking.display must be summarized or omitted"
        ],
    );
    refused_with(
        r#""mcp_servers": [{"type": "url", "url": "https://a.example", "name": "a"}]"#,
        &expect![
            "invalid_request | mcp_servers | mcp_servers are not called from here (hint: let the client call them, and name their tools in tools)"
        ],
    );
    refused_with(
        r#""thread": {"type": "create"}"#,
        &expect![
            "invalid_request | thread | thread is not kept here (hint: send the whole conversation, without it)"
        ],
    );
    assert!(with(r#""thread": null"#).is_ok());
}

#[test]
fn malformed_tools_are_refused_by_their_place() {
    refused_with(
        r#""tools": [7]"#,
        &expect![
            "invalid_request | tools[0] | tools[0]: invalid type: integer `7`, expected an object"
        ],
    );
    refused_with(
        r#""tools": [{"input_schema": {}}]"#,
        &expect!["invalid_request | tools[0].name | tools[0].name is required"],
    );
    refused_with(
        r#""tools": [{"name": "f"}]"#,
        &expect!["invalid_request | tools[0].input_schema | tools[0].input_schema is required"],
    );
    refused_with(
        r#""tools": [{"name": "f", "input_schema": "x"}]"#,
        &expect![
            "invalid_request | tools[0].input_schema | tools[0].input_schema must be an object"
        ],
    );
    refused_with(
        r#""tools": [{"name": "a b", "input_schema": {}}]"#,
        &expect![
            "invalid_request | tools[0].name | tools[0].name must be 1 to 128 letters, digits, _, - and ."
        ],
    );
    refused_with(
        r#""tools": [{"name": "f", "input_schema": {}}, {"name": "f", "input_schema": {}}]"#,
        &expect!["invalid_request | tools[1].name | tools[1].name is another tool's name too"],
    );
    refused_with(
        r#""tool_choice": {"type": "any"}"#,
        &expect![
            "invalid_request | tool_choice.type | tool_choice.type is any, and there are no tools (hint: only tools with an input_schema can be called)"
        ],
    );
    refused_with(
        r#""tool_choice": {"type": "must"}"#,
        &expect![
            "invalid_request | tool_choice.type | tool_choice.type must be auto, any, tool or none"
        ],
    );
    refused_with(
        r#""tool_choice": "auto""#,
        &expect![[
            r"invalid_request | tool_choice | tool_choice: invalid type: string, expected an object"
        ]],
    );
    refused_with(
        r#""tools": [{"type": "bash_20250124", "name": "bash"}], "tool_choice": {"type": "tool", "name": "bash"}"#,
        &expect![
            "invalid_request | tool_choice.name | tool_choice.name is none of the tools (hint: only tools with an input_schema can be called)"
        ],
    );
}

#[test]
fn thinking_becomes_effort() {
    let cases = [
        (r#""thinking": null"#, None),
        (r#""thinking": {"type": "disabled"}"#, Some(Effort::Off)),
        (r#""thinking": {"type": "adaptive"}"#, None),
        (
            r#""thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}"#,
            Some(Effort::High),
        ),
        (
            r#""output_config": {"effort": "medium"}"#,
            Some(Effort::Medium),
        ),
        (
            r#""thinking": {"type": "enabled", "budget_tokens": 50}"#,
            Some(Effort::Low),
        ),
        (
            r#""thinking": {"type": "enabled", "budget_tokens": 10000}"#,
            Some(Effort::Medium),
        ),
        (
            r#""thinking": {"type": "enabled", "budget_tokens": 31999}"#,
            Some(Effort::High),
        ),
        (
            r#""thinking": {"type": "enabled", "budget_tokens": 31999}, "output_config": {"effort": "low"}"#,
            Some(Effort::Low),
        ),
        (
            r#""thinking": {"type": "disabled"}, "output_config": {"effort": "high"}"#,
            Some(Effort::Off),
        ),
    ];
    for (fields, effort) in cases {
        assert_eq!(talk(with(fields).unwrap()).effort, effort, "{fields}");
    }
}

#[test]
fn calls_may_be_parallel_unless_it_is_said_otherwise() {
    assert!(talk(parsed(&format!("{{{REST}, {USER}}}")).unwrap()).parallel_tool_calls);
    let alone = r#""tool_choice": {"type": "auto", "disable_parallel_tool_use": true}"#;
    assert!(!talk(with(alone).unwrap()).parallel_tool_calls);
}

#[test]
fn what_a_tool_shows_is_told_of() {
    let messages = r#"[{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
        {"type": "text", "text": "Here:"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Words."}},
        {"type": "browser_state", "tabs": []}
    ]}]}]"#;
    turns(
        "null",
        messages,
        &expect![[r#"
        Tool "Here:\n[an image, which this model cannot look at]\n[a file, which this model cannot look at]\nWords." to Some("t") of None
    "#]],
    );
}

#[test]
fn to_read_a_prompt_needs_no_answer() {
    let ask = |tokens: u32| {
        let body = format!(r#"{{"model": "sprout", "max_tokens": {tokens}, {USER}}}"#);
        let asked = parse_messages(body.as_bytes(), Fresh::new(7)).unwrap();
        (asked.request.max_tokens, asked.only_reads)
    };
    assert_eq!(ask(0), (Some(1), true));
    assert_eq!(ask(1), (Some(1), false));
}

#[test]
fn thoughts_are_shown_unless_it_is_said_otherwise() {
    let omits = |thinking: &str| {
        let body = format!(r#"{{{REST}, {USER}, "thinking": {thinking}}}"#);
        let asked = parse_messages(body.as_bytes(), Fresh::new(7)).unwrap();
        asked.omits_thoughts
    };
    assert!(!omits("null"));
    assert!(!omits(r#"{"type": "adaptive", "display": "summarized"}"#));
    assert!(omits(
        r#"{"type": "enabled", "budget_tokens": 1024, "display": "omitted"}"#
    ));
}

#[test]
fn to_count_needs_no_limit() {
    let body = format!(r#"{{"model": "sprout", {USER}}}"#);
    let request = parse_count(body.as_bytes(), Fresh::new(7)).unwrap();
    assert_eq!(request.max_tokens, Some(0));
}
