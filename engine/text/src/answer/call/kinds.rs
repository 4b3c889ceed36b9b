//! What an argument may be by the schema of its tool, for formats that write arguments without JSON's quotes.

use serde_json::{Map, Value};

/// How deep references and alternatives are followed.
const DEPTH_MAX: u32 = 8;

/// Which kinds of JSON values are allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds {
    string: bool,
    number: bool,
    boolean: bool,
    null: bool,
    array: bool,
    object: bool,
}

impl Kinds {
    const ANY: Self = Self {
        string: true,
        number: true,
        boolean: true,
        null: true,
        array: true,
        object: true,
    };

    /// Text and nothing else.
    pub const STRING: Self = Self {
        string: true,
        number: false,
        boolean: false,
        null: false,
        array: false,
        object: false,
    };

    /// Anything but text.
    pub const NOT_STRING: Self = Self {
        string: false,
        ..Self::ANY
    };

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
        self.string
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
            Ok(value) if self.allows(&value) || (!self.string && !value.is_string()) => {
                bare.to_owned()
            }
            Ok(_) | Err(_) => text(),
        }
    }

    fn allows(self, value: &Value) -> bool {
        match value {
            Value::Null => self.null,
            Value::Bool(_) => self.boolean,
            Value::Number(_) => self.number,
            // Its quotes are a part of the text where text may stand without.
            Value::String(_) => !self.string,
            Value::Array(_) => self.array,
            Value::Object(_) => self.object,
        }
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
        let mut kinds = Self::default();
        match kind.as_str() {
            Some("string") => kinds.string = true,
            Some("number" | "integer") => kinds.number = true,
            Some("boolean") => kinds.boolean = true,
            Some("null") => kinds.null = true,
            Some("array") => kinds.array = true,
            Some("object") => kinds.object = true,
            Some(_) | None => return Self::ANY,
        }
        kinds
    }

    fn kind_of(value: &Value) -> Self {
        let mut kinds = Self::default();
        match value {
            Value::Null => kinds.null = true,
            Value::Bool(_) => kinds.boolean = true,
            Value::Number(_) => kinds.number = true,
            Value::String(_) => kinds.string = true,
            Value::Array(_) => kinds.array = true,
            Value::Object(_) => kinds.object = true,
        }
        kinds
    }

    fn or(self, other: Self) -> Self {
        Self {
            string: self.string || other.string,
            number: self.number || other.number,
            boolean: self.boolean || other.boolean,
            null: self.null || other.null,
            array: self.array || other.array,
            object: self.object || other.object,
        }
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
