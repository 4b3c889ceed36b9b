//! Who may ask for what.
//!
//! From this computer: everything, and without a password, so requests that a web page elsewhere could have made are
//! refused. A page of a foreign site can make a browser send requests to this machine (their `Origin` gives them away),
//! and can point its own name at this machine to be taken for the same site (the `Host` gives that away). A browser's
//! request also needs the session's cookie, which it gets with the dashboard's page and sends from that page alone
//! (`SameSite=Strict`). Programs have no use for it: they send no `Sec-Fetch-Site`, which no page can leave out. No CORS
//! headers are ever sent.
//!
//! From other computers: the API's dialects alone, with a key that the node's user has made.

use std::net::{IpAddr, SocketAddr};

use base::{ErrorCode, Failure};
use http::header::{AUTHORIZATION, COOKIE as COOKIES, HOST, HeaderMap, ORIGIN};
use http::request::Parts;
use http::uri::Authority;

mod caller;

pub(crate) use caller::Caller;

use crate::ollama;

/// What a request is held against.
pub(crate) struct Door {
    hosts: Hosts,
    session: Session,
}

impl Door {
    /// Of a server that listens there; `session` is what browsers show.
    pub(crate) fn new(listen: SocketAddr, session: &str) -> Self {
        Self {
            hosts: Hosts::new(listen),
            session: Session::new(session),
        }
    }

    /// What comes with the dashboard's page.
    pub(crate) fn set_cookie(&self) -> String {
        self.session.set_cookie()
    }

    /// Whether a request may be answered.
    pub(crate) fn check(
        &self,
        request: &Parts,
        knows_key: impl Fn(&str) -> bool,
    ) -> Result<(), Failure> {
        let path = request.uri.path();
        let caller: Option<&Caller> = request.extensions.get();
        if caller.and_then(Caller::elsewhere).is_some() {
            return from_elsewhere(path, &request.headers, knows_key);
        }
        self.hosts.check(request)?;
        // The page and its files are for whoever asks; so is whether the node is there.
        if path == "/" || path == "/health" || path.starts_with("/assets/") {
            return Ok(());
        }
        self.session.check(request)
    }
}

/// A page in a browser cannot know a key, so the names and sites of the request do not matter.
fn from_elsewhere(
    path: &str,
    headers: &HeaderMap,
    knows_key: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    if path == "/health" {
        return Ok(());
    }
    if !path.starts_with("/v1/") && !path.starts_with("/api/") {
        let message = "from other computers only the API under /v1 and /api can be reached";
        return Err(Failure::new(ErrorCode::Forbidden, message)
            .hint("open the dashboard on the computer itself"));
    }
    if ollama::manages(path) {
        let message = "from other computers models can be used and not changed";
        return Err(Failure::new(ErrorCode::Forbidden, message)
            .hint("create, copy, pull and delete models on the computer itself"));
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    // Anthropic's clients send either, and both if they were given two keys.
    let mut keys = [bearer, text("x-api-key")].into_iter().flatten().peekable();
    if keys.peek().is_none() {
        return Err(no_key("an API key is needed from other computers"));
    }
    if keys.any(knows_key) {
        Ok(())
    } else {
        Err(no_key("this API key is not known here"))
    }
}

/// The names under which the server may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hosts {
    listen: IpAddr,
}

impl Hosts {
    fn new(listen: SocketAddr) -> Self {
        Self {
            listen: listen.ip(),
        }
    }

    /// Whether a request may be answered.
    fn check(self, request: &Parts) -> Result<(), Failure> {
        let mut hosts = request.headers.get_all(HOST).iter();
        let (host, second) = (hosts.next(), hosts.next());
        let host: Option<Authority> = host.and_then(|host| host.as_bytes().try_into().ok());
        let known = |authority: &Authority| self.knows(authority);
        let Some(host) = host.filter(|host| second.is_none() && known(host)) else {
            return Err(foreign_host());
        };
        if !request.uri.authority().is_none_or(known) {
            return Err(foreign_host());
        }
        let mut origins = request.headers.get_all(ORIGIN).iter();
        let same = |origin: &[u8]| {
            let origin = std::str::from_utf8(origin).ok();
            let authority = origin.and_then(|origin| origin.split_once("://"));
            authority.is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host.as_str()))
        };
        if !origins.all(|origin| same(origin.as_bytes())) {
            return Err(foreign_origin());
        }
        Ok(())
    }

    fn knows(self, authority: &Authority) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let name = authority.host();
        let name = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        match name.parse::<IpAddr>() {
            // Nobody can point an address elsewhere, so on a server for all addresses any is as good.
            Ok(ip) => ip.is_loopback() || ip == self.listen || self.listen.is_unspecified(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// What a browser shows to prove that it has loaded the dashboard from this node.
struct Session {
    /// `NAME=TOKEN`, as the browser sends it.
    cookie: String,
}

impl Session {
    fn new(token: &str) -> Self {
        Self {
            cookie: format!("{COOKIE}={token}"),
        }
    }

    /// What comes with the dashboard's page.
    fn set_cookie(&self) -> String {
        format!("{}; Path=/; HttpOnly; SameSite=Strict", self.cookie)
    }

    /// Whether a request may be answered that is not for the page itself.
    fn check(&self, request: &Parts) -> Result<(), Failure> {
        let site = request.headers.get(SEC_FETCH_SITE);
        // Typed into the address bar, or not from a browser at all.
        if site.is_none_or(|site| site == "none") {
            return Ok(());
        }
        let cookies = request.headers.get_all(COOKIES).iter();
        let mut pairs = cookies
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        if pairs.any(|pair| pair.trim() == self.cookie) {
            Ok(())
        } else {
            Err(no_session())
        }
    }
}

/// Where a browser's request comes from, in the browser's word: <https://www.w3.org/TR/fetch-metadata/>.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
const COOKIE: &str = "espalier_session";

fn no_key(message: &str) -> Failure {
    Failure::new(ErrorCode::Unauthenticated, message)
        .hint("make one in Settings of the computer that serves, and send it as the API key")
}

fn no_session() -> Failure {
    let message = "this browser has not opened the dashboard of this node";
    Failure::new(ErrorCode::Forbidden, message)
        .hint("open the node's address first, without a path")
}

fn foreign_host() -> Failure {
    let message = "the request is addressed to another host";
    Failure::new(ErrorCode::Forbidden, message).hint("use http://127.0.0.1 or http://localhost")
}

fn foreign_origin() -> Failure {
    let message = "requests from pages of other sites are refused";
    Failure::new(ErrorCode::Forbidden, message)
        .hint("call the API from a program or from the server of your page")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn check(listen: &str, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Hosts::new(listen.parse().unwrap()).check(&parts).is_ok()
    }

    #[test]
    fn only_this_machine_is_a_host() {
        let local = "127.0.0.1:3775";
        for host in [
            "127.0.0.1:3775",
            "127.0.0.1",
            "localhost:3775",
            "LOCALHOST",
            "[::1]:3775",
            "127.1.2.3",
        ] {
            assert!(check(local, "/", &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:3775",
            "127.0.0.1.evil.example",
            "192.168.1.2",
            "a@localhost",
            "",
            "localhost:x:y",
            "localhost.",
        ] {
            assert!(!check(local, "/", &[("host", host)]), "{host}");
        }
        assert!(!check(local, "/", &[]));
        assert!(!check(
            local,
            "/",
            &[("host", "localhost"), ("host", "evil.example")]
        ));
        assert!(!check(
            local,
            "http://evil.example/",
            &[("host", "localhost")]
        ));
        assert!(check("192.168.1.2:80", "/", &[("host", "192.168.1.2")]));
        assert!(!check("192.168.1.2:80", "/", &[("host", "192.168.1.3")]));
        assert!(check("0.0.0.0:80", "/", &[("host", "192.168.1.3")]));
        assert!(!check("0.0.0.0:80", "/", &[("host", "evil.example")]));
    }

    #[test]
    fn a_browser_needs_the_pages_cookie_and_a_program_does_not() {
        let session = Session::new("t0ken");
        let check = |headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri("/admin/state");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            session.check(&parts).is_ok()
        };
        assert!(check(&[]));
        assert!(check(&[("sec-fetch-site", "none")]));
        let same = ("sec-fetch-site", "same-origin");
        assert!(check(&[same, ("cookie", "a=b; espalier_session=t0ken")]));
        assert!(!check(&[same]));
        assert!(!check(&[same, ("cookie", "espalier_session=other")]));
        assert!(!check(&[("sec-fetch-site", "cross-site")]));
        assert!(session.set_cookie().contains("SameSite=Strict"));
    }

    #[test]
    fn another_computer_needs_a_key_and_gets_the_api_alone() {
        let door = Door::new("0.0.0.0:3775".parse().unwrap(), "t0ken");
        let check = |from: &str, path: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            parts.extensions.insert(Caller::new(from.parse().unwrap()));
            let checked = door.check(&parts, |key| key == "espalier-1");
            checked.err().map(|failure| failure.code)
        };
        let (there, host) = ("192.168.1.7", ("host", "oak.local:3775"));
        let models = "/v1/models";
        let key = ("authorization", "Bearer espalier-1");
        assert_eq!(check(there, models, &[host, key]), None);
        assert_eq!(
            check(there, models, &[host, ("x-api-key", "espalier-1")]),
            None
        );
        let both = [
            ("authorization", "Bearer none"),
            ("x-api-key", "espalier-1"),
        ];
        assert_eq!(check(there, "/v1/messages", &both), None);
        assert_eq!(check(there, "/api/chat", &[host, key]), None);
        assert_eq!(
            check(there, "/api/chat", &[host]),
            Some(ErrorCode::Unauthenticated)
        );
        assert_eq!(check(there, "/health", &[]), None);
        let refused = Some(ErrorCode::Unauthenticated);
        assert_eq!(check(there, models, &[host]), refused);
        for wrong in ["Bearer espalier-2", "Bearer", "Basic espalier-1", ""] {
            let wrong = ("authorization", wrong);
            assert_eq!(check(there, models, &[host, wrong]), refused, "{wrong:?}");
        }
        for path in [
            "/",
            "/admin/state",
            "/metrics",
            "/assets/a.js",
            "/v1",
            "/api",
            "/api/delete",
            "/api/create",
            "/api/blobs/sha256:0",
        ] {
            let code = check(there, path, &[host, key]);
            assert_eq!(code, Some(ErrorCode::Forbidden), "{path}");
        }
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let host = ("host", "localhost:3775");
            assert_eq!(check(here, "/admin/state", &[host]), None, "{here}");
        }
    }

    #[test]
    fn only_the_page_itself_is_an_origin() {
        let host = ("host", "localhost:3775");
        assert!(check(
            "127.0.0.1:3775",
            "/",
            &[host, ("origin", "http://localhost:3775")]
        ));
        for origin in [
            "http://evil.example",
            "http://localhost:3000",
            "http://127.0.0.1:3775",
            "null",
            "",
            "localhost:3775",
        ] {
            assert!(
                !check("127.0.0.1:3775", "/", &[host, ("origin", origin)]),
                "{origin}"
            );
        }
    }
}
