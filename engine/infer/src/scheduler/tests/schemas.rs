//! Random JSON schemas, and random vocabularies to write their values with. The same for the same seed.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use text::{SpecialTokens, Tokenizer};

use crate::sampler::mix;

/// A sequence of random numbers.
pub struct Random(pub u64);

impl Random {
    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix(self.0) % bound as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

const NAMES: [&str; 9] = ["a", "name", "x y", "é", "日本", "q\"q", "b\\", "", "name2"];
const PATTERNS: [&str; 7] = [
    "^[a-z]+$",
    "^(ab|cd){1,3}$",
    "[0-9]{2}",
    "^\\d{3}-\\w*$",
    "é|ü",
    "^$",
    "^[^\"]{2,4}$",
];

/// A schema, with definitions that may name themselves.
pub fn schema(random: &mut Random) -> Value {
    let mut schema = value(random, 3);
    if let Some(schema) = schema.as_object_mut() {
        let leaf = value(random, 0);
        schema.insert("$defs".into(), json!({
            "list": {"type": "object", "properties": {
                "value": leaf,
                "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/list"}]}},
                "required": ["value", "next"], "additionalProperties": false},
            "tree": {"anyOf": [leaf, {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}]},
        }));
    }
    schema
}

fn value(random: &mut Random, depth: usize) -> Value {
    let kinds = if depth == 0 { 7 } else { 12 };
    match random.below(kinds) {
        0 => json!({"type": "boolean"}),
        1 => string(random),
        2 => integer(random),
        3 => number(random),
        4 => {
            let choices = json!([1, "two", null, [3], {"four": 4.5}, "é"]);
            let choices = choices.as_array().map(|all| &all[..=random.below(6)]);
            json!({"enum": choices})
        }
        5 => {
            json!({"const": random.of(&[json!("c\nd"), json!({"k": [true]}), json!(-7), json!("<|end|>")])})
        }
        6 => json!({"type": ["string", "null"]}),
        7 | 8 => object(random, depth),
        9 => array(random, depth),
        10 => json!({"anyOf": [value(random, depth - 1), value(random, depth - 1)]}),
        _ => json!({"$ref": random.of(&["#/$defs/list", "#/$defs/tree"])}),
    }
}

fn string(random: &mut Random) -> Value {
    let least = random.below(4);
    match random.below(4) {
        0 => json!({"type": "string"}),
        1 => json!({"type": "string", "minLength": least, "maxLength": least + random.below(6)}),
        2 => json!({"type": "string", "pattern": random.of(&PATTERNS)}),
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

fn object(random: &mut Random, depth: usize) -> Value {
    let mut properties = Map::new();
    for _ in 0..random.below(5) {
        let name = *random.of(&NAMES);
        properties.insert(name.into(), value(random, depth - 1));
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

/// The end of an answer.
pub const END: &str = "<|end|>";

/// All bytes, some pieces of JSON and random pieces of those, two marks.
pub fn tokenizer(random: &mut Random) -> Arc<Tokenizer> {
    let mut pieces: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let mut merges = Vec::new();
    let likely: Vec<usize> =
        r#"{}[]":, truefalsnmxyé0123456789-.eE\"#.bytes().map(usize::from).collect();
    for _ in 0..random.below(150) {
        let mut pick = || match random.below(3) {
            0 if pieces.len() > 256 => 256 + random.below(pieces.len() - 256),
            _ => *random.of(&likely),
        };
        let (left, right) = (pick(), pick());
        let piece = [&pieces[left][..], &pieces[right]].concat();
        if !pieces.contains(&piece) {
            merges.push(format!(
                "{} {}",
                written(&pieces[left]),
                written(&pieces[right])
            ));
            pieces.push(piece);
        }
    }
    let vocabulary: Map<String, Value> = pieces
        .iter()
        .enumerate()
        .map(|(id, piece)| (written(piece), json!(id)))
        .collect();
    let mark = |id: usize, text: &str| {
        json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": [mark(pieces.len(), END), mark(pieces.len() + 1, "<|other|>")],
        "pre_tokenizer": bytes, "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "vocab": vocabulary, "merges": merges},
    });
    let special = SpecialTokens {
        bos: None,
        eos: Some(END.to_owned()),
        end_ids: Vec::new(),
    };
    Arc::new(Tokenizer::from_json(tokenizer.to_string().as_bytes(), special).unwrap())
}

/// Bytes in GPT-2's spelling.
fn written(piece: &[u8]) -> String {
    let character = |byte: &u8| match byte {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(*byte),
        0..=0x20 => char::from_u32(0x100 + u32::from(*byte)).unwrap(),
        0x7F..=0xA0 => char::from_u32(0x100 + u32::from(*byte) - 0x7F + 0x21).unwrap(),
        0xAD => '\u{143}',
    };
    piece.iter().map(character).collect()
}
