//! What an argument may be by the schema of its tool, for formats that write arguments without JSON's quotes.

use serde_json::{Map, Value};

/// How deep references and alternatives are followed.
const DEPTH_MAX: u32 = 8;

/// Which kinds of JSON values are allowed: a set of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Text and nothing else.
    pub const STRING: Self = Self(1);
    const NUMBER: Self = Self(1 << 1);
    const BOOLEAN: Self = Self(1 << 2);
    const NULL: Self = Self(1 << 3);
    const ARRAY: Self = Self(1 << 4);
    const OBJECT: Self = Self(1 << 5);
    /// Anything but text.
    pub const NOT_STRING: Self = Self(0b11_1110);
    const ANY: Self = Self(0b11_1111);

    /// What the schema of a tool's arguments allows for one of them; anything where it says nothing.
    pub fn of(schema: &Value, argument: &str) -> Self {
        let schemas = [
            &schema["properties"][argument],
            &schema["additionalProperties"],
        ];
        match schemas.into_iter().find(|one| one.is_object()) {
            Some(one) => Self::allowed(one, schema, DEPTH_MAX),
            None => Self::ANY,
        }
    }

    /// Whether it can only be text.
    pub fn is_string(self) -> bool {
        self == Self::STRING
    }

    /// Whether it may be text.
    pub fn may_be_string(self) -> bool {
        self.has(Self::STRING)
    }

    /// A value as JSON: as it is where it is a value of an allowed kind, as text otherwise.
    pub fn json(self, written: &str) -> String {
        let text = || Value::from(written).to_string();
        let bare = written.trim();
        let bare = match bare {
            "True" => "true",
            "False" => "false",
            "None" => "null",
            bare => bare,
        };
        match serde_json::from_str::<Value>(bare) {
            Ok(_) if !self.may_be_string() => bare.to_owned(),
            // A string's quotes are a part of it where text stands without.
            Ok(value) if !value.is_string() && self.has(Self::kind_of(&value)) => bare.to_owned(),
            Ok(_) | Err(_) => text(),
        }
    }

    fn has(self, kinds: Self) -> bool {
        self.0 & kinds.0 == kinds.0
    }

    fn allowed(schema: &Value, root: &Value, depth: u32) -> Self {
        let Some(fields) = schema.as_object() else {
            return Self::ANY;
        };
        if depth == 0 {
            return Self::ANY;
        }
        if let Some(target) = referred(fields, root) {
            return Self::allowed(target, root, depth - 1);
        }
        let either = |kinds: &[Value], of: &dyn Fn(&Value) -> Self| {
            kinds.iter().map(of).fold(Self::default(), Self::or)
        };
        if let Some(kind) = fields.get("type") {
            return match kind {
                Value::Array(kinds) => either(kinds, &Self::named),
                kind => Self::named(kind),
            };
        }
        if let Some(Value::Array(values)) = fields.get("enum") {
            return either(values, &Self::kind_of);
        }
        if let Some(value) = fields.get("const") {
            return Self::kind_of(value);
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            if let Some(Value::Array(schemas)) = fields.get(several) {
                return either(schemas, &|one| Self::allowed(one, root, depth - 1));
            }
        }
        Self::ANY
    }

    fn named(kind: &Value) -> Self {
        match kind.as_str() {
            Some("string") => Self::STRING,
            Some("number" | "integer") => Self::NUMBER,
            Some("boolean") => Self::BOOLEAN,
            Some("null") => Self::NULL,
            Some("array") => Self::ARRAY,
            Some("object") => Self::OBJECT,
            Some(_) | None => Self::ANY,
        }
    }

    fn kind_of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a schema refers to within its root.
fn referred<'a>(fields: &Map<String, Value>, root: &'a Value) -> Option<&'a Value> {
    root.pointer(fields.get("$ref")?.as_str()?.strip_prefix('#')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_what_their_schema_allows() {
        let schema = json!({
            "properties": {
                "text": {"type": "string"}, "count": {"type": "integer"}, "maybe": {"type": ["string", "null"]},
                "one": {"enum": ["a", "b"]}, "either": {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/list"}]},
                "free": {}, "loop": {"$ref": "#/properties/loop"},
            },
            "$defs": {"list": {"type": "array"}},
        });
        for (argument, written, expected) in [
            ("text", "12", "\"12\""),
            ("text", "\"a\"", "\"\\\"a\\\"\""),
            ("count", "12", "12"),
            ("count", " 12\n", "12"),
            ("count", "True", "true"),
            ("count", "\"12\"", "\"12\""),
            ("count", "many", "\"many\""),
            ("maybe", "null", "null"),
            ("maybe", "12", "\"12\""),
            ("one", "a", "\"a\""),
            ("either", "[1, 2]", "[1, 2]"),
            ("either", "1.50", "1.50"),
            ("free", "{\"a\": 1}", "{\"a\": 1}"),
            ("free", "a b", "\"a b\""),
            ("loop", "1", "1"),
            ("unknown", "false", "false"),
        ] {
            let json = Kinds::of(&schema, argument).json(written);
            assert_eq!(json, expected, "{argument}: {written}");
        }
        assert!(Kinds::of(&schema, "text").is_string() && Kinds::of(&schema, "one").is_string());
        assert!(!Kinds::of(&schema, "maybe").is_string());
    }
}
