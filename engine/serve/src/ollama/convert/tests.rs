//! Every field, and what is wrong with it.

use base::{Effort, Message, Role};
use expect_test::{Expect, expect};

use super::*;

const FRESH: Fresh = Fresh::new(7);

fn chat(fields: &str) -> Result<Asked, Failure> {
    let body = format!(
        r#"{{"model": "sprout:latest", "messages": [{{"role": "user", "content": "Hello"}}]{fields}}}"#
    );
    parse_chat(body.as_bytes(), FRESH)
}

fn generate(fields: &str) -> Result<Asked, Failure> {
    let body = format!(r#"{{"model": "sprout", "prompt": "Hello"{fields}}}"#);
    parse_generate(body.as_bytes(), FRESH)
}

fn wanted(asked: Result<Asked, Failure>) -> Generation {
    match asked.unwrap().work {
        Work::Generate(wanted) => wanted,
        Work::Load(_) | Work::Unload(_) => panic!("no answer"),
    }
}

fn said(asked: Result<Asked, Failure>) -> Vec<Message> {
    let request = wanted(asked).request;
    request.prompt.conversation().unwrap().messages.clone()
}

/// Checks the place and the words of a refusal.
#[track_caller]
fn refused<T: std::fmt::Debug>(said: Result<T, Failure>, expected: &Expect) {
    let failure = said.unwrap_err();
    let param = failure.param.as_deref().unwrap_or("-");
    expected.assert_eq(&format!("{} | {param} | {failure}", failure.code.name()));
}

#[test]
fn a_plain_chat() {
    expect![[]].assert_debug_eq(&chat("").unwrap());
}

#[test]
fn options_and_what_else_shapes_an_answer() {
    let asked = chat(
        r#", "stream": false, "think": "high", "keep_alive": "10m", "logprobs": true, "top_logprobs": 3, "format": "json",
        "truncate": true, "shift": true, "tools": null,
        "options": {"temperature": 0, "top_k": 40, "top_p": 0, "min_p": 0.05, "seed": 42, "num_predict": 5.0, "num_ctx": 128,
            "stop": ["a", "b"], "repeat_penalty": 1.1, "presence_penalty": 1, "frequency_penalty": null, "mirostat": 2,
            "num_gpu": -1, "use_mmap": true}"#,
    );
    assert!(!asked.as_ref().unwrap().stream);
    let wanted = wanted(asked);
    assert_eq!(wanted.context_tokens, Some(128));
    expect![[]].assert_debug_eq(&(
        &wanted.request.sampling,
        wanted.request.max_tokens,
        &wanted.request.stop,
        wanted.request.logprobs,
        &wanted.request.grammar,
        wanted.request.keep_alive,
    ));
    let effort = |fields: &str| {
        let request = self::wanted(chat(fields)).request;
        request.prompt.conversation().unwrap().effort
    };
    assert_eq!(effort(""), None);
    assert_eq!(effort(r#", "think": null"#), None);
    assert_eq!(effort(r#", "think": true"#), Some(Effort::Medium));
    assert_eq!(effort(r#", "think": false"#), Some(Effort::Off));
    assert_eq!(effort(r#", "think": "low""#), Some(Effort::Low));
}

#[test]
fn no_limit_is_set_by_what_is_not_positive() {
    let wanted = wanted(chat(
        r#", "options": {"num_predict": -2, "num_ctx": 0, "top_k": -1, "seed": -1}, "format": """#,
    ));
    let request = wanted.request;
    assert_eq!((request.max_tokens, wanted.context_tokens), (None, None));
    assert_eq!((request.sampling.top_k, request.grammar), (Some(0), None));
    // The seed that nobody chose is another for another request.
    let other = parse_chat(
        br#"{"model": "sprout", "messages": [{"role": "user", "content": "Hello"}]}"#,
        Fresh::new(8),
    );
    assert_ne!(
        self::wanted(other).request.sampling.seed,
        request.sampling.seed
    );
}

#[test]
fn a_schema_stands_for_itself() {
    let schema = r#"{"type": "object", "properties": {"a": {"type": "integer"}}}"#;
    let request = wanted(generate(&format!(r#", "format": {schema}"#))).request;
    assert_eq!(request.grammar, Some(Grammar::JsonSchema(schema.into())));
    refused(generate(r#", "format": "yaml""#), &expect![[]]);
}

#[test]
fn tools_calls_and_their_results() {
    let body = r#"{"model": "sprout", "tools": [
            {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters":
                {"type": "object", "properties": {"city": {"type": "string"}}}}},
            {"function": {"name": "now"}}],
        "messages": [
            {"role": "System", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [
                {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}},
                {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}},
                {"id": "mine", "function": {"index": 2, "name": "now", "arguments": "{}"}}]},
            {"role": "tool", "tool_name": "get_weather", "content": "21"},
            {"role": "tool", "tool_call_id": "mine", "content": "noon"},
            {"role": "tool", "content": "25"}]}"#;
    let request = wanted(parse_chat(body.as_bytes(), FRESH)).request;
    let talk = request.prompt.conversation().unwrap();
    expect![[]].assert_debug_eq(&talk.tools);
    expect![[]].assert_debug_eq(&&talk.messages[2..]);
}

#[test]
fn without_a_prompt_the_model_is_loaded_or_unloaded() {
    for (fields, kind) in [
        ("", "load"),
        (r#", "keep_alive": -1"#, "load"),
        (r#", "keep_alive": 0"#, "unload"),
    ] {
        for asked in [
            parse_chat(
                format!(r#"{{"model": "sprout"{fields}}}"#).as_bytes(),
                FRESH,
            ),
            parse_chat(
                format!(r#"{{"model": "sprout", "messages": []{fields}}}"#).as_bytes(),
                FRESH,
            ),
            parse_generate(
                format!(r#"{{"model": "sprout"{fields}}}"#).as_bytes(),
                FRESH,
            ),
            parse_generate(
                format!(r#"{{"model": "sprout", "prompt": ""{fields}}}"#).as_bytes(),
                FRESH,
            ),
        ] {
            match (asked.unwrap().work, kind) {
                (Work::Load(request), "load") | (Work::Unload(request), "unload") => {
                    assert_eq!(request.max_tokens, Some(0));
                }
                (work, _) => panic!("{fields}: {work:?}"),
            }
        }
    }
}

#[test]
fn one_question_is_a_conversation() {
    let asked = generate(r#", "system": "Be brief.", "think": false"#);
    let turns = wanted(asked.clone()).turns.unwrap();
    expect![[]].assert_debug_eq(&said(asked));
    let context = encode_context(&turns);
    let next = said(generate(&format!(r#", "context": {context:?}"#)));
    assert_eq!(next.len(), 3);
    assert_eq!(next[0].role, Role::System);
    let told_anew = said(generate(&format!(
        r#", "context": {context:?}, "system": "Be long.""#
    )));
    assert_eq!(told_anew[0].content, "Be long.");
    assert_eq!(told_anew.len(), 3);
}

#[test]
fn raw_text_is_taken_as_it_is() {
    let wanted = wanted(generate(r#", "raw": true, "suffix": """#));
    assert_eq!(wanted.request.prompt, Prompt::Text("Hello".into()));
    assert_eq!(wanted.turns, None);
    refused(generate(r#", "raw": true, "system": "x""#), &expect![[]]);
}

#[test]
fn templates_are_jinja() {
    let jinja = "{% for m in messages %}{{ m.content }}{% endfor %}";
    let request = wanted(generate(&format!(r#", "template": "{jinja}""#))).request;
    assert!(matches!(request.prompt, Prompt::Templated { template, .. } if template == jinja));
    refused(generate(r#", "template": "{{ .Prompt }}""#), &expect![[]]);
}

#[test]
fn what_cannot_be_is_refused_by_its_place() {
    let images = r#"{"model": "sprout", "messages": [{"role": "user", "content": "What?", "images": ["aGk="]}]}"#;
    refused(parse_chat(images.as_bytes(), FRESH), &expect![[]]);
    refused(generate(r#", "images": ["aGk="]"#), &expect![[]]);
    refused(generate(r#", "suffix": "}""#), &expect![[]]);
    refused(generate(r#", "context": [1, 2, 3]"#), &expect![[]]);
    refused(chat(r#", "options": {"temperature": 3}"#), &expect![[]]);
    refused(chat(r#", "options": {"temperature": "hot"}"#), &expect![[]]);
    refused(chat(r#", "options": {"stop": [""]}"#), &expect![[]]);
    refused(chat(r#", "top_logprobs": 21"#), &expect![[]]);
    refused(chat(r#", "think": "much""#), &expect![[]]);
    refused(chat(r#", "keep_alive": "soon""#), &expect![[]]);
    refused(
        chat(r#", "tools": [{"function": {"name": "a b"}}]"#),
        &expect![[]],
    );
    refused(
        chat(r#", "tools": [{"function": {"name": "a"}}, {"function": {"name": "a"}}]"#),
        &expect![[]],
    );
    let role = br#"{"model": "sprout", "messages": [{"role": "wizard", "content": "Hello"}]}"#;
    refused(parse_chat(role, FRESH), &expect![[]]);
    let call = br#"{"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": []}}]}]}"#;
    refused(parse_chat(call, FRESH), &expect![[]]);
    refused(parse_chat(b"{}", FRESH), &expect![[]]);
    refused(parse_chat(b"", FRESH), &expect![[]]);
}

#[test]
fn texts_to_embed() {
    let inputs =
        |body: &str| parse_embed(body.as_bytes(), FRESH).map(|embed| embed.request.inputs.len());
    assert_eq!(inputs(r#"{"model": "m", "input": "a"}"#), Ok(1));
    assert_eq!(inputs(r#"{"model": "m", "input": ["a", "", "c"]}"#), Ok(3));
    assert_eq!(inputs(r#"{"model": "m", "input": ""}"#), Ok(0));
    assert_eq!(inputs(r#"{"model": "m", "input": []}"#), Ok(0));
    assert_eq!(inputs(r#"{"model": "m"}"#), Ok(0));
    refused(inputs(r#"{"model": "m", "input": [1]}"#), &expect![[]]);
    let asked = parse_embed(
        br#"{"model": "m:latest", "input": "a", "dimensions": 2, "truncate": false}"#,
        FRESH,
    )
    .unwrap();
    assert_eq!((asked.dimensions, asked.request.truncate), (Some(2), false));
    assert_eq!(
        (asked.model.as_str(), asked.request.model.as_str()),
        ("m:latest", "m")
    );
    let legacy = parse_embedding(br#"{"model": "m", "prompt": "a"}"#, FRESH).unwrap();
    assert_eq!(legacy.request.inputs.len(), 1);
}

#[test]
fn a_model_is_made_from_fields_and_from_a_modelfile() {
    let by_fields = parse_create(
        br#"{"model": "mario:latest", "from": "sprout:latest", "system": "You are Mario.", "license": ["a", "b"],
            "parameters": {"temperature": 0.5, "stop": ["END"], "num_ctx": 64, "seed": 3},
            "messages": [{"role": "user", "content": "Hi"}]}"#,
    )
    .unwrap();
    let by_text = parse_create(
        br#"{"name": "mario", "modelfile": "FROM sprout\nSYSTEM You are Mario.\nLICENSE a\nLICENSE b\nPARAMETER temperature 0.5\nPARAMETER stop END\nPARAMETER num_ctx 64\nPARAMETER seed 3\nMESSAGE user Hi\n"}"#,
    )
    .unwrap();
    assert_eq!(by_fields, by_text);
    let model = by_fields.model("sprout".into(), None);
    expect![[]].assert_debug_eq(&model);
    let child = parse_create(
        br#"{"model": "luigi", "from": "mario", "parameters": {"top_k": 3}, "stream": false}"#,
    );
    let child = child.unwrap();
    assert!(!child.stream);
    let child = child.model("sprout".into(), Some(model.clone()));
    assert_eq!(
        (child.system, child.messages),
        (model.system, model.messages)
    );
    assert_eq!(
        (child.parameters.top_k, child.parameters.seed),
        (Some(3), Some(3))
    );
}

#[test]
fn models_that_cannot_be_made() {
    refused(parse_create(br#"{"model": "mario"}"#), &expect![[]]);
    refused(
        parse_create(br#"{"model": "mario", "files": {"a.gguf": "sha256:0"}}"#),
        &expect![[]],
    );
    refused(
        parse_create(br#"{"model": "mario", "from": "sprout", "quantize": "q4_K_M"}"#),
        &expect![[]],
    );
    refused(
        parse_create(br#"{"model": "mario", "modelfile": "FROM a\nPARAMETER temperature hot"}"#),
        &expect![[]],
    );
    refused(
        parse_create(br#"{"model": "mario", "modelfile": "FROM a\nMESSAGE wizard hello"}"#),
        &expect![[]],
    );
    refused(
        parse_create(br#"{"model": "mario", "from": "a", "template": "{{ .Prompt }}"}"#),
        &expect![[]],
    );
}
