//! A hub's answers, with or without a fault.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE, RETRY_AFTER,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;

use super::{Fault, Host, RepositoryFile, lock};

/// Sent at once; between two pieces other tasks and the connection have their turn.
const PIECE_BYTES: usize = 16 << 10;
/// Longer than any client of a test waits.
const STALL: Duration = Duration::from_mins(1);

/// `GET /api/models/{owner}/{name}/revision/{revision}`.
pub(super) async fn listing(
    State(host): State<Host>,
    Path((_, _, revision)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let mut contents = lock(&host.contents);
    note_token(&mut contents.with_token, &headers);
    let commit = contents.commit_of(revision);
    match contents.commits.get(&commit) {
        Some(snapshot) => {
            let more = [("x-more", "x".repeat(contents.more_header))];
            (more, axum::Json(&snapshot.listing)).into_response()
        }
        None => missing("Invalid rev id"),
    }
}

/// `HEAD` and `GET /{owner}/{name}/resolve/{revision}/{path}`.
pub(super) async fn resolve(
    State(host): State<Host>,
    Path((_, _, revision, path)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut contents = lock(&host.contents);
    note_token(&mut contents.with_token, &headers);
    let commit = contents.commit_of(revision);
    let published = contents.commits.get(&commit).cloned();
    let Some((file, etag)) = published.as_ref().and_then(|published| {
        let file = published.snapshot.files.get(&path)?;
        Some((file, &published.etags[&path]))
    }) else {
        return missing("Entry not found");
    };
    let redirect = contents.redirect.clone();
    drop(contents);
    let mut response = if file.is_large {
        let second = host.second;
        let to = redirect
            .unwrap_or_else(|| format!("http://{second}/lfs/{commit}/{path}?signature=secret"));
        (StatusCode::FOUND, [(LOCATION, to)]).into_response()
    } else {
        content(&host, &path, file, &method, &headers)
    };
    let etag = format!("\"{etag}\"");
    let more = [
        ("x-repo-commit", commit),
        ("x-linked-size", file.size().to_string()),
        ("x-linked-etag", etag.clone()),
        (ETAG.as_str(), etag),
    ];
    for (name, value) in more {
        if let (Ok(name), Ok(value)) = (axum::http::HeaderName::try_from(name), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The second host's files.
pub(super) async fn large(
    State(host): State<Host>,
    Path((commit, path)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut contents = lock(&host.contents);
    contents.leaked += usize::from(headers.contains_key(AUTHORIZATION));
    let published = contents.commits.get(&commit).cloned();
    drop(contents);
    let file = published
        .as_ref()
        .and_then(|published| published.snapshot.files.get(&path));
    match file {
        Some(file) => content(&host, &path, file, &method, &headers),
        None => missing("NoSuchKey"),
    }
}

fn note_token(counts: &mut (usize, usize), headers: &HeaderMap) {
    if headers.contains_key(AUTHORIZATION) {
        counts.0 += 1;
    } else {
        counts.1 += 1;
    }
}

fn missing(why: &'static str) -> Response {
    (StatusCode::NOT_FOUND, why).into_response()
}

/// The bytes that were asked for, or what goes wrong instead.
fn content(
    host: &Host,
    path: &str,
    file: &RepositoryFile,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let size = file.size();
    let asked = headers
        .get(RANGE)
        .and_then(|range| asked(range.to_str().ok()?, size));
    let range = asked.clone().unwrap_or(0..size);
    let mut body = file.range(&range);
    let length = body.len();
    if method == Method::HEAD {
        body.clear();
    }
    let fault = {
        let mut contents = lock(&host.contents);
        let fault = contents.faults.next(body.len() as u64);
        if fault == Some(Fault::Moved) {
            contents.move_on();
        }
        fault
    };
    let mut said = size;
    let mut end = End::Fine;
    match fault {
        Some(Fault::TooMany) => {
            return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "0")]).into_response();
        }
        Some(Fault::Broken) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::Moved) => return missing("Invalid rev id"),
        Some(Fault::WrongLength) => {
            said += 1;
            body.clear();
            end = End::Cut;
        }
        Some(Fault::WrongContent) => body.iter_mut().take(1).for_each(|byte| *byte ^= 1),
        Some(Fault::Cut(at)) => {
            body.truncate(at as usize);
            end = End::Cut;
        }
        Some(Fault::Stall(at)) => {
            body.truncate(at as usize);
            end = End::Stall;
        }
        Some(Fault::Endless) => end = End::Never,
        None => {}
    }
    let body = Body::from_stream(sent(host, path, body, end));
    let mut response = Response::new(body);
    if asked.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {}-{}/{said}", range.start, range.end - 1);
        if let Ok(range) = range.parse() {
            response.headers_mut().insert(CONTENT_RANGE, range);
        }
    }
    if end != End::Never {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

/// `bytes=first-last` as a range of a file of `size` bytes.
fn asked(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < size).then_some(first..last + 1)
}

/// How a body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Fine,
    Cut,
    Stall,
    Never,
}

/// A body in pieces, each counted as it goes out.
fn sent(
    host: &Host,
    path: &str,
    body: Vec<u8>,
    end: End,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> + use<> {
    let (contents, path) = (Arc::clone(&host.contents), path.to_owned());
    stream::unfold((Bytes::from(body), false), move |(mut rest, is_over)| {
        let (contents, path) = (Arc::clone(&contents), path.clone());
        async move {
            if is_over {
                return None;
            }
            if rest.is_empty() && end == End::Never {
                rest = Bytes::from_static(&[0; PIECE_BYTES]);
            }
            if !rest.is_empty() {
                let pause = lock(&contents).piece_pause;
                // Even the shortest sleep takes a millisecond.
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let piece = rest.split_to(rest.len().min(PIECE_BYTES));
                *lock(&contents).sent.entry(path).or_default() += piece.len() as u64;
                return Some((Ok(piece), (rest, false)));
            }
            match end {
                End::Fine | End::Never => return None,
                // The connection sends what it has before it looks for more.
                End::Cut => tokio::time::sleep(Duration::from_millis(2)).await,
                End::Stall => tokio::time::sleep(STALL).await,
            }
            Some((
                Err(std::io::ErrorKind::ConnectionAborted.into()),
                (rest, true),
            ))
        }
    })
}
