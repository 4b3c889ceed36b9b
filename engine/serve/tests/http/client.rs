//! An HTTP client of a few lines, so that tests can send what a proper client would not.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::described;

/// What takes longer hangs.
const LIMIT: Duration = Duration::from_secs(10);

pub struct Client {
    pub address: SocketAddr,
}

pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

pub struct Connection(TcpStream);

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Sends one request on a connection of its own, and holds it and its answer against the `OpenAPI` document. `Host` and `Content-Length` are added unless given.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let answer = self.exchange(method, path, headers, body).await;
        let document = self.exchange("GET", "/openapi.json", &[], b"").await;
        described::check(&document.json(200), method, path, body, &answer);
        answer
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = self.head(method, path, headers, body.len());
        let (mut reader, mut writer) = stream.split();
        let mut answer = Vec::new();
        let writing = async {
            writer.write_all(head.as_bytes()).await.unwrap();
            // A server that refuses a body need not read it.
            let _ = writer.write_all(body).await;
        };
        let both = async { tokio::join!(writing, reader.read_to_end(&mut answer)).1 };
        timeout(LIMIT, both).await.expect("an answer").unwrap();
        Answer::parse(&answer)
    }

    /// Sends a request and leaves the connection open.
    pub async fn open(&self, method: &str, path: &str, body: &[u8]) -> Connection {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = self.head(
            method,
            path,
            &[("Content-Type", "application/json")],
            body.len(),
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        Connection(stream)
    }

    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], body: usize) -> String {
        let has = |name: &str| {
            headers
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        let mut lines = vec![
            format!("{method} {path} HTTP/1.1"),
            "Connection: close".to_string(),
        ];
        if !has("host") {
            lines.push(format!("Host: {}", self.address));
        }
        if !has("transfer-encoding") {
            lines.push(format!("Content-Length: {body}"));
        }
        lines.extend(
            headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}")),
        );
        lines.join("\r\n") + "\r\n\r\n"
    }
}

impl Connection {
    /// Reads until `end` has come; what was read.
    pub async fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        // The head has an empty line too.
        let mut head = true;
        loop {
            let mut bytes = [0; 4096];
            let count = timeout(LIMIT, self.0.read(&mut bytes))
                .await
                .expect("more")
                .unwrap();
            assert!(count > 0, "the stream ended after {text}");
            text += &String::from_utf8_lossy(&bytes[..count]);
            if head && let Some((_, body)) = text.split_once("\r\n\r\n") {
                (text, head) = (body.to_string(), false);
            }
            if text.contains(end) {
                return text;
            }
            head = head && text.starts_with("HTTP");
        }
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_string()))
            .collect();
        let mut body = bytes[end + 4..].to_vec();
        if headers
            .iter()
            .any(|(name, value)| name == "transfer-encoding" && value == "chunked")
        {
            body = dechunked(&body);
        }
        Self {
            status,
            headers,
            body,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The name and the data of each server-sent event.
    pub fn events(&self) -> Vec<(String, Value)> {
        let text = self.text();
        let events = text.split("\n\n").filter(|event| !event.is_empty());
        let events = events.map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let name = name.strip_prefix("event: ").unwrap().to_string();
            let data = data.strip_prefix("data: ").unwrap();
            (name, serde_json::from_str(data).unwrap())
        });
        events.collect()
    }

    /// The data of each server-sent event.
    pub fn data(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(str::to_string).collect()
    }
}

fn dechunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    whole
}
