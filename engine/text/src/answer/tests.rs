use base::{ErrorCode, Message, Piece, Role, Tool, ToolCall};
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::SpecialTokens;
use crate::grammar::compile;
use crate::tokenizer::tests::byte_level;

const HERMES: &str = "{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% for m in messages %}[{{ m.role }}]{{ m.content }}\
    {% for call in m.tool_calls %}<tool_call>{{ call.function.name }} {{ call.function.arguments | tojson }}</tool_call>{% endfor %}\
    {% endfor %}[assistant]<think>\n{# ends with </think> #}";
const PLAIN: &str = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]";

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source.to_owned(), SpecialTokens::default()).unwrap()
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
        [system]Be kind.[user]Add.[assistant]<tool_call>add {"x": 1}</tool_call>[tool]2[tool]3[assistant]<think>
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
        To call one, answer with its name and arguments as JSON between tags:
        <tool_call>
        {"name": "...", "arguments": {...}}
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

fn parser(thinks: bool, is_open: bool) -> AnswerParser {
    let tools = vec!["add".to_owned(), "sub".to_owned()];
    AnswerParser::new(tools, u32::MAX, thinks, is_open)
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
    let mut parser = AnswerParser::new(vec!["add".to_owned()], 1, false, false);
    let call = "<tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call>";
    let pieces = parser.push(&format!("{call}\n{call}"));
    assert!(parser.is_over());
    assert_eq!(pieces.len(), 2);
    assert_eq!(parser.finish(), []);
}

fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        Just("<think>"),
        Just("</think>"),
        Just("<tool_call>"),
        Just("</tool_call>"),
        Just("\n"),
        Just(" "),
        Just("{\"name\": \"add\", \"arguments\": "),
        Just("{\"x\": \"\\\"}\"}"),
        Just("}"),
        Just("{"),
        Just("é"),
        Just("<"),
        Just("tool_call"),
        Just("\""),
        Just("word"),
    ];
    prop::collection::vec(fragment, 0..14).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn any_division_reads_the_same(
        text in fragments(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        (thinks, is_open) in prop_oneof![Just((false, false)), Just((true, false)), Just((true, true))],
    ) {
        let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        places.push(text.len());
        let mut at: Vec<usize> = cuts.iter().map(|cut| *cut.get(&places)).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let chunks: Vec<&str> = at.windows(2).map(|range| &text[range[0]..range[1]]).collect();
        prop_assert_eq!(
            read(parser(thinks, is_open), &chunks),
            read(parser(thinks, is_open), &[&text])
        );
    }

    #[test]
    fn text_without_marks_stays_as_it_is(text in "[a-z é\n{}\"]{0,60}") {
        let pieces = read(parser(false, false), &[&text]);
        let expected = if text.is_empty() { vec![] } else { vec![Piece::Text(text)] };
        prop_assert_eq!(pieces, expected);
    }
}

/// Whether the grammar derives the text as a whole, and nothing can or need follow.
fn derives(grammar: &Grammar, text: &str) -> bool {
    let tokenizer = byte_level();
    let mut matcher = compile(&tokenizer, grammar).unwrap();
    let tokens = tokenizer.encode(text, crate::Framing::Bare).unwrap();
    for token in tokens {
        if !matcher.mask(&[]).unwrap().allows(token) || matcher.push(token).is_err() {
            return false;
        }
    }
    matcher.is_complete() || matcher.mask(&[262]).unwrap().allows(262)
}

const ADD: &str = "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"x\": 12}}\n</tool_call>";

#[test]
fn a_call_that_must_come_comes() {
    let mut conversation = conversation();
    conversation.tools.push(tool("sub", "{}"));
    conversation.tool_choice = ToolChoice::Required;
    let grammar = |conversation: &Conversation, source: &str, rendered: &str| {
        let grammar = format(source).grammar(conversation, None, rendered);
        grammar.unwrap().unwrap()
    };
    let one = grammar(&conversation, PLAIN, "");
    assert!(derives(&one, ADD));
    assert!(!derives(&one, &ADD.replace("12", "\"no\"")));
    assert!(!derives(&one, &ADD.replace("add", "fly")));
    assert!(!derives(&one, &format!("{ADD}\n{ADD}")));
    assert!(!derives(&one, "hello"));
    conversation.parallel_tool_calls = true;
    assert!(derives(
        &grammar(&conversation, PLAIN, ""),
        &format!("{ADD}\n{ADD}")
    ));
    conversation.tool_choice = ToolChoice::Named("sub".to_owned());
    let sub = grammar(&conversation, PLAIN, "");
    assert!(!derives(&sub, ADD));
    assert!(derives(
        &sub,
        "<tool_call>\n{\"name\": \"sub\", \"arguments\": {}}\n</tool_call>"
    ));

    // Thinking is free and comes first.
    conversation.tool_choice = ToolChoice::Required;
    let thought = grammar(&conversation, HERMES, "[assistant]");
    assert!(derives(
        &thought,
        &format!("<think>so <b>!</think>\n\n{ADD}")
    ));
    assert!(derives(&thought, ADD));
    let open = grammar(&conversation, HERMES, "[assistant]<think>\n");
    assert!(derives(&open, &format!("so\n</think>\n\n{ADD}")));
    assert!(!derives(&open, ADD));
    conversation.effort = Some(Effort::Off);
    let off = grammar(&conversation, HERMES, "[assistant]");
    assert!(derives(&off, ADD) && !derives(&off, &format!("<think></think>{ADD}")));

    conversation.tool_choice = ToolChoice::Named("fly".to_owned());
    let failure = format(PLAIN).grammar(&conversation, None, "").unwrap_err();
    assert_eq!(failure.code, ErrorCode::InvalidRequest);
    assert_eq!(failure.param.as_deref(), Some("tool_choice"));
}

#[test]
fn what_was_asked_for_comes_after_what_is_thought() {
    let talk = Conversation::default();
    for (asked, good, bad) in [
        (
            Grammar::JsonSchema(r#"{"type": "integer"}"#.into()),
            "12",
            "x",
        ),
        (Grammar::Regex("^a/b$".into()), "a/b", "ab"),
    ] {
        let plain = format(PLAIN).grammar(&talk, Some(&asked), "").unwrap();
        assert_eq!(plain.as_ref(), Some(&asked));
        let thought = format(HERMES).grammar(&talk, Some(&asked), "[assistant]<think>\n");
        let thought = thought.unwrap().unwrap();
        assert!(
            derives(&thought, &format!("so</think>\n\n{good}")),
            "{thought:?}"
        );
        assert!(
            !derives(&thought, &format!("so</think>\n\n{bad}")),
            "{thought:?}"
        );
    }
    assert_eq!(format(HERMES).grammar(&talk, None, ""), Ok(None));
}
