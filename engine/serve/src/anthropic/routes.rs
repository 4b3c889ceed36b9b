//! The endpoints.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base::{ErrorCode, Failure, FinishReason, GenerateEvent, GenerateRequest, Usage};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use utoipa_axum::routes;

use super::convert::{Asked, parse_count, parse_messages};
use super::error::Refused;
use super::model::{CountOut, MessageOut, MessagesFields, MessagesRequest, Sent};
use super::stream::{AnswerHead, Frame, Frames, Whole};
use crate::app::App;
use crate::body;
use crate::calls::Noted;
use crate::generation;
use crate::openapi::Routes;
use crate::standing;

/// A ping is sent after so long a silence: a long prompt is read for minutes before the first token, and Claude Code
/// takes a stream without events for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

pub(crate) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(messages))
        .routes(routes!(count_tokens))
}

/// Answers a conversation.
#[utoipa::path(
    post,
    path = "/v1/messages",
    request_body = MessagesRequest,
    responses((status = 200, description = "The answer, or its pieces as they come.", content(
        (MessageOut = "application/json"),
        (Sent = "text/event-stream"),
    ))),
)]
async fn messages(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let noted = Noted::of(&request);
    let (json, standing) = standing::read(request).await?;
    let mut asked = parse_messages(&json, app.fresh()?)?;
    asked.request.standing = standing;
    let stream = asked.stream;
    let (head, events) = begin(&app, asked, noted).await?;
    if stream {
        Ok(streamed(head, events))
    } else {
        whole(head, events).await
    }
}

/// Loads the model like any other request: which tokens a text has, only the model's files say.
#[utoipa::path(
    post,
    path = "/v1/messages/count_tokens",
    request_body = MessagesFields,
    responses((status = 200, description = "How many there are.", body = CountOut)),
)]
async fn count_tokens(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<CountOut>, Refused> {
    let noted = Noted::of(&request);
    let request = parse_count(&body::read(request).await?, app.fresh()?)?;
    let mut events = events(&app, request, noted);
    while let Some(event) = events.next().await {
        if let GenerateEvent::Started { prompt_tokens, .. } = event? {
            return Ok(Json(CountOut {
                input_tokens: prompt_tokens,
            }));
        }
    }
    let message = "the model said nothing of the prompt";
    Err(Refused(Failure::new(ErrorCode::Internal, message)))
}

type Events = BoxStream<'static, Result<GenerateEvent, Failure>>;

fn events(app: &Arc<App>, request: GenerateRequest, noted: Option<Noted>) -> Events {
    let events = generation::events(app, vec![request], noted);
    events.map_ok(|(_, event)| event).boxed()
}

/// Starts a generation and waits for its first event: what fails until then is an error with its own status. If prompt
/// and answer do not fit the context together, the answer is what still fits, as Claude does it: Claude Code asks for
/// 32000 tokens whatever the model.
async fn begin(
    app: &Arc<App>,
    asked: Asked,
    noted: Option<Noted>,
) -> Result<(AnswerHead, Events), Failure> {
    let request = asked.request;
    let mut head = AnswerHead {
        id: request.id,
        to_the_end_of_context: false,
        omits_thoughts: asked.omits_thoughts,
    };
    let unlimited = GenerateRequest {
        max_tokens: Some(GenerateRequest::TO_THE_END),
        ..request.clone()
    };
    let mut events = self::events(app, request, noted.clone());
    let mut first = events.next().await;
    if matches!(&first, Some(Err(failure)) if failure.code == ErrorCode::ContextTooLong) {
        head.to_the_end_of_context = true;
        events = self::events(app, unlimited, noted);
        first = events.next().await;
    }
    let first = first.transpose()?;
    let events = stream::iter(first.map(Ok)).chain(events);
    if asked.only_reads {
        let unsaid = events.try_filter_map(|event| ready(Ok(unsaid(event))));
        return Ok((head, unsaid.boxed()));
    }
    Ok((head, events.boxed()))
}

/// What is left of the answer if nothing was to be said.
fn unsaid(event: GenerateEvent) -> Option<GenerateEvent> {
    match event {
        GenerateEvent::Started { .. } | GenerateEvent::Queued { .. } | GenerateEvent::Prompt(_) => {
            Some(event)
        }
        GenerateEvent::Delta { .. } => None,
        GenerateEvent::Finished { usage, .. } => Some(GenerateEvent::Finished {
            reason: FinishReason::Length,
            stop: None,
            usage: Usage {
                prompt_tokens: usage.prompt_tokens,
                cached_tokens: usage.cached_tokens,
                ..Usage::default()
            },
        }),
    }
}

async fn whole(head: AnswerHead, mut events: Events) -> Result<Response, Refused> {
    let mut whole = Whole::new(head);
    while let Some(event) = events.next().await {
        whole.hear(event?);
    }
    Ok(Json(whole.answer()).into_response())
}

fn streamed(head: AnswerHead, events: Events) -> Response {
    let frames = events.scan(Frames::new(head), |frames, event| ready(frames.next(event)));
    sent(frames.flat_map(stream::iter))
}

fn sent(frames: impl Stream<Item = Frame> + Send + 'static) -> Response {
    let events = frames.map(|frame| Ok::<_, Infallible>(event(frame)));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let keep_alive = keep_alive.event(event(Frame::ping()));
    Sse::new(events).keep_alive(keep_alive).into_response()
}

fn event(frame: Frame) -> Event {
    Event::default().event(frame.event).data(frame.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test(start_paused = true)]
    async fn pings_while_nothing_comes() {
        let began = tokio::time::Instant::now();
        let mut body = sent(stream::pending()).into_body();
        for pings in 1..=2 {
            let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(&bytes[..], b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
            assert!(began.elapsed() >= KEEP_ALIVE * pings);
        }
    }
}
