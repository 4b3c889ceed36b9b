//! The web page at `/`, as `ui/` was built when this crate was. Without a build a plain page says how to make one. Programs
//! that ask for no page are Ollama's clients, who look there whether a server is up.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base::{ErrorCode, Failure};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use utoipa_axum::routes;

use crate::app::App;
use crate::guard::Door;
use crate::ollama;
use crate::openai::error_response;
use crate::openapi::Routes;
use crate::uri::{Named, name};

/// A file of the built page.
struct Asset {
    /// Below `ui/dist`, with forward slashes.
    path: &'static str,
    bytes: &'static [u8],
}

/// All files of the built page; empty without a build. The build script writes the list.
const ASSETS: &[Asset] = &include!(concat!(env!("OUT_DIR"), "/assets.rs"));

const NOT_BUILT: &str = include_str!("dashboard/not_built.html");

/// Nothing but the page's own files, and no connection but to this server. Nobody may put it into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The plain page has its few styles in itself.
const PLAIN_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

pub(crate) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(index))
        .routes(routes!(asset))
}

/// The dashboard for browsers, and the words by which Ollama's clients know a server.
#[utoipa::path(
    get,
    path = "/",
    responses((status = 200, description = "The page, or the words.", content(
        (String = "text/html"),
        (String = "text/plain"),
    ))),
)]
async fn index(app: State<Arc<App>>, method: Method, headers: HeaderMap) -> Response {
    if method == Method::HEAD || !wants_a_page(&headers) {
        return ollama::RUNNING.into_response();
    }
    let mut response = match find("index.html") {
        // Names of other files change with their contents; this one must be asked for each time.
        Some(asset) => page(asset.bytes, POLICY),
        None => page(NOT_BUILT.as_bytes(), PLAIN_POLICY),
    };
    let cookie = app.door.as_ref().map(Door::set_cookie);
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// A browser that goes to an address says that it takes HTML. What says nothing of what it takes gets the page too.
fn wants_a_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT);
    accepts.is_none_or(|accepts| {
        let accepts = accepts.to_str().unwrap_or_default().to_ascii_lowercase();
        accepts.contains("text/html") || accepts.contains("application/xhtml")
    })
}

/// A file of the page.
#[utoipa::path(
    get,
    path = "/assets/{*path}",
    params(("path" = String, Path, description = "Its place.")),
    responses((status = 200, description = "The file.", body = Vec<u8>, content_type = "*/*")),
)]
async fn asset(path: Named) -> Response {
    let path = format!("assets/{}", name(path));
    let Some(asset) = find(&path) else {
        let message = format!("there is no file {path}");
        return error_response(Failure::new(ErrorCode::NotFound, message));
    };
    let headers = [
        (header::CONTENT_TYPE, media_type(&path)),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    respond(headers, asset.bytes)
}

fn page(bytes: &'static [u8], policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    respond(headers, bytes)
}

fn respond<const N: usize>(
    headers: [(HeaderName, &'static str); N],
    bytes: &'static [u8],
) -> Response {
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, bytes).into_response()
}

fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// Of what a build can hold; the rest is bytes.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}
