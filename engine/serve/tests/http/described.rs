//! Holds what is said to the server, and what it says, against its own `OpenAPI` document. Every request of these tests
//! comes by here, so what the document says wrongly fails the test that shows it.

use serde_json::{Map, Value, json};

use crate::client::Answer;

/// What one path is described as.
struct Route<'a> {
    document: &'a Value,
    methods: &'a Map<String, Value>,
}

/// Panics if a request that was answered well, or any answer, is not as it is described.
#[track_caller]
pub fn check(document: &Value, method: &str, path: &str, body: &[u8], answer: &Answer) {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let place = format!("{method} {path} {}", answer.status);
    let Some(route) = Route::find(document, path) else {
        let refused = [401, 403, 404, 429].contains(&answer.status);
        return assert!(refused, "{place}: the path is not described");
    };
    let method = method.to_lowercase();
    // What is got may be asked for its head alone.
    let described = route.methods.get(&method);
    let described = described.or_else(|| route.methods.get("get").filter(|_| method == "head"));
    let Some(operation) = described else {
        // A page asks first whether it may.
        let refused = [204, 401, 403, 404, 405].contains(&answer.status);
        return assert!(refused, "{place}: the method is not described");
    };
    if (200..300).contains(&answer.status)
        && let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema")
    {
        let said = serde_json::from_slice(body).unwrap();
        route.hold(&said, schema, false, &format!("{place}, the request"));
    }
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{place}: the status is not described");
    if method != "head" {
        route.check_answer(response, answer, &place);
    }
}

impl<'a> Route<'a> {
    /// The route of a path. Parameters take what stands in their place; if no route fits so, the last one has slashes.
    fn find(document: &'a Value, path: &str) -> Option<Self> {
        let paths = document["paths"].as_object().unwrap();
        let item = paths.get(path).or_else(|| {
            let of = |slashes: bool| {
                let mut templates = paths.iter();
                let found = templates.find(|(template, _)| fits(template, path, slashes));
                found.map(|(_, item)| item)
            };
            of(false).or_else(|| of(true))
        });
        let methods = item?.as_object()?;
        Some(Self { document, methods })
    }

    #[track_caller]
    fn check_answer(&self, response: &Value, answer: &Answer, place: &str) {
        let text = answer.text();
        let Some(content) = response.get("content") else {
            return assert_eq!(text, "", "{place}: it has a body");
        };
        let label = answer.header("content-type").unwrap_or("");
        let kind = label.split(';').next().unwrap();
        let any = content.get("*/*");
        let schema = &content.get(kind).or(any).unwrap_or_else(|| {
            panic!("{place}: {kind} is not described");
        })["schema"];
        let read = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        match kind {
            "application/json" if any.is_none() => self.hold(&read(&text), schema, true, place),
            "application/x-ndjson" => {
                for line in text.lines() {
                    self.hold(&read(line), schema, true, place);
                }
            }
            "text/event-stream" => {
                for event in text.split("\n\n").filter(|event| !event.is_empty()) {
                    self.check_event(event, schema, place);
                }
            }
            _ => {}
        }
    }

    /// An event is an object of its lines; its data is a text that is described by what it contains.
    #[track_caller]
    fn check_event(&self, event: &str, schema: &Value, place: &str) {
        let lines = event.lines().filter_map(|line| line.split_once(": "));
        let lines = lines.filter(|(name, _)| !name.is_empty());
        let fields: Map<String, Value> = lines
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect();
        let Some(data) = fields
            .get("data")
            .and_then(Value::as_str)
            .map(str::to_owned)
        else {
            return assert!(fields.is_empty(), "{place}: {event}");
        };
        self.hold(&fields.into(), schema, true, place);
        let pointer = schema["$ref"].as_str().unwrap();
        let schema = self.document.pointer(&pointer[1..]).unwrap();
        let shown = &schema["properties"]["data"];
        let shapes = shown["anyOf"].as_array();
        let shapes = shapes.map_or(std::slice::from_ref(shown), Vec::as_slice);
        let is_end = |shape: &&Value| shape["enum"].as_array().is_some_and(|end| end[0] == *data);
        if shapes.iter().any(|shape| is_end(&shape)) {
            return;
        }
        let json = shapes.iter().find_map(|shape| shape.get("contentSchema"));
        let data = serde_json::from_str(&data).unwrap();
        self.hold(&data, json.unwrap(), true, place);
    }

    /// A value is as a schema says; of an answer nothing may be left unsaid either.
    #[track_caller]
    fn hold(&self, value: &Value, schema: &Value, whole: bool, place: &str) {
        let mut schema = schema.clone();
        if whole && schema.get("$ref").is_some() {
            schema["unevaluatedProperties"] = json!(false);
        }
        schema["components"] = self.document["components"].clone();
        schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        let judge = jsonschema::validator_for(&schema).unwrap();
        let wrong: Vec<String> = judge
            .iter_errors(value)
            .map(|error| format!("{error:?}"))
            .collect();
        assert!(
            wrong.is_empty(),
            "{place}: {value} is not as described: {wrong:#?}"
        );
    }
}

/// Whether a path is one of a template's; `slashes` if its last parameter may have some.
fn fits(template: &str, path: &str, slashes: bool) -> bool {
    let parts: Vec<&str> = template.split('/').collect();
    let said = path.splitn(if slashes { parts.len() } else { usize::MAX }, '/');
    let said: Vec<&str> = said.collect();
    let one = |(part, said): (&&str, &&str)| part == said || part.starts_with('{');
    parts.len() == said.len() && parts.iter().zip(&said).all(one)
}
