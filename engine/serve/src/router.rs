//! All routes, and what happens to every request before and after its route.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use base::{ErrorCode, Failure};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::app::App;
use crate::calls::Noted;
use crate::guard::{Admitted, Caller, Entry, Listed, is_preflight};
use crate::metrics::InFlight;
use crate::openapi::{self, Routes};
use crate::{admin, anthropic, ollama, openai};

/// As `OpenAI` calls it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Making room for a model and opening it takes half a minute at most; everything else answers from memory or a disk.
const ADMIN_LIMIT: Duration = Duration::from_mins(2);

pub(crate) fn router(app: Arc<App>) -> Router {
    let (routes, _) = openapi::routes().split_for_parts();
    routes
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), guard))
        .layer(from_fn_with_state(app.clone(), count))
        .with_state(app)
}

/// Routes about the server itself.
pub(crate) fn own_routes() -> Routes {
    Routes::default()
        .routes(routes!(health))
        .routes(routes!(metrics))
}

/// That the server runs.
#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
}

/// Answers as long as the server runs; whether a model is loaded is for `/admin/state` to say.
#[utoipa::path(
    get,
    path = "/health",
    responses((status = 200, description = "It runs.", body = Health)),
)]
async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Counts and times, as Prometheus reads them.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text")),
)]
async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match app.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => openai::error_response(Failure::new(
            ErrorCode::Internal,
            "the metrics cannot be written",
        )),
    }
}

async fn unknown(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    let message = format!("there is no {method} {path}");
    let failure = Failure::new(ErrorCode::NotFound, message);
    failed(
        path,
        &headers,
        failure.hint("the API is under /v1, Ollama's under /api, the admin API under /admin"),
    )
}

async fn wrong_method(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    let message = format!("{path} does not take {method}");
    let failure = Failure::new(ErrorCode::MethodNotAllowed, message);
    failed(path, &headers, failure)
}

async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let is_anthropics = anthropic::is_spoken(request.uri().path(), request.headers());
    let Some(door) = &app.door else {
        return finished(&app, is_anthropics, next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let known_key = |key: &str| app.gateway.user_data().known_key(key);
    let checked = door.check(&parts, &app.gateway.allowed_origins(), known_key);
    let (page, mut response) = match checked {
        Ok(Entry { page, admitted }) => {
            let admitted = admitted.map(Arc::new);
            // For a conversation that goes on after the answer.
            parts.extensions.insert(admitted.clone());
            let preflight = page.as_ref().filter(|_| is_preflight(&parts));
            let mut response = match preflight {
                Some(_) => {
                    let answer = Listed::answer(&parts.headers);
                    (StatusCode::NO_CONTENT, answer).into_response()
                }
                None => in_time(Request::from_parts(parts, body), next).await,
            };
            // Its answer counts until it is sent.
            response.extensions_mut().insert(admitted);
            (page, response)
        }
        Err(refusal) => {
            let response = failed(parts.uri.path(), &parts.headers, *refusal.failure);
            (refusal.page, response)
        }
    };
    if let Some(page) = page {
        page.write(response.headers_mut());
    }
    finished(&app, is_anthropics, response)
}

/// What is not a page never becomes one; and every answer has a name.
fn finished(app: &App, is_anthropics: bool, mut response: Response) -> Response {
    let nosniff = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    let Some(id) = request_id(app) else {
        return response;
    };
    headers.insert(REQUEST_ID, id.clone());
    if is_anthropics {
        anthropic::named(response, id)
    } else {
        response
    }
}

/// Names an answer, for whoever reports what is wrong with it: SDKs keep it. None where the system gives no random numbers.
fn request_id(app: &App) -> Option<HeaderValue> {
    let number = app.gateway.random().ok()?;
    HeaderValue::try_from(format!("req_{number:016x}")).ok()
}

/// The answers of the admin API begin within [`ADMIN_LIMIT`]. Those of the dialects have limits of their own, where it
/// is known what they wait for.
async fn in_time(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/admin/") {
        return next.run(request).await;
    }
    let answered = timeout(ADMIN_LIMIT, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        let message = format!("this took longer than {} seconds", ADMIN_LIMIT.as_secs());
        let failure = Failure::new(ErrorCode::TimedOut, message);
        admin::error_response(failure.hint("see what the node is doing in its log"))
    })
}

/// A request is in flight until its answer is sent or its client is gone, streams included.
async fn count(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let in_flight = app.metrics.in_flight();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let noted = is_listed(&request).then(|| {
        let from = request.extensions().get().and_then(Caller::elsewhere);
        let calls = app.metrics.calls();
        calls.begin(&request, from, app.gateway.unix_milliseconds())
    });
    if let Some(noted) = &noted {
        request.extensions_mut().insert(noted.clone());
    }
    let response = next.run(request).await;
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let status = response.status().as_u16();
    app.metrics.answered(route, status);
    if let Some(noted) = &noted {
        noted.status(status);
        if let Some(why) = response.extensions().get() {
            noted.failed(why);
        }
    }
    let admitted = response.extensions().get::<Option<Arc<Admitted>>>();
    let admitted = admitted.cloned().flatten();
    response.map(|body| {
        Body::new(Counted {
            body,
            ended: false,
            noted,
            _in_flight: in_flight,
            _admitted: admitted,
        })
    })
}

/// Calls of programs are listed; what the dashboard asks for itself is not.
fn is_listed(request: &Request) -> bool {
    let path = request.uri().path();
    path.starts_with("/v1/") || ollama::is_spoken(path)
}

/// A body that counts as being sent until it is dropped.
struct Counted {
    body: Body,
    /// Its last byte was taken.
    ended: bool,
    noted: Option<Noted>,
    _in_flight: InFlight,
    _admitted: Option<Arc<Admitted>>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let counted = self.get_mut();
        let polled = Pin::new(&mut counted.body).poll_frame(context);
        counted.ended |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let whole = self.ended || self.body.is_end_stream();
        if let Some(noted) = self.noted.as_ref().filter(|_| !whole) {
            noted.hung_up();
        }
    }
}

/// The envelope of the dialect to which a request belongs.
fn failed(path: &str, headers: &HeaderMap, failure: Failure) -> Response {
    if path.starts_with("/admin") {
        admin::error_response(failure)
    } else if anthropic::is_spoken(path, headers) {
        anthropic::error_response(failure)
    } else if ollama::is_spoken(path) {
        ollama::error_response(failure)
    } else {
        openai::error_response(failure)
    }
}
