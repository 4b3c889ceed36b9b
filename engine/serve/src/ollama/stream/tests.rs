//! The shape of every answer.

use base::{ErrorCode, Failure, GenerateEvent, Message, Piece, Role, ScoredToken};
use expect_test::{Expect, expect};

use super::*;

fn head(kind: Kind) -> AnswerHead {
    AnswerHead {
        id: RequestId(0x1234_5678_9abc_def0),
        model: "sprout:latest".into(),
        began: Duration::from_millis(1_700_000_000_250),
        kind,
    }
}

fn started() -> GenerateEvent {
    GenerateEvent::Started {
        model: "sprout".into(),
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

fn finished(reason: FinishReason) -> GenerateEvent {
    GenerateEvent::Finished {
        reason,
        stop: None,
        usage: Usage {
            prompt_tokens: 30,
            completion_tokens: 12,
            ..Usage::default()
        },
    }
}

/// Events come a millisecond after each other.
fn after(index: usize) -> Duration {
    Duration::from_millis(index as u64 + 1)
}

#[track_caller]
fn streamed(kind: Kind, events: Vec<Result<GenerateEvent, Failure>>, expected: &Expect) {
    let mut lines = Lines::new(head(kind));
    let told = events.into_iter().enumerate();
    let told: String = told
        .filter_map(|(index, event)| lines.next(event, after(index)))
        .collect();
    assert!(told.ends_with('\n'));
    expected.assert_eq(&told);
}

#[track_caller]
fn whole(kind: Kind, events: Vec<GenerateEvent>, expected: &Expect) {
    let mut whole = Whole::new(head(kind));
    let count = events.len();
    for (index, event) in events.into_iter().enumerate() {
        whole.hear(event, after(index));
    }
    expected.assert_eq(&line(&whole.answer(after(count))));
}

fn calls() -> Vec<GenerateEvent> {
    vec![
        started(),
        thought("Hm."),
        text("I look."),
        call(0, "get_weather"),
        arguments(0, r#"{"city": "#),
        arguments(0, r#""Paris"}"#),
        call(1, "now"),
        finished(FinishReason::Stop),
    ]
}

fn question() -> Kind {
    let turn = Turn::of(&Message::new(Role::User, "Hello"));
    Kind::Generate {
        turns: Some(vec![turn]),
    }
}

#[test]
fn a_chat_with_thoughts_and_calls() {
    let events = calls().into_iter().map(Ok).collect();
    streamed(
        Kind::Chat,
        events,
        &expect![[r#"
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.252000000Z","message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.253000000Z","message":{"role":"assistant","content":"I look."},"done":false}
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.257000000Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_123456789abcdef00000","function":{"index":0,"name":"get_weather","arguments":{"city": "Paris"}}}]},"done":false}
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.258000000Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_123456789abcdef00001","function":{"index":1,"name":"now","arguments":{}}}]},"done":false}
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.258000000Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":8000000,"load_duration":1000000,"prompt_eval_count":30,"prompt_eval_duration":1000000,"eval_count":12,"eval_duration":6000000}
    "#]],
    );
    whole(
        Kind::Chat,
        calls(),
        &expect![[r#"
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.259000000Z","message":{"role":"assistant","content":"I look.","thinking":"Hm.","tool_calls":[{"id":"call_123456789abcdef00000","function":{"index":0,"name":"get_weather","arguments":{"city": "Paris"}}},{"id":"call_123456789abcdef00001","function":{"index":1,"name":"now","arguments":{}}}]},"done":true,"done_reason":"stop","total_duration":9000000,"load_duration":1000000,"prompt_eval_count":30,"prompt_eval_duration":1000000,"eval_count":12,"eval_duration":7000000}
    "#]],
    );
}

#[test]
fn an_answer_to_one_question() {
    let events = || {
        let end = finished(FinishReason::Length);
        vec![
            started(),
            thought("Hm."),
            text("Hel"),
            text(""),
            text("lo"),
            end,
        ]
    };
    let each = events().into_iter().map(Ok).collect();
    streamed(
        question(),
        each,
        &expect![[r#"
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.252000000Z","response":"","thinking":"Hm.","done":false}
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.253000000Z","response":"Hel","done":false}
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.255000000Z","response":"lo","done":false}
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.256000000Z","response":"","done":true,"done_reason":"length","context":[6648688,74,5995298,7499628,6627898,2258291,6648354,2892387,7302772,6647412,2243106,4744556,7106338,8203387,2257519,7103778,3809889,7566185,7566433,7238690,2892387,7302772,6647412,2243106,4744556,7106338,8215808],"total_duration":6000000,"load_duration":1000000,"prompt_eval_count":30,"prompt_eval_duration":1000000,"eval_count":12,"eval_duration":4000000}
    "#]],
    );
    whole(
        question(),
        events(),
        &expect![[r#"
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.257000000Z","response":"Hello","thinking":"Hm.","done":true,"done_reason":"length","context":[6648688,74,5995298,7499628,6627898,2258291,6648354,2892387,7302772,6647412,2243106,4744556,7106338,8203387,2257519,7103778,3809889,7566185,7566433,7238690,2892387,7302772,6647412,2243106,4744556,7106338,8215808],"total_duration":7000000,"load_duration":1000000,"prompt_eval_count":30,"prompt_eval_duration":1000000,"eval_count":12,"eval_duration":5000000}
    "#]],
    );
}

#[test]
fn raw_text_has_no_context() {
    let events = vec![started(), text("a"), finished(FinishReason::Stop)];
    whole(
        Kind::Generate { turns: None },
        events,
        &expect![[r#"
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.254000000Z","response":"a","done":true,"done_reason":"stop","total_duration":4000000,"load_duration":1000000,"prompt_eval_count":30,"prompt_eval_duration":1000000,"eval_count":12,"eval_duration":2000000}
    "#]],
    );
}

#[test]
fn tokens_with_their_probabilities() {
    let token = |bytes: &[u8], piece: &str| GenerateEvent::Delta {
        piece: Piece::Text(piece.into()),
        tokens: vec![ScoredToken {
            token: 1,
            bytes: bytes.to_vec(),
            logprob: Some(-0.5),
            top: vec![
                (1, bytes.to_vec(), -0.5),
                (2, b"x".to_vec(), f32::NEG_INFINITY),
            ],
        }],
    };
    let events = || {
        vec![
            started(),
            token(b"Hi", "Hi"),
            token(b"\xc3", ""),
            finished(FinishReason::Stop),
        ]
    };
    streamed(
        Kind::Chat,
        events().into_iter().map(Ok).collect(),
        &expect![[r#"
            {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.252000000Z","message":{"role":"assistant","content":"Hi"},"done":false,"logprobs":[{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[{"token":"Hi","logprob":-0.5,"bytes":[72,105]},{"token":"x","logprob":-9999.0,"bytes":[120]}]}]}
            {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.253000000Z","message":{"role":"assistant","content":""},"done":false,"logprobs":[{"token":"�","logprob":-0.5,"bytes":[239,191,189],"top_logprobs":[{"token":"�","logprob":-0.5,"bytes":[239,191,189]},{"token":"x","logprob":-9999.0,"bytes":[120]}]}]}
            {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.254000000Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":4000000,"load_duration":1000000,"prompt_eval_count":30,"prompt_eval_duration":1000000,"eval_count":12,"eval_duration":2000000}
        "#]],
    );
    whole(
        Kind::Chat,
        events(),
        &expect![[r#"
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.255000000Z","message":{"role":"assistant","content":"Hi"},"done":true,"done_reason":"stop","logprobs":[{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[{"token":"Hi","logprob":-0.5,"bytes":[72,105]},{"token":"x","logprob":-9999.0,"bytes":[120]}]},{"token":"�","logprob":-0.5,"bytes":[239,191,189],"top_logprobs":[{"token":"�","logprob":-0.5,"bytes":[239,191,189]},{"token":"x","logprob":-9999.0,"bytes":[120]}]}],"total_duration":5000000,"load_duration":1000000,"prompt_eval_count":30,"prompt_eval_duration":1000000,"eval_count":12,"eval_duration":3000000}
    "#]],
    );
}

#[test]
fn an_error_ends_a_stream() {
    let lost = Failure::new(ErrorCode::WorkerLost, "a node is gone").hint("try again");
    let events = vec![Ok(started()), Ok(text("Hel")), Err(lost), Ok(text("lo"))];
    streamed(
        Kind::Chat,
        events,
        &expect![[r#"
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.252000000Z","message":{"role":"assistant","content":"Hel"},"done":false}
        {"error":"a node is gone (hint: try again)"}
    "#]],
    );
}

#[test]
fn a_call_that_is_cut_off_is_none() {
    let events = vec![
        started(),
        call(0, "get_weather"),
        arguments(0, r#"{"city": "Par"#),
        finished(FinishReason::Length),
    ];
    whole(
        Kind::Chat,
        events,
        &expect![[r#"
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.255000000Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"length","total_duration":5000000,"load_duration":1000000,"prompt_eval_count":30,"prompt_eval_duration":1000000,"eval_count":12,"eval_duration":3000000}
    "#]],
    );
}

#[test]
fn what_is_loaded_says_so() {
    let said = line(&head(Kind::Chat).empty(Duration::from_millis(5), "load"));
    expect![[r#"
        {"model":"sprout:latest","created_at":"2023-11-14T22:13:20.255000000Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"load"}
    "#]].assert_eq(&said);
}
