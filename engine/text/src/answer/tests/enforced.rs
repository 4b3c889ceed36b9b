//! Answers that a grammar allows, and those that it does not.

use super::families::{FAMILIES, Family};
use super::*;
use crate::grammar::compile;
use crate::tokenizer::tests::byte_level_with;

/// Whether the grammar derives the text as a whole, and nothing can or need follow.
fn derives(grammar: &Grammar, text: &str) -> bool {
    derives_with(&byte_level(), grammar, text)
}

fn derives_with(tokenizer: &Tokenizer, grammar: &Grammar, text: &str) -> bool {
    let mut matcher =
        compile(tokenizer, grammar).unwrap_or_else(|error| panic!("{grammar:?}: {error}"));
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

impl Family {
    /// A tokenizer that has the family's marks as special tokens.
    fn marked(&self) -> Tokenizer {
        let is_mark =
            |mark: &&str| mark.starts_with(['<', '[', '｜']) && mark.ends_with(['>', ']', '｜']);
        let mut marks: Vec<&str> = self.syntax().marks().into_iter().filter(is_mark).collect();
        if marks.contains(&"｜DSML｜") {
            marks = vec!["｜DSML｜"];
        }
        marks.extend(["<think>", "</think>"]);
        marks.sort_unstable();
        marks.dedup();
        byte_level_with("<|stop|>", &[], &marks)
    }

    /// A call with these arguments, as far as the model writes it.
    fn called(&self, name: &str, arguments: &str) -> String {
        let call = ToolCall {
            id: String::new(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        let written = written::calls(self.syntax(), &[call], 0);
        // It ends the answer.
        written.replace("<|call|>", "")
    }
}

fn strict_tools(choice: ToolChoice) -> Conversation {
    let schema = r##"{"type": "object", "properties": {"x": {"type": "integer"}, "text": {"type": "string"}, "one": {"enum": ["a", "b"]},
        "list": {"type": "array", "items": {"$ref": "#/$defs/item"}}}, "required": ["x"], "additionalProperties": false,
        "$defs": {"item": {"type": "boolean"}}}"##;
    let mut tool = tool("add", schema);
    tool.strict = true;
    Conversation {
        tools: vec![tool],
        tool_choice: choice,
        parallel_tool_calls: true,
        ..Conversation::default()
    }
}

const GOOD: &str = r#"{"x": 12, "text": "a <b> é", "one": "b", "list": [true]}"#;
const BAD: [&str; 4] = [
    r#"{"x": "no"}"#,
    r#"{"text": "a"}"#,
    r#"{"x": 1, "one": "c"}"#,
    r#"{"x": 1, "list": [2]}"#,
];

#[test]
fn each_family_makes_calls_that_must_come() {
    let conversation = strict_tools(ToolChoice::Required);
    for family in &FAMILIES {
        for tokenizer in [byte_level(), family.marked()] {
            let format = AnswerFormat::of(&template(family.template), &tokenizer);
            let grammar = format
                .grammar(&conversation, None, "[assistant]")
                .unwrap()
                .unwrap();
            let derives = |text: &str| derives_with(&tokenizer, &grammar, text);
            let call = family.called("add", GOOD);
            assert!(derives(&call), "{}: {call}\n{grammar:?}", family.name);
            for bad in BAD {
                assert!(
                    !derives(&family.called("add", bad)),
                    "{}: {bad}",
                    family.name
                );
            }
            assert!(
                !derives(&family.called("fly", GOOD)) && !derives("hello"),
                "{}",
                family.name
            );
            if let Some(thinking) = format.thinking {
                let next = if family.is_headed() {
                    "<|start|>assistant"
                } else {
                    "\n"
                };
                let thought = format!("{}so{}{next}{call}", thinking.open, thinking.close);
                assert!(derives(&thought), "{}: {thought}\n{grammar:?}", family.name);
            }
        }
    }
}

#[test]
fn each_family_keeps_to_strict_tools_if_it_calls() {
    let conversation = strict_tools(ToolChoice::Auto);
    for family in FAMILIES.iter().filter(|family| family.name != "llama") {
        for tokenizer in [byte_level(), family.marked()] {
            let format = AnswerFormat::of(&template(family.template), &tokenizer);
            let grammar = format
                .grammar(&conversation, None, "[assistant]")
                .unwrap()
                .unwrap();
            let derives = |text: &str| derives_with(&tokenizer, &grammar, text);
            let (words, said) = if family.is_headed() {
                (
                    "<|channel|>commentary<|message|>Well.<|end|><|start|>assistant",
                    "<|channel|>final<|message|>Yes <tool> [TOOL] {}",
                )
            } else {
                ("Well.\n", "Yes <tool> [TOOL] {}")
            };
            assert!(derives(said), "{}: {grammar:?}", family.name);
            for before in ["", words] {
                let call = format!("{before}{}", family.called("add", GOOD));
                assert!(derives(&call), "{}: {call}\n{grammar:?}", family.name);
                for bad in BAD {
                    let call = format!("{before}{}", family.called("add", bad));
                    assert!(!derives(&call), "{}: {call}\n{grammar:?}", family.name);
                }
            }
        }
    }
}

#[test]
fn what_was_asked_for_or_calls() {
    let conversation = strict_tools(ToolChoice::Auto);
    let asked = Grammar::JsonSchema(r#"{"type": "integer"}"#.into());
    for family in &FAMILIES {
        let tokenizer = family.marked();
        let format = AnswerFormat::of(&template(family.template), &tokenizer);
        let grammar = format
            .grammar(&conversation, Some(&asked), "[assistant]")
            .unwrap()
            .unwrap();
        let derives = |text: &str| derives_with(&tokenizer, &grammar, text);
        let heading = if family.is_headed() {
            "<|channel|>final<|message|>"
        } else {
            ""
        };
        assert!(
            derives(&format!("{heading}12")),
            "{}: {grammar:?}",
            family.name
        );
        assert!(
            derives(&family.called("add", GOOD)),
            "{}: {grammar:?}",
            family.name
        );
        assert!(
            !derives(&format!("{heading}twelve")),
            "{}: {grammar:?}",
            family.name
        );
    }
}
