mod divisions;
mod enforced;
mod families;
mod malformed;

use base::{ErrorCode, Message, Piece, Role, Tool, ToolCall};
use expect_test::{Expect, expect};

use super::call::Callable;
use super::family::{HERMES as HERMES_SYNTAX, Pair, Syntax};
use super::parser::Reading;
use super::*;
use crate::SpecialTokens;
use crate::tokenizer::tests::byte_level;

const HERMES: &str = "{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% for m in messages %}[{{ m.role }}]{{ m.content }}\
    {% for call in m.tool_calls %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}\
    {% endfor %}[assistant]<think>\n{# ends with </think> #}";
const PLAIN: &str = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]";

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, SpecialTokens::default()).unwrap()
}

fn format(source: &str) -> AnswerFormat {
    AnswerFormat::of(&template(source), &byte_level())
}

fn tool(name: &str, parameters: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: Some("Does it.".to_owned()),
        parameters: parameters.to_owned(),
        strict: false,
    }
}

fn conversation() -> Conversation {
    let mut called = Message::new(Role::Assistant, "");
    called.tool_calls = vec![ToolCall {
        id: "a".to_owned(),
        name: "add".to_owned(),
        arguments: r#"{"x": 1}"#.to_owned(),
    }];
    let result = |text: &str| Message::new(Role::Tool, text);
    Conversation {
        messages: vec![
            Message::new(Role::System, "Be kind."),
            Message::new(Role::User, "Add."),
            called,
            result("2"),
            result("3"),
        ],
        tools: vec![tool(
            "add",
            r#"{"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": false}"#,
        )],
        ..Conversation::default()
    }
}

fn rendered(source: &str, conversation: &Conversation) -> String {
    let told = format(source).told(conversation);
    template(source).render(&told, 0).unwrap()
}

#[test]
fn a_template_that_knows_tools_is_given_them() {
    assert!(format(HERMES).knows_tools() && format(HERMES).thinks());
    expect![[r#"
        {"type": "function", "function": {"name": "add", "description": "Does it.", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": false}}}
        [system]Be kind.[user]Add.[assistant]<tool_call>{"name": "add", "arguments": {"x": 1}}</tool_call>[tool]2[tool]3[assistant]<think>
    "#]]
    .assert_eq(&rendered(HERMES, &conversation()));
    let mut without = conversation();
    without.tool_choice = ToolChoice::None;
    assert!(rendered(HERMES, &without).starts_with("[system]"));
}

#[test]
fn another_is_told_of_them_in_words() {
    assert!(!format(PLAIN).knows_tools() && !format(PLAIN).thinks());
    expect![[r#"
        [system]Be kind.

        You can call these functions:
        <tools>
        {"name":"add","description":"Does it.","parameters":{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],"additionalProperties":false}}
        </tools>
        To call one, answer with its name and arguments in this form:
        <tool_call>
        {"name": "...", "arguments": {"...": "..."}}
        </tool_call>[user]Add.[assistant]<tool_call>
        {"name": "add", "arguments": {"x": 1}}
        </tool_call>[user]<tool_response>
        2
        </tool_response>
        <tool_response>
        3
        </tool_response>[assistant]"#]]
    .assert_eq(&rendered(PLAIN, &conversation()));
    let talk = Conversation {
        messages: vec![Message::new(Role::User, "Hi")],
        ..Conversation::default()
    };
    assert_eq!(rendered(PLAIN, &talk), "[user]Hi[assistant]");
}

/// What an answer is read as, piece after piece.
fn read(parser: AnswerParser, chunks: &[&str]) -> Vec<Piece> {
    let mut parser = parser;
    let mut pieces: Vec<Piece> = chunks.iter().flat_map(|chunk| parser.push(chunk)).collect();
    pieces.extend(parser.finish());
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Text(text)), Piece::Text(more))
            | (Some(Piece::Reasoning(text)), Piece::Reasoning(more)) => text.push_str(&more),
            (Some(Piece::Arguments { text, .. }), Piece::Arguments { text: more, .. }) => {
                text.push_str(&more);
            }
            (_, piece) => joined.push(piece),
        }
    }
    joined
}

const THINK: Pair = Pair {
    open: "<think>",
    close: "</think>",
};

fn callables() -> Vec<Callable> {
    let schema = serde_json::json!({"properties": {
        "x": {"type": "integer"}, "text": {"type": "string"}, "list": {"type": "array"}, "maybe": {"type": ["string", "null"]},
    }});
    let callable = |name: &str| Callable {
        name: name.to_owned(),
        schema: schema.clone(),
    };
    vec![callable("add"), callable("sub")]
}

fn reading(syntax: &'static Syntax, thinking: Option<Pair>, is_open: bool) -> Reading {
    Reading {
        syntax,
        tools: callables(),
        calls_max: u32::MAX,
        thinking,
        is_open,
        has_thought: is_open,
    }
}

fn parser(thinks: bool, is_open: bool) -> AnswerParser {
    AnswerParser::new(reading(&HERMES_SYNTAX, thinks.then_some(THINK), is_open))
}

fn check(is_open: bool, answer: &str, expected: &Expect) {
    let pieces = read(parser(true, is_open), &[answer]);
    let lines: Vec<String> = pieces.iter().map(|piece| format!("{piece:?}")).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn thoughts_words_and_calls() {
    check(
        false,
        "<think>\nhm <b>\n</think>\n\nWell.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"x\": {\"y}\": 1}}}\n</tool_call>\n<tool_call>{\"arguments\": {}, \"name\": \"sub\"}</tool_call>\n",
        &expect![[r#"
            Reasoning("hm <b>")
            Text("Well.")
            ToolCall { index: 0, name: "add" }
            Arguments { index: 0, text: "{\"x\": {\"y}\": 1}}" }
            ToolCall { index: 1, name: "sub" }
            Arguments { index: 1, text: "{}" }"#]],
    );
    check(
        true,
        "\nso\n</think>done ",
        &expect![[r#"
            Reasoning("so")
            Text("done ")"#]],
    );
    check(
        false,
        "No <think>, no call <tool_call",
        &expect![[r#"Text("No <think>, no call <tool_call")"#]],
    );
}

#[test]
fn what_is_no_call_was_said() {
    for text in [
        "<tool_call>{\"name\": \"fly\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"add\", \"arguments\": [1]}</tool_call>",
        "<tool_call>add</tool_call> more",
        "a <tool_call>{\"name\": \"add\"",
    ] {
        let pieces = read(parser(false, false), &[text]);
        assert_eq!(pieces, [Piece::Text(text.to_owned())]);
    }
    let cut = "<tool_call>{\"name\": \"add\", \"arguments\": {\"x\": \"a";
    let pieces = read(parser(false, false), &[cut]);
    let text = r#"{"x": "a"#.to_owned();
    assert_eq!(pieces[1], Piece::Arguments { index: 0, text });
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    for call in [
        "{\"name\": \"add\"}",
        "{\"name\": \"add\", \"arguments\": null}",
        "{\"name\": \"add\", \"parameters\": {}}",
        "{\"name\": \"add\", \"arguments\": \"{}\"}",
    ] {
        let pieces = read(
            parser(false, false),
            &[&format!("<tool_call>{call}</tool_call>")],
        );
        let text = "{}".to_owned();
        assert_eq!(pieces[1], Piece::Arguments { index: 0, text }, "{call}");
    }
}

#[test]
fn an_answer_of_one_call_ends_with_it() {
    let mut reading = reading(&HERMES_SYNTAX, None, false);
    reading.calls_max = 1;
    let mut parser = AnswerParser::new(reading);
    let call = "<tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call>";
    let pieces = parser.push(&format!("{call}\n{call}"));
    assert!(parser.is_over());
    assert_eq!(pieces.len(), 2);
    assert_eq!(parser.finish(), []);
}
