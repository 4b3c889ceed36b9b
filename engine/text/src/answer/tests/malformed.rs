//! What models write that is not quite right.

use super::families::FAMILIES;
use super::*;

fn check(family: &str, thinking: Option<(Pair, bool)>, answer: &str, expected: &Expect) {
    let family = FAMILIES.iter().find(|one| one.name == family).unwrap();
    let (marks, is_open) =
        thinking.map_or((None, false), |(marks, is_open)| (Some(marks), is_open));
    let pieces = read(
        AnswerParser::new(reading(family.syntax(), marks, is_open)),
        &[answer],
    );
    let lines: Vec<String> = pieces.iter().map(|piece| format!("{piece:?}")).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn thinking_that_ends_without_its_mark_or_begins_without_it() {
    // A call ends it where calls have marks of their own.
    check(
        "kimi",
        Some((THINK, true)),
        "so <|tool_calls_section_begin|><|tool_call_begin|>functions.add:3<|tool_call_argument_begin|>{}<|tool_call_end|>",
        &expect![[r#"
            Reasoning("so")
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{}" }"#]],
    );
    // Where models write of tags, it does not.
    check(
        "hermes",
        Some((THINK, true)),
        "I write <tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call></think>Yes",
        &expect![[r#"
            Reasoning("I write <tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call>")
            Text("Yes")"#]],
    );
    check(
        "hermes",
        Some((THINK, false)),
        "so\n</think>\n\nYes </think>",
        &expect![[r#"Text("so\nYes </think>")"#]],
    );
    check(
        "mistral",
        Some((
            Pair {
                open: "[THINK]",
                close: "[/THINK]",
            },
            false,
        )),
        "[THINK]so[/THINK]Yes[TOOL_CALLS]add[ARGS]{}",
        &expect![[r#"
            Reasoning("so")
            Text("Yes")
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{}" }"#]],
    );
}

#[test]
fn calls_that_lack_their_end() {
    check(
        "hermes",
        None,
        "<tool_call>{\"name\": \"add\", \"arguments\": {\"x\": 1}} and so on",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": 1}" }
            Text("and so on")"#]],
    );
    check(
        "hermes",
        None,
        "<tool_call>{\"name\": \"add\", \"arguments\": {\"x\": 1}</tool_call> on",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": 1}" }
            Text("on")"#]],
    );
    check(
        "hermes",
        None,
        "<tool_call>{\"name\": \"add\", \"arguments\": {\"x\": </tool_call> on",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": " }
            Text("on")"#]],
    );
    check(
        "qwen coder",
        None,
        "<tool_call>\n<function=add>\n<parameter=text>\nhi\n</parameter>\n</tool_call>on",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"text\": \"hi\"}" }
            Text("on")"#]],
    );
    check(
        "qwen coder",
        None,
        "<tool_call>\n<function=add>\n<parameter=text>\nhi\n</parameter>\nand so on",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"text\": \"hi\"}" }
            Text("and so on")"#]],
    );
    check(
        "deepseek 3",
        None,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{}\n```",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{}" }"#]],
    );
    check(
        "minimax",
        None,
        "<minimax:tool_call>\n<invoke name=\"add\">\n<parameter name=\"x\">1</parameter>\n</invoke>\n</minimax:",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": 1}" }"#]],
    );
}

#[test]
fn what_stands_where_a_call_should() {
    check(
        "hermes",
        None,
        "Write <tool_call> and </tool_call> around it.",
        &expect![[r#"Text("Write <tool_call> and </tool_call> around it.")"#]],
    );
    check(
        "hermes",
        None,
        "<tool_call>hm <tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call>",
        &expect![[r#"
            Text("<tool_call>hm")
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{}" }"#]],
    );
    check(
        "kimi",
        None,
        "<|tool_calls_section_begin|>\nno<|tool_calls_section_end|>",
        &expect![[r#"Text("<|tool_calls_section_begin|>\nno<|tool_calls_section_end|>")"#]],
    );
    check(
        "llama",
        None,
        "{\"a\": {\"b\": 1}}",
        &expect![[r#"Text("{\"a\": {\"b\": 1}}")"#]],
    );
    check(
        "llama",
        None,
        "<|python_tag|>add.call(x=1)",
        &expect![[r#"Text("<|python_tag|>add.call(x=1)")"#]],
    );
    check(
        "mistral",
        None,
        "[TOOL_CALLS]fly[ARGS]{} [TOOL_CALLS]",
        &expect![[r#"Text("[TOOL_CALLS]fly[ARGS]{} [TOOL_CALLS]")"#]],
    );
}

#[test]
fn other_ways_to_write_the_same() {
    check(
        "llama",
        None,
        "{\"name\": \"add\", \"parameters\": {\"x\": 1}}; {\"name\": \"sub\", \"parameters\": {}}",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": 1}" }
            ToolCall { index: 1, name: "sub" }
            Arguments { index: 1, text: "{}" }"#]],
    );
    check(
        "llama",
        None,
        "<|python_tag|>{\"type\": \"function\", \"name\": \"add\", \"parameters\": {\"x\": 1}}",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": 1}" }"#]],
    );
    check(
        "mistral",
        None,
        "[TOOL_CALLS]add[CALL_ID]abcdefghi[ARGS]{\"x\": 1}[TOOL_CALLS]sub[ARGS]{}",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": 1}" }
            ToolCall { index: 1, name: "sub" }
            Arguments { index: 1, text: "{}" }"#]],
    );
    check(
        "mistral",
        None,
        "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {\"x\": 1}}]",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": 1}" }"#]],
    );
    check(
        "kimi",
        None,
        "<|tool_call_begin|>add<|tool_call_argument_begin|> {\"x\": 1} <|tool_call_end|>",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": 1}" }"#]],
    );
    check(
        "glm",
        None,
        "<tool_call>add<arg_key>x</arg_key><arg_value>1</arg_value></tool_call><tool_call>sub</tool_call>",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": 1}" }
            ToolCall { index: 1, name: "sub" }
            Arguments { index: 1, text: "{}" }"#]],
    );
    check(
        "qwen coder",
        None,
        "<tool_call>\n<function=add>\n</function>\n</tool_call>",
        &expect![[r#"
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{}" }"#]],
    );
}
