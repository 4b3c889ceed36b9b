//! Answers that a grammar allows, and those that it does not.

use super::*;
use crate::grammar::compile;

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
