//! A small client of the local node's HTTP API: JSON questions and answers, and server-sent events.
//!
//! One connection for each request, dropped to cancel it.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::failure::CommandFailure;
use crate::cli::Target;

/// A connection to this same machine is made or refused at once.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// The first byte of an answer may have to wait for a model that is loaded on demand, even from a slow disk.
const ANSWER_LIMIT: Duration = Duration::from_mins(10);
/// Longest answer that is not a stream; a cluster's state is some kilobytes.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Sends requests to one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    port: u16,
}

/// The answer to a request that went well, still open. Dropping it hangs up.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Incoming,
    connection: JoinHandle<()>,
    unread: Vec<u8>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Client {
    pub(crate) fn new(target: &Target) -> Self {
        Self { port: target.port }
    }

    /// The JSON at a path.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, CommandFailure> {
        self.send(Method::GET, path, None).await?.json().await
    }

    /// The JSON that answers a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CommandFailure> {
        self.send(Method::POST, path, Some(body))
            .await?
            .json()
            .await
    }

    /// Deletes what is at a path.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), CommandFailure> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    /// The open answer to a JSON body.
    pub(crate) async fn open(&self, path: &str, body: &Value) -> Result<Answer, CommandFailure> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// The open answer to a request for a stream of events.
    pub(crate) async fn follow(&self, path: &str) -> Result<Answer, CommandFailure> {
        self.send(Method::GET, path, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, CommandFailure> {
        let none = CommandFailure::NoNode { port: self.port };
        let connect = TcpStream::connect(("127.0.0.1", self.port));
        let Ok(Ok(socket)) = timeout(CONNECT_LIMIT, connect).await else {
            return Err(none);
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|error| broken(&error))?;
        let connection = tokio::spawn(async move {
            // How a connection ends is seen by whoever reads the answer.
            let _ = connection.await;
        });
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, format!("127.0.0.1:{}", self.port))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(bytes.unwrap_or_default()))
            .map_err(|error| CommandFailure::other(format!("cannot ask for {path}: {error}")))?;
        let response = timeout(ANSWER_LIMIT, sender.send_request(request))
            .await
            .map_err(|_| CommandFailure::other("the node did not answer in time"))?
            .map_err(|error| broken(&error))?;
        let status = response.status();
        let answer = Answer {
            body: response.into_body(),
            connection,
            unread: Vec::new(),
        };
        if status.is_success() {
            return Ok(answer);
        }
        Err(refusal(status, &answer.json().await.unwrap_or_default()))
    }
}

impl Answer {
    async fn json(mut self) -> Result<Value, CommandFailure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > BODY_BYTES_MAX {
                return Err(CommandFailure::other("the node's answer is too long"));
            }
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .map_err(|_| CommandFailure::other("the program on that port is no Espalier node"))
    }

    /// The data of the next server-sent event; `None` at the end of the stream.
    pub(crate) async fn event(&mut self) -> Result<Option<String>, CommandFailure> {
        loop {
            if let Some(data) = next_event(&mut self.unread) {
                return Ok(Some(data));
            }
            if self.unread.len() > BODY_BYTES_MAX {
                return Err(CommandFailure::other("the node's answer is too long"));
            }
            match self.chunk().await? {
                Some(chunk) => self.unread.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// The next bytes of the body. No limit of its own: a loaded model answers when it answers, and a person can
    /// always hang up.
    async fn chunk(&mut self) -> Result<Option<Bytes>, CommandFailure> {
        loop {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(broken(&error)),
                None => return Ok(None),
            }
        }
    }
}

/// A name as part of a path; its slashes stay.
pub(crate) fn in_path(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte);
    let written = name.bytes().map(|byte| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    written.collect()
}

/// Takes the first whole event's data out of `unread`; comments and other fields are skipped.
fn next_event(unread: &mut Vec<u8>) -> Option<String> {
    loop {
        let end = unread.windows(2).position(|pair| pair == b"\n\n")?;
        let event: Vec<u8> = unread.drain(..end + 2).collect();
        let text = String::from_utf8_lossy(&event);
        let data: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| data.strip_prefix(' ').unwrap_or(data))
            .collect();
        if !data.is_empty() {
            return Some(data.join("\n"));
        }
    }
}

fn broken(error: &hyper::Error) -> CommandFailure {
    CommandFailure::with_hint(
        format!("the connection to the node broke: {error}"),
        "see whether it still runs with `espalier status`",
    )
}

/// Every API dialect and the admin API put what went wrong into `error`.
fn refusal(status: StatusCode, body: &Value) -> CommandFailure {
    failure_in(body).unwrap_or_else(|| CommandFailure::other(format!("the node answered {status}")))
}

/// The failure that a body carries, if it does.
pub(crate) fn failure_in(body: &Value) -> Option<CommandFailure> {
    let error = body.get("error")?;
    let message = error["message"].as_str().or_else(|| error.as_str())?;
    Some(match error["hint"].as_str() {
        // An OpenAI envelope has no field for the hint: there it is part of the message.
        Some(hint) if !message.contains(hint) => CommandFailure::with_hint(message, hint),
        _ => CommandFailure::other(message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_taken_whole_however_they_are_cut() {
        let stream =
            ": keep-alive\n\ndata: {\"a\":1}\n\nevent: x\ndata: one\ndata:two\n\ndata: [DONE]\n\n";
        for size in 1..stream.len() {
            let mut unread = Vec::new();
            let mut events = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                unread.extend_from_slice(piece);
                while let Some(event) = next_event(&mut unread) {
                    events.push(event);
                }
            }
            assert_eq!(events, ["{\"a\":1}", "one\ntwo", "[DONE]"], "{size}");
        }
    }

    #[test]
    fn a_name_stays_one_in_a_path() {
        assert_eq!(in_path("ada/my model?#é"), "ada/my%20model%3F%23%C3%A9");
    }

    #[test]
    fn a_refusal_says_what_the_node_said() {
        let body =
            json!({"error": {"message": "no model named x", "hint": "see `espalier models list`"}});
        assert_eq!(
            refusal(StatusCode::NOT_FOUND, &body).to_string(),
            "no model named x\nhint: see `espalier models list`"
        );
        assert_eq!(
            refusal(StatusCode::BAD_GATEWAY, &Value::Null).to_string(),
            "the node answered 502 Bad Gateway"
        );
    }
}
