//! All routes, and what happens to every request before and after its route.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base::{ErrorCode, Failure};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use hyper::body::{Frame, SizeHint};

use crate::app::App;
use crate::calls::Noted;
use crate::guard::Caller;
use crate::metrics::InFlight;
use crate::{admin, anthropic, dashboard, models, ollama, openai};

/// As `OpenAI` calls it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(openai::routes())
        .merge(anthropic::routes())
        .merge(ollama::routes())
        .merge(models::routes())
        .merge(admin::routes())
        .merge(dashboard::routes())
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), guard))
        .layer(from_fn_with_state(app.clone(), count))
        .with_state(app)
}

/// Answers as long as the server runs; whether a model is loaded is for `/admin/state` to say.
async fn health() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, r#"{"status":"ok"}"#).into_response()
}

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
    let (parts, body) = request.into_parts();
    let knows_key = |key: &str| app.gateway.user_data().knows_key(key);
    let door = app.door.as_ref();
    let checked = door.map_or(Ok(()), |door| door.check(&parts, knows_key));
    let is_anthropics = anthropic::is_spoken(parts.uri.path(), &parts.headers);
    let mut response = match checked {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(failure) => failed(parts.uri.path(), &parts.headers, failure),
    };
    let nosniff = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    let Some(id) = request_id(&app) else {
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
    response.map(|body| {
        Body::new(Counted {
            body,
            ended: false,
            noted,
            _in_flight: in_flight,
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
