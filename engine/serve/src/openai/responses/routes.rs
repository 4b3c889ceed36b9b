//! The endpoints.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base::{ErrorCode, Failure, GenerateEvent, Message};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::compact;
use super::convert::{Asked, parse};
use super::described;
use super::kept::Kept;
use super::record::Record;
use super::run::{Running, follow, in_background};
use super::socket;
use crate::app::App;
use crate::calls::Noted;
use crate::generation::{Events, events};
use crate::openai::error::PREVIOUS;
use crate::openai::routes::{KEEP_ALIVE, Refused};
use crate::openapi::Routes;
use crate::shorten::shortened;
use crate::standing;
use crate::uri::{self, Named, name};

/// Items of one page, at most and unless asked otherwise.
const PAGE_MAX: usize = 100;
const PAGE: usize = 20;

pub(in crate::openai) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(create, socket::open))
        .routes(routes!(input_tokens))
        .routes(routes!(compact::compact))
        .routes(routes!(show, forget))
        .routes(routes!(cancel))
        .routes(routes!(input_items))
}

/// Answers a conversation, and keeps the answer so that another goes on from it.
#[utoipa::path(
    post,
    path = "/v1/responses",
    request_body = described::Request,
    responses((status = 200, description = "The response, or its events as they come.", content(
        (described::Response = "application/json"),
        (described::Sent = "text/event-stream"),
    ))),
)]
async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let noted = Noted::of(&request);
    let asked = asked(&app, request).await?;
    let before = before(&app, &asked)?;
    let (kept, generation) = start(&app, &asked, before, noted)?;
    if asked.background {
        in_background(Arc::clone(&app), generation, Arc::clone(&kept));
        if asked.stream {
            return Ok(told(follow(kept, 0, app.stopping.clone())));
        }
        return Ok(Json(kept.response()).into_response());
    }
    let begun = Running::begin(Arc::clone(&app), generation, Arc::clone(&kept)).await;
    let (mut running, first) = match begun {
        Ok(begun) => begun,
        // As `OpenAI` tells a stream of it: Codex makes the conversation shorter then.
        Err(failure) if asked.stream && failure.code == ErrorCode::ContextTooLong => {
            let mut told = kept.change(false, Record::begin);
            told.extend(kept.change(true, |record| record.fail(&failure)));
            return Ok(self::told(stream::iter(told)));
        }
        Err(failure) => {
            app.responses.remove(&kept.id());
            return Err(failure.into());
        }
    };
    if asked.stream {
        return Ok(told(running.events(first)));
    }
    while running.next().await.is_some() {}
    match running.failure.take() {
        Some(failure) => Err(failure.into()),
        None => Ok(Json(kept.response()).into_response()),
    }
}

/// Keeps a response if it is to be kept, and starts its generation. `before` is what was said before.
pub(super) fn start(
    app: &Arc<App>,
    asked: &Asked,
    before: Vec<Message>,
    noted: Option<Noted>,
) -> Result<(Arc<Kept>, Events), Failure> {
    let request = asked.after(&before)?;
    let kept = kept(app, asked, before);
    if asked.background {
        kept.change(false, Record::queue);
    }
    if asked.store {
        app.responses.keep(&kept.id(), Arc::clone(&kept))?;
    }
    let generation = if asked.truncates {
        shortened(app, request, noted)
    } else {
        events(app, vec![request], noted)
    };
    Ok((kept, generation))
}

pub(super) async fn asked(app: &App, request: Request) -> Result<Asked, Refused> {
    let (json, standing) = standing::read(request).await?;
    let kept = |id: &str| app.responses.item(id);
    let mut asked = parse(&json, app.fresh()?, &kept)?;
    asked.request.standing = standing;
    Ok(asked)
}

/// What was said before, if a request goes on from a response.
pub(super) fn before(app: &App, asked: &Asked) -> Result<Vec<Message>, Failure> {
    match &asked.previous {
        None => Ok(Vec::new()),
        Some(id) => Ok(previous(app, id)?.turns()),
    }
}

/// How many tokens a request's input has. The generation that finds it out is dropped before it computes anything.
#[utoipa::path(
    post,
    path = "/v1/responses/input_tokens",
    request_body = described::Request,
    responses((status = 200, description = "How many there are.", body = described::InputTokens)),
)]
async fn input_tokens(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let noted = Noted::of(&request);
    let asked = asked(&app, request).await?;
    let request = asked.after(&before(&app, &asked)?)?;
    let mut events = events(&app, vec![request], noted);
    while let Some(event) = events.next().await {
        if let (_, GenerateEvent::Started { prompt_tokens, .. }) = event? {
            let counted = json!({"object": "response.input_tokens", "input_tokens": prompt_tokens});
            return Ok(Json(counted).into_response());
        }
    }
    let message = "the model said nothing of the prompt";
    Err(Failure::new(ErrorCode::Internal, message).into())
}

fn kept(app: &App, asked: &Asked, before: Vec<Message>) -> Arc<Kept> {
    let created = app.gateway.unix_milliseconds() / 1000;
    let record = Record::new(
        asked.request.id.to_string(),
        created,
        asked.repeated.clone(),
        asked.telling.clone(),
    );
    let turns = before.into_iter().chain(asked.turns.iter().cloned());
    Kept::new(
        record,
        asked.background,
        asked.input_items.clone(),
        turns.collect(),
    )
}

fn previous(app: &App, id: &str) -> Result<Arc<Kept>, Failure> {
    let kept = app.responses.get(id).ok_or_else(|| {
        let message = format!("Previous response with id '{id}' not found.");
        Failure::new(ErrorCode::NotFound, message)
            .hint("the newest responses are kept until the node ends; send the whole conversation")
            .param(PREVIOUS)
    })?;
    if kept.is_over() {
        return Ok(kept);
    }
    let failure = Failure::new(
        ErrorCode::InvalidRequest,
        format!("{id} is still under way"),
    );
    Err(failure.hint("wait for its end").param(PREVIOUS))
}

fn told(events: impl Stream<Item = Value> + Send + 'static) -> Response {
    let frames = events.map(|event| {
        let kind = event["type"].as_str().unwrap_or("error").to_owned();
        Ok::<_, Infallible>(Event::default().event(kind).data(event.to_string()))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(frames).keep_alive(keep_alive).into_response()
}

fn find(app: &App, id: &str) -> Result<Arc<Kept>, Failure> {
    app.responses.get(id).ok_or_else(|| {
        let message = format!("Response with id '{id}' not found.");
        let failure = Failure::new(ErrorCode::NotFound, message);
        failure
            .hint("the newest ones are kept, until the node ends")
            .param("id")
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Shown {
    /// Its events, if it is one in the background.
    #[serde(default)]
    stream: bool,
    /// The number of the last event that is known.
    starting_after: Option<u64>,
}

/// A response that is kept, or its events again.
#[utoipa::path(
    get,
    path = "/v1/responses/{id}",
    params(("id" = String, Path, description = "The response."), Shown),
    responses((status = 200, description = "The response, or its events.", content(
        (described::Response = "application/json"),
        (described::Sent = "text/event-stream"),
    ))),
)]
async fn show(
    State(app): State<Arc<App>>,
    id: Named,
    shown: uri::Asked<Shown>,
) -> Result<Response, Refused> {
    let kept = find(&app, &name(id))?;
    let shown = uri::query(shown)?;
    if !shown.stream {
        return Ok(Json(kept.response()).into_response());
    }
    if !kept.background {
        let message = "only a response in the background can be streamed again";
        return Err(Failure::new(ErrorCode::InvalidRequest, message)
            .param("stream")
            .into());
    }
    let from = shown
        .starting_after
        .map_or(0, |number| number.saturating_add(1));
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    Ok(told(follow(kept, from, app.stopping.clone())))
}

/// Deletes a response.
#[utoipa::path(
    delete,
    path = "/v1/responses/{id}",
    params(("id" = String, Path, description = "The response.")),
    responses((status = 200, description = "It is deleted.", body = described::Deleted)),
)]
async fn forget(State(app): State<Arc<App>>, id: Named) -> Result<Response, Refused> {
    let id = name(id);
    find(&app, &id)?;
    app.responses.remove(&id);
    let gone = json!({"id": id, "object": "response", "deleted": true});
    Ok(Json(gone).into_response())
}

/// Ends a response in the background.
#[utoipa::path(
    post,
    path = "/v1/responses/{id}/cancel",
    params(("id" = String, Path, description = "The response.")),
    responses((status = 200, description = "The response as it ended.", body = described::Response)),
)]
async fn cancel(State(app): State<Arc<App>>, id: Named) -> Result<Response, Refused> {
    let kept = find(&app, &name(id))?;
    if !kept.background {
        let message = "only a response in the background can be cancelled";
        let failure = Failure::new(ErrorCode::InvalidRequest, message);
        return Err(failure.hint("to end another one, hang up").into());
    }
    kept.cancel();
    Ok(Json(kept.response()).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Items, at most 100.
    limit: Option<usize>,
    /// `asc` or `desc`.
    order: Option<String>,
    /// What comes after this item.
    after: Option<String>,
}

/// What was said to a response.
#[utoipa::path(
    get,
    path = "/v1/responses/{id}/input_items",
    params(("id" = String, Path, description = "The response."), Page),
    responses((status = 200, description = "A page of it.", body = described::InputItems)),
)]
async fn input_items(
    State(app): State<Arc<App>>,
    id: Named,
    page: uri::Asked<Page>,
) -> Result<Response, Refused> {
    let kept = find(&app, &name(id))?;
    let page = uri::query(page)?;
    let mut items = kept.input_items.clone();
    if page.order.as_deref() != Some("asc") {
        items.reverse();
    }
    if let Some(after) = page.after {
        let at = items.iter().position(|item| item["id"] == after.as_str());
        items.drain(..at.map_or(0, |at| at + 1));
    }
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let has_more = items.len() > limit;
    items.truncate(limit);
    let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first_id, last_id) = (id_of(items.first()), id_of(items.last()));
    let list = json!({
        "object": "list", "data": items, "first_id": first_id, "last_id": last_id, "has_more": has_more,
    });
    Ok(Json(list).into_response())
}
