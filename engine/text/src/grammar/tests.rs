use base::Grammar;
use serde_json::{Value, json};

use super::*;
use crate::tokenizer::tests::{byte_level, sentence_piece};
use crate::{Framing, Tokenizer};

mod hostile;

const END: TokenId = 262;
/// Another one.
const ALSO_END: TokenId = 7;

fn schema(schema: &Value) -> Grammar {
    Grammar::JsonSchema(schema.to_string())
}

/// How many of the text's tokens are allowed, one after the other, and the matcher after them.
fn follow(tokenizer: &Tokenizer, grammar: &Grammar, text: &str) -> (String, Matcher) {
    let mut matcher = compile(tokenizer, grammar).unwrap();
    let mut read = Vec::new();
    for token in tokenizer.encode(text, Framing::Bare).unwrap() {
        if !matcher.mask(&[]).unwrap().allows(token) {
            break;
        }
        matcher.push(token).unwrap();
        read.push(token);
    }
    (tokenizer.decode(&read), matcher)
}

#[test]
fn what_fits_is_allowed_and_nothing_else() {
    let tokenizer = byte_level();
    let object = schema(&json!({
        "type": "object", "required": ["node"], "additionalProperties": false,
        "properties": {"node": {"type": "integer"}},
    }));
    for (grammar, text, allowed) in [
        (&object, r#"{"node": 12}"#, r#"{"node": 12}"#),
        (&object, r#"{"node": "x"}"#, r#"{"node": "#),
        (&object, r#"{"nobody": 1}"#, r#"{""#),
        (&object, "[1]", ""),
        (&object, r#"{"node": 1} and more"#, r#"{"node": 1}"#),
        (&Grammar::Regex("[a-z]{3}".into()), "abcd", "abc"),
        (&Grammar::Regex("^(a|b)/é$".into()), "b/é", "b/é"),
        (&Grammar::Regex(r"a\$".into()), "a$", "a$"),
        (
            &Grammar::Lark("start: \"no\" | \"yes\" x\nx: /[0-9]+/".into()),
            "yes07",
            "yes07",
        ),
    ] {
        assert_eq!(follow(&tokenizer, grammar, text).0, allowed, "{grammar:?}");
    }
}

#[test]
fn test_reproduce_a_pattern_that_let_a_quote_through() {
    let tokenizer = byte_level();
    let without_quotes = schema(&json!({"type": "string", "pattern": "^[^\"\\\\]+$"}));
    for (text, allowed) in [
        (r#""a\"b""#, r#""a\"#),
        (r#""a\\b""#, r#""a\"#),
        (r#""a\nb\u0002c""#, r#""a\nb\u0002c""#),
    ] {
        assert_eq!(follow(&tokenizer, &without_quotes, text).0, allowed);
    }
}

#[test]
fn an_answer_ends_where_it_may_and_where_it_must() {
    let tokenizer = byte_level();
    let (_, mut matcher) = follow(&tokenizer, &Grammar::Regex("ab?".into()), "a");
    assert!(!matcher.is_complete());
    let mask = matcher.mask(&[END, 7, 5000]).unwrap();
    assert!(mask.allows(END) && mask.allows(7) && mask.allows(5000));
    let b = tokenizer.encode("b", Framing::Bare).unwrap()[0];
    assert!(mask.allows(b) && !mask.allows(b + 1));
    matcher.push(b).unwrap();
    assert!(matcher.is_complete());
    let mask = matcher.mask(&[END]).unwrap();
    assert!(mask.allows(END) && !mask.allows(b));
    let (_, mut matcher) = follow(&tokenizer, &Grammar::Regex("abc".into()), "a");
    assert!(
        !matcher.mask(&[END]).unwrap().allows(END),
        "it may not end yet"
    );
    // An object is complete with its bracket: no blanks follow for ever.
    let (_, matcher) = follow(&tokenizer, &schema(&json!({"type": "object"})), "{}");
    assert!(matcher.is_complete());
}

#[test]
fn a_mark_is_never_text_and_can_be_named() {
    let tokenizer = byte_level();
    let string = schema(&json!({"type": "string"}));
    let (text, mut matcher) = follow(&tokenizer, &string, "\"<|end|");
    assert_eq!(text, "\"<|end|");
    assert!(!matcher.mask(&[]).unwrap().allows(END));
    // Text that must come and reads like a mark is written out.
    let grammar = Grammar::Lark(r#"start: "<|end|>" "a""#.into());
    let mut matcher = compile(&tokenizer, &grammar).unwrap();
    let mask = matcher.mask(&[]).unwrap();
    assert!(!mask.allows(END) && mask.allows(tokenizer.encode("<", Framing::Bare).unwrap()[0]));
    let named = Grammar::Lark(r#"start: "a" <|end|> %json {"type": "null"}"#.into());
    let mut matcher = compile(&tokenizer, &named).unwrap();
    let a = tokenizer.encode("a", Framing::Bare).unwrap()[0];
    assert!(!matcher.mask(&[]).unwrap().allows(END));
    matcher.push(a).unwrap();
    assert!(matcher.mask(&[]).unwrap().allows(END));
    matcher.push(END).unwrap();
    for token in tokenizer.encode("null", Framing::Bare).unwrap() {
        assert!(matcher.mask(&[]).unwrap().allows(token));
        matcher.push(token).unwrap();
    }
    assert!(matcher.is_complete());
}

#[test]
fn text_that_must_come_is_written_with_the_models_own_tokens() {
    let tokenizer = byte_level();
    let mut matcher = compile(&tokenizer, &Grammar::Lark(r#"start: "node the""#.into())).unwrap();
    let own = tokenizer.encode("node the", Framing::Bare).unwrap();
    for token in own {
        let mask = matcher.mask(&[]).unwrap();
        let allowed: Vec<TokenId> = (0..300).filter(|token| mask.allows(*token)).collect();
        assert_eq!(allowed, [token]);
        matcher.push(token).unwrap();
    }
    assert!(matcher.is_complete());
}

#[test]
fn a_tokenizer_of_another_kind() {
    let tokenizer = sentence_piece();
    let grammar = Grammar::Regex("a b+é".into());
    let mut matcher = compile(&tokenizer, &grammar).unwrap();
    let tokens =
        ["a", "▁", "b", "b", "<0xC3>", "<0xA9>"].map(|text| tokenizer.token(text).unwrap());
    for token in tokens {
        assert!(matcher.mask(&[]).unwrap().allows(token), "{token}");
        matcher.push(token).unwrap();
    }
    assert!(matcher.is_complete());
}

#[test]
fn a_token_that_is_not_allowed_is_an_error_and_stays_one() {
    let tokenizer = byte_level();
    let mut matcher = compile(&tokenizer, &Grammar::Regex("a+".into())).unwrap();
    assert!(matches!(matcher.push(END), Err(GrammarError::Stuck(_))));
    assert!(matcher.mask(&[END]).is_err() && !matcher.is_complete());
    let mut matcher = compile(&tokenizer, &Grammar::Regex("a+".into())).unwrap();
    assert!(matcher.push(u32::MAX).is_err());
}

#[test]
fn what_cannot_be_used_is_explained() {
    let tokenizer = byte_level();
    for (grammar, words) in [
        (Grammar::JsonSchema("{".into()), "EOF"),
        (Grammar::JsonSchema("{\"type\": \"strin\"}".into()), "strin"),
        (Grammar::JsonSchema("3".into()), "schema"),
        (Grammar::JsonSchema("false".into()), "nsatisfiable"),
        (schema(&json!({"$ref": "#/$defs/absent"})), "absent"),
        (schema(&json!({"$ref": "http://127.0.0.1/x"})), "127.0.0.1"),
        (
            schema(&json!({"type": "object", "minProperties": 3, "if": {}})),
            "if",
        ),
        (Grammar::Regex("a(".into()), "unclosed"),
        (Grammar::Regex("(?=a)b".into()), "look"),
        (Grammar::Lark("start: other".into()), "other"),
        (Grammar::Lark("start: <|nobody|>".into()), "nobody"),
        (Grammar::Lark(String::new()), ""),
        (Grammar::Regex("a".repeat(1 << 20)), "1048576"),
    ] {
        let error = compile(&tokenizer, &grammar).unwrap_err().to_string();
        println!("{error}\n");
        assert!(error.contains(words), "{error}");
        assert!(
            !error.contains("panic") && !error.contains("<non-verbose/>"),
            "{error}"
        );
    }
}

/// A matcher and the tokens that it was given.
struct Walk {
    matcher: Matcher,
    tokens: Vec<TokenId>,
}

impl Walk {
    /// Goes on by one of a mask's tokens; no further where the answer is at its end.
    fn step(&mut self, mask: &Mask, which: usize) {
        let goes_on = |token: &TokenId| *token != ALSO_END && mask.allows(*token);
        let allowed: Vec<TokenId> = (0..END).filter(goes_on).collect();
        if let Some(token) = allowed.get(which % allowed.len().max(1)) {
            self.matcher.push(*token).unwrap();
            self.tokens.push(*token);
        }
    }
}

#[test]
fn from_anywhere_there_is_a_short_way_to_the_end() {
    let tokenizer = byte_level();
    let list = json!({"$ref": "#/$defs/list", "$defs": {"list": {
        "type": "object", "required": ["value", "next"], "additionalProperties": false, "properties": {
            "value": {"type": "string"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/list"}]},
        },
    }}});
    let tree = json!({"$ref": "#/$defs/tree", "$defs": {"tree": {
        "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/tree"}}, {"type": "integer"}],
    }}});
    let free = json!({"type": "object", "additionalProperties": {"type": ["object", "string", "boolean"]}});
    for shape in [list, tree, free, json!({"type": "string", "minLength": 4})] {
        for length in 0..40 {
            let mut walk = Walk {
                matcher: compile(&tokenizer, &schema(&shape)).unwrap(),
                tokens: Vec::new(),
            };
            for step in 0..length {
                let mask = walk.matcher.mask(&[]).unwrap();
                walk.step(&mask, (step + 1) * (length + 7) * 31);
            }
            let needed = walk.matcher.tokens_to_end(&[END], 100);
            let needed =
                needed.unwrap_or_else(|| panic!("{shape}: {}", tokenizer.decode(&walk.tokens)));
            assert_eq!(walk.matcher.tokens_to_end(&[END], needed), Some(needed));
            for left in (0..needed).rev() {
                assert_eq!(walk.matcher.tokens_to_end(&[END], left), None);
                let mask = walk.matcher.mask(&[END]).unwrap();
                let mask = walk.matcher.narrow(&mask, &[END]);
                assert!(left == 0 || !mask.allows(END));
                walk.step(&mask, 0);
            }
            let text = tokenizer.decode(&walk.tokens);
            serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}

#[test]
fn an_address_is_no_longer_than_one_may_be() {
    let tokenizer = byte_level();
    let address = schema(&json!({"type": "string", "format": "email"}));
    for (local, expected) in [(64, 70), (65, 65)] {
        let text = format!("\"{}@b.c\"", "a".repeat(local));
        assert_eq!(follow(&tokenizer, &address, &text).0.len(), expected);
    }
}
