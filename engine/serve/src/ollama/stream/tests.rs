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
    streamed(Kind::Chat, events, &expect![[]]);
    whole(Kind::Chat, calls(), &expect![[]]);
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
    streamed(question(), each, &expect![[]]);
    whole(question(), events(), &expect![[]]);
}

#[test]
fn raw_text_has_no_context() {
    let events = vec![started(), text("a"), finished(FinishReason::Stop)];
    whole(Kind::Generate { turns: None }, events, &expect![[]]);
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
        &expect![[]],
    );
    whole(Kind::Chat, events(), &expect![[]]);
}

#[test]
fn an_error_ends_a_stream() {
    let lost = Failure::new(ErrorCode::WorkerLost, "a node is gone").hint("try again");
    let events = vec![Ok(started()), Ok(text("Hel")), Err(lost), Ok(text("lo"))];
    streamed(Kind::Chat, events, &expect![[]]);
}

#[test]
fn a_call_that_is_cut_off_is_none() {
    let events = vec![
        started(),
        call(0, "get_weather"),
        arguments(0, r#"{"city": "Par"#),
        finished(FinishReason::Length),
    ];
    whole(Kind::Chat, events, &expect![[]]);
}

#[test]
fn what_is_loaded_says_so() {
    let said = line(&head(Kind::Chat).empty(Duration::from_millis(5), "load"));
    expect![[]].assert_eq(&said);
}
