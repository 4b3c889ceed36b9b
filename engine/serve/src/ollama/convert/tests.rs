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
        Work::Idle(_) => panic!("no answer"),
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
    expect![[r#"
        Asked {
            model: "sprout:latest",
            stream: true,
            work: Generate(
                Generation {
                    request: GenerateRequest {
                        id: RequestId(63cbe1e459320dd7),
                        standing: Standing {
                            client: ClientId(
                                0,
                            ),
                            priority: Usual,
                            time_limit: None,
                        },
                        model: "sprout",
                        prompt: Chat(
                            Conversation {
                                messages: [
                                    Message {
                                        role: User,
                                        content: "Hello",
                                        reasoning: "",
                                        tool_calls: [],
                                        tool_call_id: None,
                                        name: None,
                                    },
                                ],
                                tools: [],
                                tool_choice: Auto,
                                parallel_tool_calls: true,
                                effort: None,
                                must_think: false,
                            },
                        ),
                        sampling: AskedSampling {
                            temperature: None,
                            top_p: None,
                            top_k: None,
                            min_p: None,
                            seed: None,
                            drawn_seed: 309689372594955804,
                            repetition_penalty: None,
                            frequency_penalty: None,
                            presence_penalty: None,
                        },
                        max_tokens: None,
                        context_tokens: None,
                        stop: [],
                        stop_tokens: [],
                        logprobs: None,
                        echo: false,
                        ignore_eos: false,
                        grammar: None,
                        logit_bias: [],
                        keep_alive: None,
                        prediction: "",
                    },
                    truncates: true,
                    turns: None,
                },
            ),
        }
    "#]]
    .assert_debug_eq(&chat("").unwrap());
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
    assert_eq!(wanted.request.context_tokens, Some(128));
    assert!(wanted.truncates);
    expect![[r#"
        (
            AskedSampling {
                temperature: Some(
                    0.0,
                ),
                top_p: Some(
                    1.1754944e-38,
                ),
                top_k: Some(
                    40,
                ),
                min_p: Some(
                    0.05,
                ),
                seed: Some(
                    42,
                ),
                drawn_seed: 309689372594955804,
                repetition_penalty: Some(
                    1.1,
                ),
                frequency_penalty: None,
                presence_penalty: Some(
                    1.0,
                ),
            },
            Some(
                5,
            ),
            [
                "a",
                "b",
            ],
            Some(
                3,
            ),
            Some(
                JsonSchema(
                    "{\"type\":\"object\"}",
                ),
            ),
            Some(
                For(
                    600s,
                ),
            ),
        )
    "#]]
    .assert_debug_eq(&(
        &wanted.request.sampling,
        wanted.request.max_tokens,
        &wanted.request.stop,
        wanted.request.logprobs,
        &wanted.request.grammar,
        wanted.request.keep_alive,
    ));
    let effort = |fields: &str| {
        let request = self::wanted(chat(fields)).request;
        let talk = request.prompt.conversation().unwrap();
        (talk.effort, talk.must_think)
    };
    assert_eq!(effort(""), (None, false));
    assert_eq!(effort(r#", "think": null"#), (None, false));
    assert_eq!(effort(r#", "think": true"#), (Some(Effort::Medium), true));
    assert_eq!(effort(r#", "think": false"#), (Some(Effort::Off), false));
    assert_eq!(effort(r#", "think": "low""#), (Some(Effort::Low), true));
    assert!(!self::wanted(chat(r#", "truncate": false"#)).truncates);
}

#[test]
fn no_limit_is_set_by_what_is_not_positive() {
    let wanted = wanted(chat(
        r#", "options": {"num_predict": -2, "num_ctx": 0, "top_k": -1, "seed": -1}, "format": """#,
    ));
    let request = wanted.request;
    let all = GenerateRequest::TO_THE_END;
    assert_eq!(
        (request.max_tokens, request.context_tokens),
        (Some(all), None)
    );
    assert_eq!(request.sampling.seed, None);
    assert_eq!((request.sampling.top_k, request.grammar), (Some(0), None));
    // The seed that nobody chose is another for another request.
    let other = parse_chat(
        br#"{"model": "sprout", "messages": [{"role": "user", "content": "Hello"}]}"#,
        Fresh::new(8),
    );
    assert_ne!(
        self::wanted(other).request.sampling.drawn_seed,
        request.sampling.drawn_seed
    );
}

#[test]
fn a_schema_stands_for_itself() {
    let schema = r#"{"type": "object", "properties": {"a": {"type": "integer"}}}"#;
    let request = wanted(generate(&format!(r#", "format": {schema}"#))).request;
    assert_eq!(request.grammar, Some(Grammar::JsonSchema(schema.into())));
    refused(
        generate(r#", "format": "yaml""#),
        &expect![[
            r#"invalid_request | format | format must be "json" or a JSON Schema, which is an object"#
        ]],
    );
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
    expect![[r#"
        [
            Tool {
                name: "get_weather",
                description: Some(
                    "Weather",
                ),
                parameters: "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}}",
                strict: false,
            },
            Tool {
                name: "now",
                description: None,
                parameters: "{\"type\":\"object\",\"properties\":{}}",
                strict: false,
            },
        ]
    "#]].assert_debug_eq(&talk.tools);
    expect![[r#"
        [
            Message {
                role: Assistant,
                content: "",
                reasoning: "Hm.",
                tool_calls: [
                    ToolCall {
                        id: "call_2_0",
                        name: "get_weather",
                        arguments: "{\"city\": \"Paris\"}",
                    },
                    ToolCall {
                        id: "call_2_1",
                        name: "get_weather",
                        arguments: "{\"city\": \"Rome\"}",
                    },
                    ToolCall {
                        id: "mine",
                        name: "now",
                        arguments: "{}",
                    },
                ],
                tool_call_id: None,
                name: None,
            },
            Message {
                role: Tool,
                content: "21",
                reasoning: "",
                tool_calls: [],
                tool_call_id: Some(
                    "call_2_0",
                ),
                name: Some(
                    "get_weather",
                ),
            },
            Message {
                role: Tool,
                content: "noon",
                reasoning: "",
                tool_calls: [],
                tool_call_id: Some(
                    "mine",
                ),
                name: Some(
                    "now",
                ),
            },
            Message {
                role: Tool,
                content: "25",
                reasoning: "",
                tool_calls: [],
                tool_call_id: Some(
                    "call_2_1",
                ),
                name: Some(
                    "get_weather",
                ),
            },
        ]
    "#]]
    .assert_debug_eq(&&talk.messages[2..]);
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
                (Work::Idle(Idle::Load(request)), "load")
                | (Work::Idle(Idle::Unload(request)), "unload") => {
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
    expect![[r#"
        [
            Message {
                role: System,
                content: "Be brief.",
                reasoning: "",
                tool_calls: [],
                tool_call_id: None,
                name: None,
            },
            Message {
                role: User,
                content: "Hello",
                reasoning: "",
                tool_calls: [],
                tool_call_id: None,
                name: None,
            },
        ]
    "#]]
    .assert_debug_eq(&said(asked));
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
    refused(
        generate(r#", "raw": true, "system": "x""#),
        &expect![
            "invalid_request | raw | raw takes the prompt as it is: no system, template or context goes with it"
        ],
    );
}

#[test]
fn what_stands_before_a_suffix_is_filled_in() {
    let wanted = wanted(generate(r#", "suffix": "}""#));
    let infill = Prompt::Infill {
        prefix: "Hello".into(),
        suffix: "}".into(),
    };
    assert_eq!((wanted.request.prompt, wanted.turns), (infill, None));
}

#[test]
fn templates_are_jinja() {
    let jinja = "{% for m in messages %}{{ m.content }}{% endfor %}";
    let request = wanted(generate(&format!(r#", "template": "{jinja}""#))).request;
    assert!(matches!(request.prompt, Prompt::Templated { template, .. } if template == jinja));
    refused(
        generate(r#", "template": "{{ .Prompt }}""#),
        &expect![
            "invalid_request | template | template is one of Go's, and templates here are Jinja (hint: leave it out to use the model's own, which POST /api/show tells, or write it in Jinja)"
        ],
    );
}

#[test]
fn what_cannot_be_is_refused_by_its_place() {
    let images = r#"{"model": "sprout", "messages": [{"role": "user", "content": "What?", "images": ["aGk="]}]}"#;
    refused(
        parse_chat(images.as_bytes(), FRESH),
        &expect![
            "invalid_request | messages[0].images | messages[0].images cannot be had: the models here read text alone (hint: send the request without images)"
        ],
    );
    refused(
        generate(r#", "images": ["aGk="]"#),
        &expect![
            "invalid_request | images | images cannot be had: the models here read text alone (hint: send the request without images)"
        ],
    );
    refused(
        generate(r#", "context": [1, 2, 3]"#),
        &expect![
            "invalid_request | context | context is not one that this server gave (hint: send the one of an earlier answer as it came, or use /api/chat)"
        ],
    );
    refused(
        chat(r#", "options": {"temperature": 3}"#),
        &expect!["invalid_request | options.temperature | options.temperature must be from 0 to 2"],
    );
    refused(
        chat(r#", "options": {"temperature": "hot"}"#),
        &expect![
            "invalid_request | options.temperature | options.temperature: invalid type: string, expected a number"
        ],
    );
    refused(
        chat(r#", "options": {"stop": [""]}"#),
        &expect!["invalid_request | options.stop | options.stop must not have an empty string"],
    );
    refused(
        chat(r#", "top_logprobs": 21"#),
        &expect!["invalid_request | top_logprobs | top_logprobs must be from 0 to 20"],
    );
    refused(
        chat(r#", "think": "much""#),
        &expect![[
            r#"invalid_request | think | think: must be true, false, "low", "medium", "high" or "max""#
        ]],
    );
    refused(
        chat(r#", "keep_alive": "soon""#),
        &expect![[
            r#"invalid_request | keep_alive | keep_alive: must be seconds, or a duration like "5m" or "1h30m""#
        ]],
    );
    refused(
        chat(r#", "tools": [{"function": {"name": "a b"}}]"#),
        &expect![
            "invalid_request | tools[0].function.name | tools[0].function.name must be 1 to 128 letters, digits, _, - and ."
        ],
    );
    refused(
        chat(r#", "tools": [{"function": {"name": "a"}}, {"function": {"name": "a"}}]"#),
        &expect![
            "invalid_request | tools[1].function.name | tools[1].function.name is another tool's name too"
        ],
    );
    let role = br#"{"model": "sprout", "messages": [{"role": "wizard", "content": "Hello"}]}"#;
    refused(
        parse_chat(role, FRESH),
        &expect![
            "invalid_request | messages[0].role | messages[0].role must be system, user, assistant or tool"
        ],
    );
    let call = br#"{"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": []}}]}]}"#;
    refused(
        parse_chat(call, FRESH),
        &expect![
            "invalid_request | messages[0].tool_calls[0].function.arguments | messages[0].tool_calls[0].function.arguments must be an object"
        ],
    );
    refused(
        parse_chat(b"{}", FRESH),
        &expect![
            "invalid_request | model | model is required (hint: GET /api/tags lists the models there are)"
        ],
    );
    refused(
        parse_chat(b"", FRESH),
        &expect![
            "invalid_request | - | the body is not valid JSON: EOF while parsing a value at line 1 column 0"
        ],
    );
}

#[test]
fn texts_to_embed() {
    let embedded = |embed: Embed| match embed.work {
        EmbedWork::Embed(request) => Some(request),
        EmbedWork::Idle(_) => None,
    };
    let inputs = |body: &str| {
        let asked = parse_embed(body.as_bytes(), FRESH).map(embedded);
        asked.map(|request| request.map_or(0, |request| request.inputs.len()))
    };
    assert_eq!(inputs(r#"{"model": "m", "input": "a"}"#), Ok(1));
    assert_eq!(inputs(r#"{"model": "m", "input": ["a", "", "c"]}"#), Ok(3));
    assert_eq!(inputs(r#"{"model": "m", "input": ""}"#), Ok(0));
    assert_eq!(inputs(r#"{"model": "m", "input": []}"#), Ok(0));
    assert_eq!(inputs(r#"{"model": "m"}"#), Ok(0));
    refused(
        inputs(r#"{"model": "m", "input": [1]}"#),
        &expect![
            "invalid_request | input[0] | input[0]: invalid type: integer `1`, expected a string"
        ],
    );
    let asked = parse_embed(
        br#"{"model": "m:latest", "input": "a", "dimensions": 2, "truncate": false, "options": {"num_ctx": 3}}"#,
        FRESH,
    )
    .unwrap();
    assert_eq!(
        (asked.model.as_str(), asked.dimensions),
        ("m:latest", Some(2))
    );
    let request = embedded(asked).unwrap();
    assert_eq!(
        (
            request.model.as_str(),
            request.truncate,
            request.context_tokens
        ),
        ("m", false, Some(3))
    );
    let legacy = parse_embedding(br#"{"model": "m", "prompt": "a"}"#, FRESH).unwrap();
    assert_eq!(embedded(legacy).unwrap().inputs.len(), 1);
    let gone = parse_embed(br#"{"model": "m", "keep_alive": 0}"#, FRESH).unwrap();
    assert!(matches!(gone.work, EmbedWork::Idle(nothing) if matches!(*nothing, Idle::Unload(_))));
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
    expect![[r#"
        DerivedModel {
            base: "sprout",
            system: Some(
                "You are Mario.",
            ),
            template: None,
            messages: [
                Message {
                    role: User,
                    content: "Hi",
                    reasoning: "",
                    tool_calls: [],
                    tool_call_id: None,
                    name: None,
                },
            ],
            parameters: Parameters {
                temperature: Some(
                    0.5,
                ),
                top_p: None,
                top_k: None,
                min_p: None,
                repetition_penalty: None,
                frequency_penalty: None,
                presence_penalty: None,
                seed: Some(
                    3,
                ),
                max_tokens: None,
                context_tokens: Some(
                    64,
                ),
                stop: [
                    "END",
                ],
            },
            licence: Some(
                "a\nb",
            ),
        }
    "#]]
    .assert_debug_eq(&model);
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
    refused(
        parse_create(br#"{"model": "mario"}"#),
        &expect![
            "invalid_request | from | from is required (hint: name the model that it is made from; GET /api/tags lists them)"
        ],
    );
    refused(
        parse_create(br#"{"model": "mario", "files": {"a.gguf": "sha256:0"}}"#),
        &expect![
            "invalid_request | files | files cannot be had: weights are not made here (hint: put the model's folder (safetensors) among the node's models, and create from its name)"
        ],
    );
    refused(
        parse_create(br#"{"model": "mario", "from": "sprout", "quantize": "q4_K_M"}"#),
        &expect![
            "invalid_request | quantize | quantize cannot be had: weights are not made here (hint: put the model's folder (safetensors) among the node's models, and create from its name)"
        ],
    );
    refused(
        parse_create(br#"{"model": "mario", "modelfile": "FROM a\nPARAMETER temperature hot"}"#),
        &expect![
            "invalid_request | temperature | temperature: invalid type: string, expected a number"
        ],
    );
    refused(
        parse_create(br#"{"model": "mario", "modelfile": "FROM a\nMESSAGE wizard hello"}"#),
        &expect![
            "invalid_request | messages[0].role | messages[0].role must be system, user, assistant or tool"
        ],
    );
    refused(
        parse_create(br#"{"model": "mario", "from": "a", "template": "{{ .Prompt }}"}"#),
        &expect![
            "invalid_request | template | template is one of Go's, and templates here are Jinja (hint: leave it out to use the model's own, which POST /api/show tells, or write it in Jinja)"
        ],
    );
}
