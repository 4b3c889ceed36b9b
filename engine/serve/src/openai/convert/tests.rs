//! What is taken, what is refused, and in which words.

use super::{Asked, Fresh, parse_chat, parse_completion};
use base::Failure;
use expect_test::{Expect, expect};

mod malformed;
mod tools;

type Parse = fn(&[u8], Fresh) -> Result<Asked, Failure>;

const USER: &str = r#""model": "sprout", "messages": [{"role": "user", "content": "hi"}]"#;
const PROMPT: &str = r#""model": "sprout", "prompt": "Once""#;

#[track_caller]
fn check(parse: Parse, body: &str, expected: &Expect) {
    let said = match parse(body.as_bytes(), Fresh::new(7)) {
        Ok(asked) => format!("{asked:#?}"),
        Err(failure) => {
            let param = failure.param.as_deref().unwrap_or("-");
            format!("{} | {param} | {failure}", failure.code.name())
        }
    };
    expected.assert_eq(&said);
}

#[track_caller]
fn chat_with(fields: &str, expected: &Expect) {
    check(parse_chat, &format!("{{{USER}, {fields}}}"), expected);
}

#[track_caller]
fn completion_with(fields: &str, expected: &Expect) {
    check(
        parse_completion,
        &format!("{{{PROMPT}, {fields}}}"),
        expected,
    );
}

fn parsed(parse: Parse, fixed: &str, fields: &str) -> base::GenerateRequest {
    let body = format!("{{{fixed}, {fields}}}");
    let mut asked = parse(body.as_bytes(), Fresh::new(7)).unwrap();
    asked.requests.remove(0)
}

#[test]
#[expect(clippy::too_many_lines, reason = "everything is a lot")]
fn a_chat_request_with_everything() {
    let body = r#"{
        "model": "acme/big", "stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false},
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}], "name": "Ann"},
            {"role": "assistant", "content": "", "tool_calls": [], "refusal": null}
        ],
        "max_completion_tokens": 9, "max_tokens": null, "temperature": 0.5, "top_p": 0.25, "top_k": -1, "min_p": 0.1,
        "seed": -1, "stop": ["a", "b"], "stop_token_ids": [3], "logprobs": true, "top_logprobs": 20,
        "n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "tools": [], "tool_choice": "none",
        "response_format": {"type": "text"}, "modalities": ["text"], "audio": null,
        "user": "ann", "metadata": {"a": "b"}, "store": false, "something_new": [1, {"x": null}]
    }"#;
    check(
        parse_chat,
        body,
        &expect![[r#"
            Asked {
                requests: [
                    GenerateRequest {
                        id: RequestId(044c3cd7f43c661c),
                        standing: Standing {
                            client: ClientId(
                                0,
                            ),
                            priority: Usual,
                            time_limit: None,
                        },
                        model: "acme/big",
                        prompt: Chat(
                            Conversation {
                                messages: [
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
                                        content: "One\ntwo",
                                        reasoning: "",
                                        tool_calls: [],
                                        tool_call_id: None,
                                        name: Some(
                                            "Ann",
                                        ),
                                    },
                                    Message {
                                        role: Assistant,
                                        content: "",
                                        reasoning: "",
                                        tool_calls: [],
                                        tool_call_id: None,
                                        name: None,
                                    },
                                ],
                                tools: [],
                                tool_choice: None,
                                parallel_tool_calls: true,
                                effort: None,
                                must_think: false,
                            },
                        ),
                        sampling: AskedSampling {
                            temperature: Some(
                                0.5,
                            ),
                            top_p: Some(
                                0.25,
                            ),
                            top_k: Some(
                                0,
                            ),
                            min_p: Some(
                                0.1,
                            ),
                            seed: Some(
                                18446744073709551615,
                            ),
                            drawn_seed: 7191089600892374487,
                            repetition_penalty: None,
                            frequency_penalty: Some(
                                0.0,
                            ),
                            presence_penalty: Some(
                                0.0,
                            ),
                        },
                        max_tokens: Some(
                            9,
                        ),
                        context_tokens: None,
                        stop: [
                            "a",
                            "b",
                        ],
                        stop_tokens: [
                            3,
                        ],
                        logprobs: Some(
                            20,
                        ),
                        echo: false,
                        ignore_eos: false,
                        grammar: None,
                        logit_bias: [],
                        keep_alive: None,
                        prediction: "",
                    },
                ],
                answers: 1,
                stream: true,
                include_usage: true,
                forms: CallForms {
                    functions: false,
                    custom: [],
                },
                best: None,
            }"#]],
    );
}

const EVERYTHING_TO_COMPLETE: &str = r#"{"model": "sprout", "prompt": ["a"], "max_tokens": 0, "echo": true, "logprobs": 0, "temperature": 0,
        "seed": 18446744073709551615, "stop": "x", "suffix": "", "best_of": 1, "ignore_eos": true}"#;

#[test]
fn a_completion_request_with_everything() {
    check(
        parse_completion,
        EVERYTHING_TO_COMPLETE,
        &expect![[r#"
            Asked {
                requests: [
                    GenerateRequest {
                        id: RequestId(044c3cd7f43c661c),
                        standing: Standing {
                            client: ClientId(
                                0,
                            ),
                            priority: Usual,
                            time_limit: None,
                        },
                        model: "sprout",
                        prompt: Text(
                            "a",
                        ),
                        sampling: AskedSampling {
                            temperature: Some(
                                0.0,
                            ),
                            top_p: None,
                            top_k: None,
                            min_p: None,
                            seed: Some(
                                18446744073709551615,
                            ),
                            drawn_seed: 7191089600892374487,
                            repetition_penalty: None,
                            frequency_penalty: None,
                            presence_penalty: None,
                        },
                        max_tokens: Some(
                            0,
                        ),
                        context_tokens: None,
                        stop: [
                            "x",
                        ],
                        stop_tokens: [],
                        logprobs: Some(
                            0,
                        ),
                        echo: true,
                        ignore_eos: true,
                        grammar: None,
                        logit_bias: [],
                        keep_alive: None,
                        prediction: "",
                    },
                ],
                answers: 1,
                stream: false,
                include_usage: false,
                forms: CallForms {
                    functions: false,
                    custom: [],
                },
                best: None,
            }"#]],
    );
}

#[test]
fn prompts_come_in_four_shapes() {
    let prompts = |json: &str| {
        let body = format!(r#"{{"model": "m", "prompt": {json}}}"#);
        let asked = parse_completion(body.as_bytes(), Fresh::new(1)).unwrap();
        asked
            .requests
            .into_iter()
            .map(|request| format!("{:?}", request.prompt))
            .collect::<Vec<_>>()
            .join(" ")
    };
    expect![[r#"Text("a")"#]].assert_eq(&prompts(r#""a""#));
    expect![[r#"Text("a") Text("b")"#]].assert_eq(&prompts(r#"["a", "b"]"#));
    expect!["Tokens([1, 2, 4294967295])"].assert_eq(&prompts("[1, 2, 99999999999]"));
    expect!["Tokens([1]) Tokens([2, 3])"].assert_eq(&prompts("[[1], [2, 3]]"));
}

#[test]
fn what_a_request_leaves_open_is_random() {
    let seed = |fields: &str, random: u64| {
        let body = format!("{{{USER}, {fields}}}");
        let asked = parse_chat(body.as_bytes(), Fresh::new(random)).unwrap();
        asked.requests[0].sampling.or(&base::Sampling::PLAIN).seed
    };
    assert_ne!(seed(r#""seed": null"#, 1), seed(r#""seed": null"#, 2));
    assert_eq!(seed(r#""seed": 5"#, 1), 5);
    let body = br#"{"model": "m", "prompt": ["a", "b", "c"]}"#;
    let mut ids: Vec<_> = parse_completion(body, Fresh::new(3)).unwrap().requests;
    ids.dedup_by_key(|request| request.id);
    assert_eq!(ids.len(), 3);
}

#[test]
fn defaults_are_openais_and_sampling_is_the_models() {
    let chat = parsed(parse_chat, USER, r#""stop": null"#);
    assert_eq!(
        (chat.max_tokens, chat.logprobs, chat.sampling.temperature),
        (None, None, None)
    );
    let completion = parsed(parse_completion, PROMPT, r#""stop": null"#);
    assert_eq!((completion.max_tokens, completion.echo), (Some(16), false));
    assert_eq!(
        parsed(parse_chat, USER, r#""logprobs": true"#).logprobs,
        Some(0)
    );
    assert_eq!(
        parsed(parse_completion, PROMPT, r#""logprobs": 5"#).logprobs,
        Some(5)
    );
    assert_eq!(
        parsed(parse_chat, USER, r#""max_tokens": 99999999999"#).max_tokens,
        Some(u32::MAX)
    );
}

#[test]
fn what_is_missing_is_named() {
    check(
        parse_chat,
        "{}",
        &expect![
            "invalid_request | model | model is required (hint: GET /v1/models lists the models there are)"
        ],
    );
    check(
        parse_chat,
        r#"{"model": "m"}"#,
        &expect!["invalid_request | messages | messages is required"],
    );
    check(
        parse_chat,
        r#"{"model": "m", "messages": []}"#,
        &expect![
            "invalid_request | messages | messages is empty (hint: send at least one message, for example from the user)"
        ],
    );
    check(
        parse_chat,
        r#"{"model": "m", "messages": [{}]}"#,
        &expect!["invalid_request | messages[0].role | messages[0].role is required"],
    );
    check(
        parse_chat,
        r#"{"model": "m", "messages": [{"role": "user"}]}"#,
        &expect!["invalid_request | messages[0].content | messages[0].content is required"],
    );
    check(
        parse_completion,
        r#"{"model": "m"}"#,
        &expect!["invalid_request | prompt | prompt is required"],
    );
    check(
        parse_completion,
        r#"{"model": "m", "prompt": []}"#,
        &expect![
            "invalid_request | prompt | prompt is empty (hint: send a text or at least one token)"
        ],
    );
    check(
        parse_completion,
        r#"{"model": "m", "prompt": [[1], []]}"#,
        &expect![
            "invalid_request | prompt | prompt is empty (hint: send a text or at least one token)"
        ],
    );
}

#[test]
fn a_wrong_type_is_named_with_its_place() {
    check(
        parse_chat,
        r#"{"model": 7}"#,
        &expect!["invalid_request | model | model: invalid type: integer `7`, expected a string"],
    );
    check(
        parse_chat,
        r#"{"model": "m", "messages": [{"role": "user", "content": 7}]}"#,
        &expect![
            "invalid_request | messages[0].content | messages[0].content: invalid type: integer `7`, expected a string or a list of content parts"
        ],
    );
    check(
        parse_chat,
        r#"{"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": []}]}]}"#,
        &expect![
            "invalid_request | messages[0].content[0].text | messages[0].content[0].text: invalid type: sequence, expected a string"
        ],
    );
    check(
        parse_chat,
        r#"{"model": "m", "messages": {}}"#,
        &expect!["invalid_request | messages | messages: invalid type: map, expected a sequence"],
    );
    chat_with(
        r#""max_tokens": -1"#,
        &expect![
            "invalid_request | max_tokens | max_tokens: invalid type: integer `-1`, expected a whole number that is not negative"
        ],
    );
    chat_with(
        r#""max_tokens": "many""#,
        &expect![[
            r"invalid_request | max_tokens | max_tokens: invalid type: string, expected a whole number that is not negative"
        ]],
    );
    chat_with(
        r#""max_tokens": 1.5"#,
        &expect![
            "invalid_request | max_tokens | max_tokens: invalid type: floating point `1.5`, expected a whole number that is not negative"
        ],
    );
    chat_with(
        r#""temperature": "hot""#,
        &expect![[
            r"invalid_request | temperature | temperature: invalid type: string, expected a number"
        ]],
    );
    chat_with(
        r#""seed": 1.5"#,
        &expect![
            "invalid_request | seed | seed: invalid type: floating point `1.5`, expected a whole number of at most 64 bits"
        ],
    );
    chat_with(
        r#""stop": [1]"#,
        &expect![
            "invalid_request | stop[0] | stop[0]: invalid type: integer `1`, expected a string"
        ],
    );
    chat_with(
        r#""stream": "yes""#,
        &expect![[r"invalid_request | stream | stream: invalid type: string, expected a boolean"]],
    );
    check(
        parse_completion,
        r#"{"model": "m", "prompt": [1, "a"]}"#,
        &expect![[
            r"invalid_request | prompt[1] | prompt[1]: invalid type: string, expected a whole number that is not negative"
        ]],
    );
    check(
        parse_completion,
        r#"{"model": "m", "prompt": {"a": 1}}"#,
        &expect![
            "invalid_request | prompt | prompt: invalid type: map, expected a string, a list of strings, a list of token ids or a list of such lists"
        ],
    );
    check(
        parse_completion,
        r#"{"model": "m", "prompt": [-1]}"#,
        &expect![
            "invalid_request | prompt[0] | prompt[0]: invalid type: integer `-1`, expected a string, a token id or a list of token ids"
        ],
    );
    chat_with(
        r#""temperature": 1e999"#,
        &expect![
            "invalid_request | - | the body is not valid JSON: number out of range at line 1 column 89"
        ],
    );
}

#[test]
fn a_value_out_of_range_is_refused() {
    chat_with(
        r#""temperature": 9"#,
        &expect!["invalid_request | temperature | temperature must be from 0 to 2"],
    );
    chat_with(
        r#""temperature": -0.1"#,
        &expect!["invalid_request | temperature | temperature must be from 0 to 2"],
    );
    chat_with(
        r#""top_p": 0"#,
        &expect![
            "invalid_request | top_p | top_p must be more than 0 and at most 1 (hint: for the likeliest token alone set temperature to 0)"
        ],
    );
    chat_with(
        r#""top_p": 1e-60"#,
        &expect![
            "invalid_request | top_p | top_p must be more than 0 and at most 1 (hint: for the likeliest token alone set temperature to 0)"
        ],
    );
    chat_with(
        r#""top_k": 1.5"#,
        &expect![
            "invalid_request | top_k | top_k must be a whole number, 0 or -1 to keep all tokens"
        ],
    );
    chat_with(
        r#""min_p": 2"#,
        &expect!["invalid_request | min_p | min_p must be from 0 to 1"],
    );
    chat_with(
        r#""stop": [""]"#,
        &expect!["invalid_request | stop | a stop string must not be empty"],
    );
    let many = serde_json::to_string(&vec!["x"; 17]).unwrap();
    chat_with(
        &format!(r#""stop": {many}"#),
        &expect!["invalid_request | stop | stop may have at most 16 strings"],
    );
    chat_with(
        r#""max_tokens": 0"#,
        &expect!["invalid_request | max_tokens | max_tokens must be at least 1"],
    );
    chat_with(
        r#""max_tokens": 1, "max_completion_tokens": 2"#,
        &expect![
            "invalid_request | max_tokens | max_tokens and max_completion_tokens are the same setting and differ here (hint: leave out max_tokens)"
        ],
    );
    chat_with(
        r#""top_logprobs": 3"#,
        &expect![
            "invalid_request | top_logprobs | top_logprobs is only allowed when logprobs is true"
        ],
    );
    chat_with(
        r#""logprobs": true, "top_logprobs": 21"#,
        &expect!["invalid_request | top_logprobs | top_logprobs must be from 0 to 20"],
    );
    chat_with(
        r#""stream_options": {}"#,
        &expect![
            "invalid_request | stream_options | stream_options is only allowed when stream is true"
        ],
    );
    completion_with(
        r#""logprobs": 21"#,
        &expect!["invalid_request | logprobs | logprobs must be from 0 to 20"],
    );
    let prompts = serde_json::to_string(&vec!["x"; 2049]).unwrap();
    check(
        parse_completion,
        &format!(r#"{{"model": "m", "prompt": {prompts}}}"#),
        &expect!["invalid_request | prompt | prompt: at most 2048 texts are allowed"],
    );
}

#[test]
fn what_would_have_to_be_ignored_is_refused() {
    let mut said = Vec::new();
    for field in [
        r#""functions": [{}]"#,
        r#""function_call": {"name": "x"}"#,
        r#""tools": [{"type": "local_shell"}]"#,
        r#""response_format": {"type": "xml"}"#,
        r#""modalities": ["text", "audio"]"#,
        r#""audio": {"voice": "x"}"#,
        r#""web_search_options": {}"#,
    ] {
        let failure =
            parse_chat(format!("{{{USER}, {field}}}").as_bytes(), Fresh::new(1)).unwrap_err();
        said.push(failure.to_string());
    }
    for field in [
        r#""suffix": "end", "echo": true"#,
        r#""suffix": "end", "prompt": [1, 2]"#,
        r#""best_of": 2, "stream": true"#,
        r#""best_of": 2, "n": 3"#,
    ] {
        let prompt = if field.contains("prompt") {
            r#""model": "m""#
        } else {
            PROMPT
        };
        let body = format!("{{{prompt}, {field}}}");
        let failure = parse_completion(body.as_bytes(), Fresh::new(1)).unwrap_err();
        said.push(failure.to_string());
    }
    for message in [
        r#"{"role": "robot", "content": "7"}"#,
        r#"{"role": "assistant", "function_call": {"arguments": ""}}"#,
        r#"{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}"#,
        r#"{"role": "user", "content": [{"type": "input_audio"}]}"#,
        r#"{"role": "user", "content": [{"type": "file"}]}"#,
        r#"{"role": "user", "content": [{"type": "video"}]}"#,
    ] {
        let body = format!(r#"{{"model": "m", "messages": [{message}]}}"#);
        let failure = parse_chat(body.as_bytes(), Fresh::new(1)).unwrap_err();
        said.push(failure.to_string());
    }
    expect![[r"
        functions[0].name is required
        tool_choice names x, and tools has no such one
        tools of the type local_shell are not supported (hint: leave out tools[0].type)
        answers of the type xml are not supported (hint: leave out response_format)
        anything but text is not supported (hint: leave out modalities)
        spoken answers are not supported (hint: leave out audio)
        searching the web is not supported (hint: leave out web_search_options)
        echo cannot be used together with suffix
        with a suffix, prompt must be text
        which answer is the best is known when all are whole (hint: leave out stream or best_of)
        best_of must be from n, which is 3, to 32
        messages[0].role must be system, developer, user, assistant or tool
        messages[0].function_call.name is required
        images are not supported (hint: leave out messages[0].content[0])
        audio is not supported (hint: leave out messages[0].content[0])
        files are not supported (hint: leave out messages[0].content[0])
        content other than text is not supported (hint: leave out messages[0].content[0])"]]
    .assert_eq(&said.join("\n"));
}

#[test]
fn text_before_a_suffix_and_the_best_of_several() {
    let asked = format!("{{{PROMPT}, \"suffix\": \"end\", \"best_of\": 3, \"n\": 2}}");
    let asked = parse_completion(asked.as_bytes(), Fresh::new(1)).unwrap();
    assert_eq!((asked.requests.len(), asked.answers), (3, 3));
    let best = asked.best.unwrap();
    assert_eq!((best.given, best.scored), (2, false));
    let request = &asked.requests[0];
    assert_eq!(request.logprobs, Some(0));
    let infill = base::Prompt::Infill {
        prefix: "Once".into(),
        suffix: "end".into(),
    };
    assert_eq!(request.prompt, infill);
}

#[test]
fn a_huge_name_is_not_multiplied() {
    let model = "m".repeat(5000);
    let prompts = serde_json::to_string(&vec!["x"; 1000]).unwrap();
    let body = format!(r#"{{"model": "{model}", "prompt": {prompts}}}"#);
    check(
        parse_completion,
        &body,
        &expect!["invalid_request | model | model may have at most 4096 bytes"],
    );
}

#[test]
fn a_prediction_is_a_text_or_its_parts() {
    let predicted = |json: &str| {
        let fields = format!(r#""prediction": {json}"#);
        parsed(parse_chat, USER, &fields).prediction
    };
    assert_eq!(predicted("null"), "");
    let whole = r#"{"type": "content", "content": "fn main() {}"}"#;
    assert_eq!(predicted(whole), "fn main() {}");
    let cut = r#"{"type": "content", "content": [{"type": "text", "text": "fn ma"}, {"type": "text", "text": "in() {}"}]}"#;
    assert_eq!(predicted(cut), "fn main() {}");
}

#[test]
fn a_prediction_of_something_else_is_refused() {
    let mut said = String::new();
    for json in [
        r#"{"content": "a"}"#,
        r#"{"type": "audio", "content": "a"}"#,
        r#"{"type": "content"}"#,
        r#"{"type": "content", "content": [{"type": "image_url"}]}"#,
        r#""a""#,
    ] {
        let body = format!(r#"{{{USER}, "prediction": {json}}}"#);
        let failure = parse_chat(body.as_bytes(), Fresh::new(7)).unwrap_err();
        let param = failure.param.as_deref().unwrap_or("-");
        said.extend([param, " | ", &failure.to_string(), "\n"]);
    }
    expect![[r"
        prediction.type | prediction.type is required
        prediction.type | prediction.type must be content
        prediction.content | prediction.content is required
        prediction.content[0] | images are not supported (hint: leave out prediction.content[0])
        prediction | prediction: invalid type: string, expected an object
    "]]
    .assert_eq(&said);
}
