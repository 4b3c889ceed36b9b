//! Answers of models: begun, and sent whole or line by line.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base::{Embedded, Failure, GenerateEvent, GenerateRequest, RequestId, Usage};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::{LINES, since_1970};
use crate::app::App;
use crate::calls::Noted;
use crate::generation;
use crate::ollama::convert::{Asked, Embed, EmbedWork, Generation, Idle, Work};
use crate::ollama::error::Refused;
use crate::ollama::model::{EmbedOut, EmbeddingOut};
use crate::ollama::stream::{AnswerHead, Kind, Lines, Whole};
use crate::shorten::fitting;

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
        Work::Idle(nothing) => {
            let (Idle::Load(request) | Idle::Unload(request)) = &nothing;
            let head = head(request.id, None);
            let done = idle(app, nothing, noted).await?;
            Ok(Json(head.empty(began.elapsed(), done)).into_response())
        }
    }
}

/// Starts a generation and waits for its first event: what fails until then is an error with its own status.
async fn begin(
    app: &Arc<App>,
    wanted: Generation,
    noted: Option<Noted>,
) -> Result<Events, Failure> {
    let events = fitting(app, wanted.request, wanted.truncates, noted).await?;
    Ok(events.map_ok(|(_, event)| event).boxed())
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

/// Loads or unloads a model; what was done.
async fn idle(app: &Arc<App>, idle: Idle, noted: Option<Noted>) -> Result<&'static str, Failure> {
    match idle {
        Idle::Load(request) => run_to_its_end(app, request, noted).await.map(|()| "load"),
        Idle::Unload(request) => unload(app, request, noted).await.map(|()| "unload"),
    }
}

async fn run_to_its_end(
    app: &Arc<App>,
    request: GenerateRequest,
    noted: Option<Noted>,
) -> Result<(), Failure> {
    let mut events = generation::events(app, vec![request], noted);
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

/// The vectors of some texts. Without any the model is loaded, or unloaded.
pub(super) async fn embed(
    app: &Arc<App>,
    asked: Embed,
    began: Instant,
    noted: Option<Noted>,
) -> Result<Response, Refused> {
    let mut answer = EmbedOut {
        model: asked.model,
        ..EmbedOut::default()
    };
    if let Some(embedded) = vectors(app, asked.work, noted).await? {
        answer.total_duration = Some(nanoseconds(began.elapsed()));
        answer.load_duration = Some(nanoseconds(embedded.loading));
        answer.prompt_eval_count = Some(embedded.prompt_tokens);
        answer.embeddings = embedded.vectors;
    }
    if let Some(dimensions) = asked.dimensions {
        for vector in &mut answer.embeddings {
            shorten(vector, dimensions);
        }
    }
    Ok(Json(answer).into_response())
}

/// The vector of one text; of none it is empty.
pub(super) async fn embedding(
    app: &Arc<App>,
    asked: Embed,
    noted: Option<Noted>,
) -> Result<Response, Refused> {
    let embedded = vectors(app, asked.work, noted).await?;
    let mut vectors = embedded.into_iter().flat_map(|embedded| embedded.vectors);
    let embedding = vectors.next().unwrap_or_default();
    Ok(Json(EmbeddingOut { embedding }).into_response())
}

async fn vectors(
    app: &Arc<App>,
    work: EmbedWork,
    noted: Option<Noted>,
) -> Result<Option<Embedded>, Failure> {
    let request = match work {
        EmbedWork::Embed(request) => request,
        EmbedWork::Idle(nothing) => return idle(app, *nothing, noted).await.map(|_| None),
    };
    if let Some(noted) = &noted {
        noted.model(&request.model);
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
    Ok(Some(embedded))
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
