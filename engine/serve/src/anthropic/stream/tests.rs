//! The shape of every answer.

use base::{ErrorCode, Failure, FinishReason, GenerateEvent, Piece, RequestId, Usage};
use expect_test::{Expect, expect};

use super::{AnswerHead, Frames, Whole};

const HEAD: AnswerHead = AnswerHead {
    id: RequestId(0x1234_5678_9abc_def0),
    to_the_end_of_context: false,
    omits_thoughts: false,
};

fn started() -> GenerateEvent {
    GenerateEvent::Started {
        model: "acme/big".into(),
        prompt_tokens: 30,
    }
}

fn delta(piece: Piece) -> GenerateEvent {
    GenerateEvent::Delta {
        piece,
        tokens: Vec::new(),
    }
}

fn text(text: &str) -> GenerateEvent {
    delta(Piece::Text(text.into()))
}

fn thought(text: &str) -> GenerateEvent {
    delta(Piece::Reasoning(text.into()))
}

fn call(index: u32, name: &str) -> GenerateEvent {
    let name = name.into();
    delta(Piece::ToolCall { index, name })
}

fn arguments(index: u32, text: &str) -> GenerateEvent {
    let text = text.into();
    delta(Piece::Arguments { index, text })
}

fn finished(reason: FinishReason, stop: Option<&str>) -> GenerateEvent {
    GenerateEvent::Finished {
        reason,
        stop: stop.map(str::to_string),
        usage: Usage {
            prompt_tokens: 30,
            cached_tokens: 20,
            completion_tokens: 7,
            reasoning_tokens: 2,
            ..Usage::default()
        },
    }
}

fn spoken() -> Vec<GenerateEvent> {
    vec![
        started(),
        text(""),
        text("Hi"),
        text(""),
        text(" there"),
        finished(FinishReason::Stop, None),
    ]
}

fn with_everything() -> Vec<GenerateEvent> {
    vec![
        started(),
        thought("\n"),
        thought("Hm"),
        thought("m."),
        text("\n\n"),
        text("I look."),
        text("\n"),
        call(0, "get_weather"),
        arguments(0, ""),
        arguments(0, "{\"z\": \"Par"),
        arguments(0, "is\", \"a\": 1}"),
        text("\n"),
        call(1, "get_time"),
        arguments(1, "{}"),
        finished(FinishReason::Stop, None),
    ]
}

#[track_caller]
fn check_stream(
    head: AnswerHead,
    events: impl IntoIterator<Item = Result<GenerateEvent, Failure>>,
    expected: &Expect,
) {
    let mut frames = Frames::new(head);
    let said: Vec<String> = events
        .into_iter()
        .map_while(|event| frames.next(event))
        .flatten()
        .map(|frame| format!("{}: {}", frame.event, frame.data))
        .collect();
    expected.assert_eq(&said.join("\n"));
}

#[track_caller]
fn check_whole(head: AnswerHead, events: Vec<GenerateEvent>, expected: &Expect) {
    let mut whole = Whole::new(head);
    for event in events {
        whole.hear(event);
    }
    expected.assert_eq(&serde_json::to_string(&whole.answer()).unwrap());
}

#[test]
fn a_stream() {
    check_stream(
        HEAD,
        spoken().into_iter().map(Ok),
        &expect![[r#"
            message_start: {"type":"message_start","message":{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":30,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
            ping: {"type":"ping"}
            content_block_start: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
            content_block_delta: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}
            content_block_delta: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" there"}}
            content_block_stop: {"type":"content_block_stop","index":0}
            message_delta: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}
            message_stop: {"type":"message_stop"}"#]],
    );
}

#[test]
fn a_stream_with_everything() {
    check_stream(
        HEAD,
        with_everything().into_iter().map(Ok),
        &expect![[r#"
            message_start: {"type":"message_start","message":{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":30,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
            ping: {"type":"ping"}
            content_block_start: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
            content_block_delta: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"\nHm"}}
            content_block_delta: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"m."}}
            content_block_delta: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"espalier"}}
            content_block_stop: {"type":"content_block_stop","index":0}
            content_block_start: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}
            content_block_delta: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"\n\nI look."}}
            content_block_delta: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"\n"}}
            content_block_stop: {"type":"content_block_stop","index":1}
            content_block_start: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_123456789abcdef00000","name":"get_weather","input":{}}}
            content_block_delta: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"z\": \"Par"}}
            content_block_delta: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"is\", \"a\": 1}"}}
            content_block_stop: {"type":"content_block_stop","index":2}
            content_block_start: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_123456789abcdef00001","name":"get_time","input":{}}}
            content_block_delta: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{}"}}
            content_block_stop: {"type":"content_block_stop","index":3}
            message_delta: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}
            message_stop: {"type":"message_stop"}"#]],
    );
}

#[test]
fn a_stream_that_fails() {
    let failure = Failure::new(ErrorCode::WorkerLost, "a node is gone").hint("try again");
    let events = [Ok(started()), Ok(text("Hi")), Err(failure), Ok(text("!"))];
    check_stream(
        HEAD,
        events,
        &expect![[r#"
            message_start: {"type":"message_start","message":{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":30,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
            ping: {"type":"ping"}
            content_block_start: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
            content_block_delta: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}
            error: {"type":"error","error":{"type":"api_error","message":"a node is gone (hint: try again)"}}"#]],
    );
}

#[test]
fn whole_answers() {
    check_whole(
        HEAD,
        spoken(),
        &expect![[
            r#"{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[{"type":"text","text":"Hi there"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}"#
        ]],
    );
    check_whole(
        HEAD,
        with_everything(),
        &expect![[
            r#"{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[{"type":"thinking","thinking":"\nHmm.","signature":"espalier"},{"type":"text","text":"\n\nI look.\n"},{"type":"tool_use","id":"toolu_123456789abcdef00000","name":"get_weather","input":{"z": "Paris", "a": 1}},{"type":"tool_use","id":"toolu_123456789abcdef00001","name":"get_time","input":{}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}"#
        ]],
    );
}

#[test]
fn every_end_has_its_reason() {
    let end = |reason, stop| vec![started(), text("1 2"), finished(reason, stop)];
    check_whole(
        HEAD,
        end(FinishReason::Stop, Some(" 3")),
        &expect![[
            r#"{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[{"type":"text","text":"1 2"}],"stop_reason":"stop_sequence","stop_sequence":" 3","usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}"#
        ]],
    );
    check_whole(
        HEAD,
        end(FinishReason::Length, None),
        &expect![[
            r#"{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[{"type":"text","text":"1 2"}],"stop_reason":"max_tokens","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}"#
        ]],
    );
    let head = AnswerHead {
        to_the_end_of_context: true,
        ..HEAD
    };
    check_whole(
        head,
        end(FinishReason::Length, None),
        &expect![[
            r#"{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[{"type":"text","text":"1 2"}],"stop_reason":"model_context_window_exceeded","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}"#
        ]],
    );
    check_whole(
        head,
        end(FinishReason::Stop, None),
        &expect![[
            r#"{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[{"type":"text","text":"1 2"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}"#
        ]],
    );
}

#[test]
fn a_call_that_was_cut_off_has_no_arguments() {
    let events = vec![
        started(),
        call(0, "get_weather"),
        arguments(0, "{\"z\": \"Par"),
        finished(FinishReason::Length, None),
    ];
    check_whole(
        HEAD,
        events,
        &expect![[
            r#"{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[{"type":"tool_use","id":"toolu_123456789abcdef00000","name":"get_weather","input":{}}],"stop_reason":"max_tokens","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}"#
        ]],
    );
}

#[test]
fn thoughts_that_are_not_shown_leave_their_block() {
    let head = AnswerHead {
        omits_thoughts: true,
        ..HEAD
    };
    let events = || {
        vec![
            started(),
            thought("Hm"),
            thought("m."),
            text("Hi"),
            finished(FinishReason::Stop, None),
        ]
    };
    check_whole(
        head,
        events(),
        &expect![[
            r#"{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[{"type":"thinking","thinking":"","signature":"espalier"},{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}"#
        ]],
    );
    check_stream(
        head,
        events().into_iter().map(Ok),
        &expect![[r#"
        message_start: {"type":"message_start","message":{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":30,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
        ping: {"type":"ping"}
        content_block_start: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
        content_block_delta: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"espalier"}}
        content_block_stop: {"type":"content_block_stop","index":0}
        content_block_start: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}
        content_block_delta: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hi"}}
        content_block_stop: {"type":"content_block_stop","index":1}
        message_delta: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}
        message_stop: {"type":"message_stop"}"#]],
    );
}

#[test]
fn an_answer_of_nothing_is_empty() {
    let events = vec![started(), text(" \n"), finished(FinishReason::Stop, None)];
    check_whole(
        HEAD,
        events.clone(),
        &expect![[
            r#"{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}"#
        ]],
    );
    check_stream(
        HEAD,
        events.into_iter().map(Ok),
        &expect![[r#"
            message_start: {"type":"message_start","message":{"id":"msg_123456789abcdef0","type":"message","role":"assistant","model":"acme/big","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":30,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
            ping: {"type":"ping"}
            message_delta: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":20,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}
            message_stop: {"type":"message_stop"}"#]],
    );
}
