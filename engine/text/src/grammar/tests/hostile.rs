//! Grammars that were made to take all time and memory there is.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::Map;

use super::*;

/// For the worst of them on a machine that does other things too; a second where it does not.
const COMPILING_MAX: Duration = Duration::from_secs(10);

/// For what happens at each token.
const STEP_MAX: Duration = Duration::from_secs(1);

/// Compiles it and follows it for a while. Either may be refused, and both end soon.
fn check(name: &str, grammar: &Grammar) {
    let tokenizer = byte_level();
    let began = Instant::now();
    let compiled = compile(&tokenizer, grammar);
    let took = began.elapsed();
    let end = match compiled {
        Ok(matcher) => follow_for_a_while(matcher),
        Err(error) => error.to_string(),
    };
    println!("{name}: {took:?}: {end}");
    assert!(took < COMPILING_MAX, "{name}: {took:?}");
    assert!(end.len() < 3000, "{name}: {end}");
}

/// Takes the last token that is allowed, again and again. Says how it ended.
fn follow_for_a_while(mut matcher: Matcher) -> String {
    for _ in 0..300 {
        let began = Instant::now();
        let mask = match matcher.mask(&[END]) {
            Ok(mask) => mask,
            Err(error) => return error.to_string(),
        };
        let Some(token) = (0..262).rev().find(|token| mask.allows(*token)) else {
            return "its end".to_owned();
        };
        if let Err(error) = matcher.push(token) {
            return error.to_string();
        }
        assert!(began.elapsed() < STEP_MAX, "{:?}", began.elapsed());
    }
    "no end".to_owned()
}

/// Nested `depth` times.
fn nested(depth: usize, wrap: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(json!({"type": "string"}), |inner, _| wrap(inner))
}

fn properties(count: usize, of: impl Fn(usize) -> Value) -> Map<String, Value> {
    (0..count).map(|i| (format!("p{i}"), of(i))).collect()
}

#[test]
fn schemas_that_are_deep() {
    let object = nested(
        60,
        |inner| json!({"type": "object", "properties": {"a": inner}}),
    );
    let array = nested(120, |inner| json!({"type": "array", "items": inner}));
    let all = nested(60, |inner| json!({"allOf": [inner]}));
    for (name, value) in [
        ("objects", object),
        ("arrays", array),
        ("allOf", all),
        ("itself", json!({"$ref": "#"})),
        (
            "itself twice",
            json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        ),
        (
            "itself again",
            json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        ),
    ] {
        check(name, &schema(&value));
    }
    check(
        "unfinished",
        &Grammar::JsonSchema("{\"not\":".repeat(30_000)),
    );
}

#[test]
fn schemas_that_multiply() {
    let choice = |count| -> Vec<Value> {
        let one = |i| json!({"properties": {(format!("p{i}")): {"type": "integer"}}});
        (0..count).map(one).collect()
    };
    let products: Vec<Value> = (0..40).map(|_| json!({"anyOf": choice(8)})).collect();
    let doubling = |i: usize| {
        let next = json!({"anyOf": [{"$ref": format!("#/$defs/p{}", i + 1)}, {"type": "null"}]});
        json!({"allOf": [next.clone(), next]})
    };
    let mut definitions = properties(40, doubling);
    definitions.insert("p40".into(), json!({"type": "string"}));
    for (name, value) in [
        ("products", json!({"allOf": products})),
        (
            "doubling",
            json!({"$ref": "#/$defs/p0", "$defs": definitions}),
        ),
        (
            "pattern",
            json!({"type": "string", "pattern": "^(a|b|ab)*c{1,1000}(d{1,1000}){1,1000}$"}),
        ),
    ] {
        check(name, &schema(&value));
    }
}

#[test]
fn schemas_that_are_wide() {
    let wide = properties(6000, |_| json!({"$ref": "#"}));
    let strings = properties(4000, |i| json!({"type": "string", "maxLength": 1000 + i}));
    let names: Vec<&String> = strings.keys().collect();
    for (name, value) in [
        ("optional", json!({"type": "object", "properties": wide})),
        (
            "one of them",
            json!({"type": "object", "properties": wide, "maxProperties": 1, "additionalProperties": false}),
        ),
        (
            "required",
            json!({"type": "object", "properties": strings, "required": names}),
        ),
        (
            "enumeration",
            json!({"enum": (0..30_000).collect::<Vec<_>>()}),
        ),
        (
            "tuple",
            json!({"prefixItems": vec![true; 40_000], "items": false}),
        ),
        (
            "long string",
            json!({"type": "string", "minLength": 4_000_000_000_u64}),
        ),
        (
            "long array",
            json!({"items": {"type": "string"}, "minItems": 4_000_000_000_u64, "type": "array"}),
        ),
    ] {
        check(name, &schema(&value));
    }
}

#[test]
fn expressions() {
    let parentheses = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    for (name, text) in [
        (
            "repeated",
            "((((a{1,1000}){1,1000}){1,1000}){1,1000}){1,1000}".to_owned(),
        ),
        ("many states", "(.*a.{20}){1,10}|.*b.{30}".to_owned()),
        ("unfinished", "(".repeat(200_000)),
        ("deep", parentheses(120_000)),
        ("not so deep", parentheses(200)),
        ("long", "ab?".repeat(80_000)),
        ("choices", "[a-z]+|".repeat(30_000)),
    ] {
        check(name, &Grammar::Regex(text));
    }
}

#[test]
fn grammars() {
    let mut chain = "start: r0\nr6000: \"a\"\n".to_owned();
    for i in 0..6000 {
        writeln!(chain, "r{i}: r{}", i + 1).unwrap();
    }
    for (name, text) in [
        (
            "deep",
            format!("start: {}\"a\"{}", "(".repeat(120_000), ")".repeat(120_000)),
        ),
        ("ambiguous", "start: start start | \"a\" | ".to_owned()),
        (
            "choices",
            format!("start: {}\"a\"", "/[a-z]+/ | ".repeat(20_000)),
        ),
        ("chain", chain),
    ] {
        check(name, &Grammar::Lark(text));
    }
}
