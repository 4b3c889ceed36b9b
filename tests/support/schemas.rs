//! Random JSON schemas: nested, with enumerations, patterns, numbers with bounds, references and recursion. The same for
//! the same seed.

use serde_json::{Map, Value, json};

use crate::random::Random;

const NAMES: [&str; 10] = [
    "a",
    "name",
    "x y",
    "é",
    "日本",
    "q\"q",
    "b\\",
    "",
    "name2",
    "\u{1f333}",
];

const PATTERNS: [&str; 9] = [
    "^[a-z]+$",
    "^(ab|cd){1,3}$",
    "[0-9]{2}",
    "^\\d{3}-\\w*$",
    "é|ü",
    "^$",
    "^[^\"]{2,4}$",
    "^[A-Z][a-z]{0,5}( [A-Z][a-z]{0,5})?$",
    "^\\S{1,8}\\.(json|txt)$",
];

const FORMATS: [&str; 6] = ["date", "time", "date-time", "uuid", "ipv4", "email"];

/// What a schema may come to.
const DEPTH: usize = 3;

/// A schema of anything.
pub fn any(random: &mut Random) -> Value {
    let schema = value(random, DEPTH);
    defined(schema, random)
}

/// A schema of an object, as the arguments of a tool are.
pub fn arguments(random: &mut Random) -> Value {
    let schema = object(random, DEPTH);
    defined(schema, random)
}

/// With definitions that name themselves and each other.
fn defined(mut schema: Value, random: &mut Random) -> Value {
    let leaf = value(random, 0);
    schema["$defs"] = json!({
        "list": {"type": "object", "properties": {
            "value": leaf, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/list"}]}},
            "required": ["value", "next"], "additionalProperties": false},
        "tree": {"anyOf": [leaf, {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}]},
        "even": {"type": "object", "properties": {"odd": {"$ref": "#/$defs/odd"}}, "additionalProperties": false},
        "odd": {"type": "object", "properties": {"even": {"$ref": "#/$defs/even"}, "end": {"type": "boolean"}},
            "required": ["end"], "additionalProperties": false},
        "leaf": leaf,
    });
    schema
}

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth == 0 { 7 } else { 14 }) {
        0 => json!({"type": "boolean"}),
        1 => string(random),
        2 => integer(random),
        3 => number(random),
        4 => {
            let choices = json!([1, "two", null, [3], {"four": 4.5}, "é"]);
            let choices = choices.as_array().map(|all| &all[..=random.below(6)]);
            json!({"enum": choices})
        }
        5 => json!({"const": random.of(&[
            json!("c\nd"), json!({"k": [true]}), json!(-7), json!("<|end|>"), json!(0.5)])}),
        6 => json!({"type": ["string", "null"], "description": "what it is"}),
        7..10 => object(random, depth),
        10 => array(random, depth),
        11 => json!({"anyOf": [value(random, depth - 1), value(random, depth - 1)]}),
        12 => both(random),
        _ => {
            let names = ["list", "tree", "even", "odd", "leaf"];
            json!({"$ref": format!("#/$defs/{}", random.of(&names))})
        }
    }
}

fn string(random: &mut Random) -> Value {
    let least = random.below(4);
    match random.below(5) {
        0 => json!({"type": "string"}),
        1 => json!({"type": "string", "minLength": least, "maxLength": least + random.below(6)}),
        2 => json!({"type": "string", "pattern": random.of(&PATTERNS)}),
        3 => json!({"type": "string", "format": random.of(&FORMATS)}),
        _ => json!({"type": "string", "maxLength": least}),
    }
}

fn integer(random: &mut Random) -> Value {
    let from = random.below(2000) as i64 - 1000;
    let to = from + random.below(300) as i64;
    match random.below(4) {
        0 => json!({"type": "integer"}),
        1 => json!({"type": "integer", "minimum": from, "maximum": to}),
        2 => json!({"type": "integer", "exclusiveMinimum": from, "exclusiveMaximum": to + 2}),
        _ => {
            json!({"type": "integer", "minimum": 0, "maximum": 1000, "multipleOf": 1 + random.below(20)})
        }
    }
}

fn number(random: &mut Random) -> Value {
    let from = random.below(2000) as f64 / 8.0 - 100.0;
    match random.below(3) {
        0 => json!({"type": "number", "minimum": from, "maximum": from + 2.5}),
        1 => json!({"type": "number", "exclusiveMinimum": from, "maximum": from + 40.0}),
        _ => json!({"type": "number", "minimum": -1, "exclusiveMaximum": 1}),
    }
}

/// Two demands on one value.
fn both(random: &mut Random) -> Value {
    let to = random.below(50);
    match random.below(3) {
        0 => {
            json!({"allOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": to}]})
        }
        1 => json!({"allOf": [
            {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": integer(random)}, "required": ["b"]}]}),
        _ => json!({"allOf": [{"$ref": "#/$defs/list"}], "title": "A list"}),
    }
}

fn object(random: &mut Random, depth: usize) -> Value {
    let mut properties = Map::new();
    for _ in 0..random.below(5) {
        let name = *random.of(&NAMES);
        properties.insert(name.into(), value(random, depth.saturating_sub(1)));
    }
    let required: Vec<&String> = properties.keys().filter(|_| !random.one_in(3)).collect();
    let mut object = json!({"type": "object", "required": required});
    object["additionalProperties"] = match random.below(4) {
        0 => json!({"type": "boolean"}),
        _ => json!(false),
    };
    object["properties"] = Value::Object(properties);
    object
}

fn array(random: &mut Random, depth: usize) -> Value {
    let least = random.below(3);
    let mut array = json!({"type": "array", "items": value(random, depth - 1), "minItems": least});
    match random.below(3) {
        0 => array["maxItems"] = json!(least + random.below(3)),
        1 => array["prefixItems"] = json!([value(random, depth - 1), value(random, 0)]),
        _ => {}
    }
    array
}
