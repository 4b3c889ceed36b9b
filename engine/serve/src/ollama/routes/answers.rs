//! Answers of models: begun, and sent whole or line by line.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base::{ErrorCode, Failure, GenerateEvent, GenerateRequest, KeepAlive, RequestId, Usage};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::{LINES, since_1970};
use crate::app::App;
use crate::calls::Noted;
use crate::generation;
use crate::ollama::convert::{Asked, Embed, Generation, Work};
use crate::ollama::error::Refused;
use crate::ollama::model::{EmbedOut, EmbeddingOut};
use crate::ollama::stream::{AnswerHead, Kind, Lines, Whole};

type Events = BoxStream<'static, Result<GenerateEvent, Failure>>;

/// Which endpoint is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// `/api/chat`.
    Chat,
    /// `/api/generate`.
    Generate,
}

/// Does what is asked. `began` is when the request came.
pub(super) async fn answer(
    app: &Arc<App>,
    asked: Asked,
    shape: Shape,
    began: Instant,
    noted: Option<Noted>,
) -> Result<Response, Refused> {
    let head = |id: RequestId, turns| AnswerHead {
        id,
        model: asked.model.clone(),
        began: since_1970(app).saturating_sub(began.elapsed()),
        kind: match shape {
            Shape::Chat => Kind::Chat,
            Shape::Generate => Kind::Generate { turns },
        },
    };
    match asked.work {
        Work::Generate(mut wanted) => {
            let head = head(wanted.request.id, wanted.turns.take());
            let events = begin(app, wanted, noted).await?;
            if asked.stream {
                Ok(streamed(head, events, began))
            } else {
                whole(head, events, began).await
            }
        }
        Work::Load(request) => {
            let head = head(request.id, None);
            run_to_its_end(app, request, noted).await?;
            Ok(Json(head.empty(began.elapsed(), "load")).into_response())
        }
        Work::Unload(request) => {
            let head = head(request.id, None);
            unload(app, request, noted).await?;
            Ok(Json(head.empty(began.elapsed(), "unload")).into_response())
        }
    }
}

fn events(app: &Arc<App>, request: GenerateRequest, noted: Option<Noted>) -> Events {
    let events = generation::events(app, vec![request], noted);
    events.map_ok(|(_, event)| event).boxed()
}

/// Starts a generation and waits for its first event: what fails until then is an error with its own status. An answer
/// never passes the end of the context, the model's or that of the request: if more is asked for, it is what still fits.
async fn begin(
    app: &Arc<App>,
    wanted: Generation,
    noted: Option<Noted>,
) -> Result<Events, Failure> {
    let mut request = wanted.request;
    let mut events = self::events(app, request.clone(), noted.clone());
    let mut first = events.next().await;
    if request.max_tokens.is_some() && is_too_long(first.as_ref()) {
        request.max_tokens = None;
        events = self::events(app, request.clone(), noted.clone());
        first = events.next().await;
    }
    let mut first = first.transpose()?;
    if let Some(room) = room(wanted.context_tokens, first.as_ref())?
        && request.max_tokens.is_none_or(|tokens| tokens > room)
    {
        request.max_tokens = Some(room);
        // The one that is given up may say some words yet, under its own name.
        request.id = app.fresh()?.request_id();
        events = self::events(app, request, noted);
        first = events.next().await.transpose()?;
    }
    Ok(stream::iter(first.map(Ok)).chain(events).boxed())
}

fn is_too_long(first: Option<&Result<GenerateEvent, Failure>>) -> bool {
    matches!(first, Some(Err(failure)) if failure.code == ErrorCode::ContextTooLong)
}

/// Tokens that an answer may have if prompt and answer together may have so many.
fn room(context: Option<u32>, first: Option<&GenerateEvent>) -> Result<Option<u32>, Failure> {
    let (Some(context), Some(GenerateEvent::Started { prompt_tokens, .. })) = (context, first)
    else {
        return Ok(None);
    };
    if let Some(room) = context.checked_sub(*prompt_tokens).filter(|room| *room > 0) {
        return Ok(Some(room));
    }
    let message = format!("the prompt has {prompt_tokens} tokens and num_ctx is {context}");
    let failure = Failure::new(ErrorCode::ContextTooLong, message).param("options.num_ctx");
    Err(failure.hint("shorten the prompt, or leave num_ctx out to use all that the model has"))
}

async fn whole(head: AnswerHead, mut events: Events, began: Instant) -> Result<Response, Refused> {
    let mut whole = Whole::new(head);
    while let Some(event) = events.next().await {
        whole.hear(event?, began.elapsed());
    }
    Ok(Json(whole.answer(began.elapsed())).into_response())
}

fn streamed(head: AnswerHead, events: Events, began: Instant) -> Response {
    let lines = events.scan(Lines::new(head), move |lines, event| {
        std::future::ready(lines.next(event, began.elapsed()))
    });
    let lines = lines.filter(|line| std::future::ready(!line.is_empty()));
    let lines = lines.map(Ok::<_, Infallible>);
    (LINES, Body::from_stream(lines)).into_response()
}

async fn run_to_its_end(
    app: &Arc<App>,
    request: GenerateRequest,
    noted: Option<Noted>,
) -> Result<(), Failure> {
    let mut events = events(app, request, noted);
    while let Some(event) = events.next().await {
        event?;
    }
    Ok(())
}

/// A model that is not loaded needs no unloading, and is not loaded for it.
async fn unload(
    app: &Arc<App>,
    request: GenerateRequest,
    noted: Option<Noted>,
) -> Result<(), Failure> {
    let info = app.gateway.describe(&request.model).await?.info;
    let name = info.base.unwrap_or(info.id);
    let view = app.gateway.changes().borrow().clone();
    if view
        .instances
        .iter()
        .any(|instance| instance.model.0 == name)
    {
        run_to_its_end(app, request, noted).await?;
    }
    Ok(())
}

/// The vectors of some texts.
pub(super) async fn embed(
    app: &Arc<App>,
    asked: Embed,
    began: Instant,
    noted: Option<Noted>,
) -> Result<Response, Refused> {
    let (mut embeddings, prompt_eval_count) = vectors(app, &asked, noted).await?;
    if let Some(dimensions) = asked.dimensions {
        for vector in &mut embeddings {
            shorten(vector, dimensions);
        }
    }
    let answer = EmbedOut {
        model: asked.model,
        embeddings,
        total_duration: nanoseconds(began.elapsed()),
        prompt_eval_count,
    };
    Ok(Json(answer).into_response())
}

/// The vector of one text; of none it is empty.
pub(super) async fn embedding(
    app: &Arc<App>,
    asked: Embed,
    noted: Option<Noted>,
) -> Result<Response, Refused> {
    let (vectors, _) = vectors(app, &asked, noted).await?;
    let embedding = vectors.into_iter().next().unwrap_or_default();
    Ok(Json(EmbeddingOut { embedding }).into_response())
}

async fn vectors(
    app: &Arc<App>,
    asked: &Embed,
    noted: Option<Noted>,
) -> Result<(Vec<Vec<f32>>, u32), Failure> {
    let request = asked.request.clone();
    if let Some(noted) = &noted {
        noted.model(&request.model);
    }
    if request.inputs.is_empty() {
        let unloads = matches!(request.keep_alive, Some(KeepAlive::For(time)) if time.is_zero());
        if !unloads {
            app.gateway.describe(&request.model).await?;
        }
        return Ok((Vec::new(), 0));
    }
    let embedded = app.gateway.embed(request).await?;
    let usage = Usage {
        prompt_tokens: embedded.prompt_tokens,
        ..Usage::default()
    };
    app.metrics.tokens(usage);
    if let Some(noted) = &noted {
        noted.usage(usage);
    }
    Ok((embedded.vectors, embedded.prompt_tokens))
}

/// The first numbers of a vector, of length 1 again.
fn shorten(vector: &mut Vec<f32>, dimensions: usize) {
    if dimensions >= vector.len() {
        return;
    }
    vector.truncate(dimensions);
    let length = vector
        .iter()
        .map(|number| number * number)
        .sum::<f32>()
        .sqrt();
    if length > 0.0 {
        for number in vector {
            *number /= length;
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}
