//! The shape of every answer.

use base::{
    EchoedPrompt, ErrorCode, Failure, FinishReason, GenerateEvent, Piece, ScoredToken, Usage,
};
use expect_test::{Expect, expect};

use crate::openai::convert::Best;
use crate::openai::custom::CallForms;

use super::{
    AnswerHead, ChatExtras, ChatStream, ChatWhole, Chunks, CompletionStream, CompletionWhole,
    Extras, Frames, Whole,
};

fn head() -> AnswerHead {
    AnswerHead {
        id: "x-1".into(),
        created: 1_700_000_000,
    }
}

fn started() -> GenerateEvent {
    GenerateEvent::Started {
        model: "acme/big".into(),
        prompt_tokens: 3,
    }
}

fn token(bytes: &[u8], logprob: Option<f32>) -> ScoredToken {
    ScoredToken {
        token: 5,
        bytes: bytes.to_vec(),
        logprob,
        top: vec![
            (5, bytes.to_vec(), -0.25),
            (6, b"x".to_vec(), f32::NEG_INFINITY),
        ],
    }
}

fn delta(text: &str, tokens: Vec<ScoredToken>) -> GenerateEvent {
    GenerateEvent::Delta {
        piece: Piece::Text(text.into()),
        tokens,
    }
}

fn finished(reason: FinishReason) -> GenerateEvent {
    GenerateEvent::Finished {
        reason,
        stop: None,
        usage: Usage {
            prompt_tokens: 3,
            completion_tokens: 2,
            ..Usage::default()
        },
    }
}

fn extras(answers: usize, logprobs: bool, include_usage: bool) -> ChatExtras {
    ChatExtras {
        answers,
        logprobs,
        include_usage,
        forms: CallForms::default(),
    }
}

#[track_caller]
fn check_stream(
    chunks: impl Chunks,
    events: Vec<Result<(usize, GenerateEvent), Failure>>,
    expected: &Expect,
) {
    let mut frames = Frames::new(chunks);
    let events = events.into_iter().map(Some).chain([None]);
    let said: Vec<String> = events
        .map_while(|event| frames.next(event))
        .flatten()
        .collect();
    expected.assert_eq(&said.join("\n"));
}

#[track_caller]
fn check_whole(mut whole: impl Whole, events: Vec<(usize, GenerateEvent)>, expected: &Expect) {
    for (index, event) in events {
        whole.hear(index, event);
    }
    expected.assert_eq(&serde_json::to_string(&whole.answer()).unwrap());
}

#[test]
fn a_chat_stream() {
    let events = vec![
        Ok((0, started())),
        Ok((0, delta("Hi", Vec::new()))),
        Ok((0, delta("", Vec::new()))),
        Ok((0, delta(" there", Vec::new()))),
        Ok((0, finished(FinishReason::Stop))),
    ];
    check_stream(
        ChatStream::new(head(), extras(1, false, false)),
        events,
        &expect![[r#"
        {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}
        {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}]}
        {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"content":" there"},"logprobs":null,"finish_reason":null}]}
        {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop"}]}
        [DONE]"#]],
    );
}

#[test]
fn a_chat_stream_with_everything() {
    let events = vec![
        Ok((0, started())),
        Ok((0, delta("", vec![token(b"\xf0\x9f", Some(-0.5))]))),
        Ok((0, finished(FinishReason::Length))),
    ];
    check_stream(
        ChatStream::new(head(), extras(1, true, true)),
        events,
        &expect![[r#"
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"content":""},"logprobs":{"content":[{"token":"\\xf0\\x9f","logprob":-0.5,"bytes":[240,159],"top_logprobs":[{"token":"\\xf0\\x9f","logprob":-0.25,"bytes":[240,159]},{"token":"x","logprob":-9999.0,"bytes":[120]}]}],"refusal":null},"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"length"}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}
            [DONE]"#]],
    );
}

#[test]
fn a_chat_stream_that_fails() {
    let failure = Failure::new(ErrorCode::WorkerLost, "a node is gone").hint("try again");
    let events = vec![Ok((0, started())), Err(failure), Ok((0, started()))];
    check_stream(
        ChatStream::new(head(), extras(1, false, true)),
        events,
        &expect![[r#"
        {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}
        {"error":{"message":"a node is gone (hint: try again)","type":"server_error","param":null,"code":"worker_lost"}}"#]],
    );
}

/// Two answers: one thinks, calls two tools and says nothing; one speaks.
fn calls() -> Vec<(usize, GenerateEvent)> {
    let piece = |piece| GenerateEvent::Delta {
        piece,
        tokens: Vec::new(),
    };
    let call = |index, name: &str| {
        piece(Piece::ToolCall {
            index,
            name: name.into(),
        })
    };
    let arguments = |index, text: &str| {
        piece(Piece::Arguments {
            index,
            text: text.into(),
        })
    };
    vec![
        (0, started()),
        (1, started()),
        (0, piece(Piece::Reasoning("hm".into()))),
        (0, call(0, "get_weather")),
        (0, arguments(0, r#"{"city":"#)),
        (1, delta("Hi", Vec::new())),
        (0, arguments(0, r#""Oslo"}"#)),
        (0, arguments(0, "")),
        (0, call(1, "now")),
        (0, arguments(1, "{}")),
        (0, finished(FinishReason::Stop)),
        (1, finished(FinishReason::Length)),
    ]
}

#[test]
fn calls_and_several_answers_in_a_stream() {
    check_stream(
        ChatStream::new(head(), extras(2, false, true)),
        calls().into_iter().map(Ok).collect(),
        &expect![[r#"
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":1,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"reasoning_content":"hm","reasoning":"hm"},"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_10000","type":"function","function":{"name":"get_weather","arguments":""}}]},"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]},"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":1,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Oslo\"}"}}]},"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_10001","type":"function","function":{"name":"now","arguments":""}}]},"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]},"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"tool_calls"}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":1,"delta":{"content":""},"logprobs":null,"finish_reason":"length"}],"usage":null}
            {"id":"x-1","object":"chat.completion.chunk","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}
            [DONE]"#]],
    );
}

#[test]
fn calls_and_several_answers_as_a_whole() {
    check_whole(
        ChatWhole::new(head(), extras(2, false, false)),
        calls(),
        &expect![[
            r#"{"id":"x-1","object":"chat.completion","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm","reasoning":"hm","tool_calls":[{"id":"call_10000","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}},{"id":"call_10001","type":"function","function":{"name":"now","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"},{"index":1,"message":{"role":"assistant","content":"Hi","refusal":null},"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}"#
        ]],
    );
}

#[test]
fn a_whole_chat_answer() {
    let events = vec![
        (0, started()),
        (0, delta("Hi", vec![token(b"Hi", Some(-0.5))])),
        (0, delta(" you", vec![token(b" you", Some(-1.5))])),
        (0, finished(FinishReason::Stop)),
    ];
    check_whole(
        ChatWhole::new(head(), extras(1, true, false)),
        events,
        &expect![[
            r#"{"id":"x-1","object":"chat.completion","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"message":{"role":"assistant","content":"Hi you","refusal":null},"logprobs":{"content":[{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[{"token":"Hi","logprob":-0.25,"bytes":[72,105]},{"token":"x","logprob":-9999.0,"bytes":[120]}]},{"token":" you","logprob":-1.5,"bytes":[32,121,111,117],"top_logprobs":[{"token":" you","logprob":-0.25,"bytes":[32,121,111,117]},{"token":"x","logprob":-9999.0,"bytes":[120]}]}],"refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}"#
        ]],
    );
    let events = vec![(0, started()), (0, finished(FinishReason::Length))];
    check_whole(
        ChatWhole::new(head(), extras(1, false, false)),
        events,
        &expect![[
            r#"{"id":"x-1","object":"chat.completion","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"index":0,"message":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}"#
        ]],
    );
}

#[test]
fn a_whole_completion_of_two_prompts() {
    let echoed = GenerateEvent::Prompt(EchoedPrompt {
        text: "é ".into(),
        tokens: vec![
            token(b"\xc3", None),
            token(b"\xa9", Some(-0.75)),
            token(b" ", Some(-2.0)),
        ],
    });
    let events = vec![
        (1, started()),
        (0, started()),
        (1, delta("two", vec![token(b"two", Some(-1.0))])),
        (0, echoed),
        (0, delta("one", vec![token(b"one", Some(-0.5))])),
        (1, finished(FinishReason::Length)),
        (0, finished(FinishReason::Stop)),
    ];
    let extras = Extras {
        choices: 2,
        answers: 1,
        logprobs: Some(2),
        include_usage: false,
        best: None,
    };
    check_whole(
        CompletionWhole::new(head(), extras),
        events,
        &expect![[
            r#"{"id":"x-1","object":"text_completion","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"text":"é one","index":0,"logprobs":{"tokens":["bytes:\\xc3","bytes:\\xa9"," ","one"],"token_logprobs":[null,-0.75,-2.0,-0.5],"top_logprobs":[null,{"bytes:\\xa9":-0.25,"x":-9999.0},{" ":-0.25,"x":-9999.0},{"one":-0.25,"x":-9999.0}],"text_offset":[0,0,1,2]},"finish_reason":"stop"},{"text":"two","index":1,"logprobs":{"tokens":["two"],"token_logprobs":[-1.0],"top_logprobs":[{"two":-0.25,"x":-9999.0}],"text_offset":[0]},"finish_reason":"length"}],"usage":{"prompt_tokens":6,"completion_tokens":4,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}"#
        ]],
    );
}

#[test]
fn the_best_of_several_completions() {
    let answer = |text: &str, logprob| delta(text, vec![token(text.as_bytes(), Some(logprob))]);
    let mut events = Vec::new();
    for (index, (text, logprob)) in [("a", -2.0), ("b", -0.5), ("c", -1.0)]
        .into_iter()
        .enumerate()
    {
        events.push((index, started()));
        events.push((index, answer(text, logprob)));
        events.push((index, finished(FinishReason::Stop)));
    }
    let extras = Extras {
        choices: 3,
        answers: 3,
        logprobs: Some(0),
        include_usage: false,
        best: Some(Best {
            given: 2,
            scored: false,
        }),
    };
    let mut whole = CompletionWhole::new(head(), extras);
    for (index, event) in events {
        whole.hear(index, event);
    }
    let given = whole.answer().choices;
    let given: Vec<_> = given
        .iter()
        .map(|choice| (choice.index, choice.text.as_str()))
        .collect();
    assert_eq!(given, [(0, "b"), (1, "c")]);
}

#[test]
fn a_completion_stream() {
    let echoed = GenerateEvent::Prompt(EchoedPrompt {
        text: "One".into(),
        tokens: vec![token(b"One", None)],
    });
    let events = vec![
        Ok((0, started())),
        Ok((0, echoed)),
        Ok((0, delta(" two", vec![token(b" two", Some(-0.5))]))),
        Ok((0, delta("", vec![token(b"!", Some(-0.5))]))),
        Ok((0, delta("!", Vec::new()))),
        Ok((0, finished(FinishReason::Length))),
    ];
    let extras = Extras {
        choices: 1,
        answers: 1,
        logprobs: Some(0),
        include_usage: true,
        best: None,
    };
    check_stream(
        CompletionStream::new(head(), extras),
        events,
        &expect![[r#"
            {"id":"x-1","object":"text_completion","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"text":"One","index":0,"logprobs":{"tokens":["One"],"token_logprobs":[null],"top_logprobs":null,"text_offset":[0]},"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"text_completion","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"text":" two","index":0,"logprobs":{"tokens":[" two"],"token_logprobs":[-0.5],"top_logprobs":null,"text_offset":[3]},"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"text_completion","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"text":"","index":0,"logprobs":{"tokens":["!"],"token_logprobs":[-0.5],"top_logprobs":null,"text_offset":[7]},"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"text_completion","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"text":"!","index":0,"logprobs":null,"finish_reason":null}],"usage":null}
            {"id":"x-1","object":"text_completion","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"length"}],"usage":null}
            {"id":"x-1","object":"text_completion","created":1700000000,"model":"acme/big","system_fingerprint":"espalier-0.1.0","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}
            [DONE]"#]],
    );
}
