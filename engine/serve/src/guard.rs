//! Who may ask for what.
//!
//! From this computer: everything, and without a password, so requests that a web page elsewhere could have made are
//! refused. A page of a foreign site can make a browser send requests to this machine (their `Origin` gives them away),
//! and can point its own name at this machine to be taken for the same site (the `Host` gives that away). A browser's
//! request also needs the session's cookie, which it gets with the dashboard's page and sends from that page alone
//! (`SameSite=Strict`). Programs have no use for it: they send no `Sec-Fetch-Site`, which no page can leave out.
//!
//! From other computers: what the key is for that comes with the request (`elsewhere.rs`), and only so much
//! (`throttle.rs`). Pages of other sites call the API's dialects if the user listed them (`origins.rs`).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use base::{ErrorCode, Failure};
use http::header::{COOKIE as COOKIES, HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;

mod caller;
mod elsewhere;
mod origins;
mod throttle;

use crate::user_data::KnownKey;
pub(crate) use caller::Caller;
pub use origins::is_origin;
pub(crate) use origins::{Listed, is_preflight};
pub(crate) use throttle::Admitted;
use throttle::{Throttle, Who};

/// What a request is held against.
pub(crate) struct Door {
    hosts: Hosts,
    session: Session,
    throttle: Throttle,
}

/// A request that may be answered.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The page of another site that it comes from.
    pub(crate) page: Option<Listed>,
    /// Counts it until it is answered; `None` for one from this computer.
    pub(crate) admitted: Option<Admitted>,
}

/// A request that may not.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The page that may read why.
    pub(crate) page: Option<Listed>,
    pub(crate) failure: Box<Failure>,
}

impl Door {
    /// Of a server that listens there; `session` is what browsers show.
    pub(crate) fn new(listen: SocketAddr, session: &str) -> Self {
        Self {
            hosts: Hosts::new(listen),
            session: Session::new(session),
            throttle: Throttle::default(),
        }
    }

    /// What comes with the dashboard's page.
    pub(crate) fn set_cookie(&self) -> String {
        self.session.set_cookie()
    }

    /// Whether a request may be answered. `allowed` are the origins of the pages that may call the API.
    pub(crate) fn check(
        &self,
        request: &Parts,
        allowed: &[String],
        known_key: impl Fn(&str) -> Option<KnownKey>,
    ) -> Result<Entry, Refusal> {
        let page = origins::listed(request, allowed);
        let caller: Option<&Caller> = request.extensions.get();
        let there = caller.and_then(Caller::elsewhere);
        let refused = |failure| Refusal {
            page: page.clone(),
            failure: Box::new(failure),
        };
        let asks_first = page.is_some() && is_preflight(request);
        let key = match there {
            _ if asks_first => Ok(None),
            Some(_) => elsewhere::check(request, known_key),
            None => self.here(request, page.is_some()).map(|()| None),
        };
        let Some(there) = there else {
            return match key {
                Ok(_) => Ok(Entry {
                    page,
                    admitted: None,
                }),
                Err(failure) => Err(refused(failure)),
            };
        };
        // Who guesses keys is counted too.
        let known = key.as_ref().ok().and_then(Option::as_ref);
        let who = known.map_or(Who::Address(there), |key| Who::Key(key.id.clone()));
        let admitted = self.throttle.admit(&who, Instant::now());
        match (key, admitted) {
            (Ok(_), Ok(admitted)) => Ok(Entry {
                page,
                admitted: Some(admitted),
            }),
            (Err(failure), Ok(_)) => Err(refused(failure)),
            (_, Err(throttled)) => Err(refused(throttled.failure())),
        }
    }

    /// A request from this computer; `listed` if it comes from a page that may call the API.
    fn here(&self, request: &Parts, listed: bool) -> Result<(), Failure> {
        let path = request.uri.path();
        self.hosts.check(request, listed)?;
        // The page and its files are for whoever asks; so is whether the node is there.
        if listed || path == "/" || path == "/health" || path.starts_with("/assets/") {
            return Ok(());
        }
        self.session.check(request)
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

    /// Whether a request may be answered; `listed` if its origin is known to be good.
    fn check(self, request: &Parts, listed: bool) -> Result<(), Failure> {
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
        if !listed && !origins.all(|origin| same(origin.as_bytes())) {
            return Err(foreign_origin());
        }
        Ok(())
    }

    fn knows(self, authority: &Authority) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let name = authority.host();
        let rest = authority.as_str().strip_prefix(name);
        if rest.is_none_or(|rest| !rest.is_empty() && !rest.starts_with(':')) {
            return false;
        }
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
    use crate::user_data::Scope;
    use http::Request;

    fn check(listen: &str, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let hosts = Hosts::new(listen.parse().unwrap());
        hosts.check(&parts, false).is_ok()
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
            "127.0.0.1.",
            "[::1].",
            "[::2]:3775",
            "[fe80::1]:3775",
            "[::ffff:10.0.0.1]",
            "0x7f.0.0.1",
            "2130706433",
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

    fn entered(
        door: &Door,
        from: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Entry, Refusal> {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(Caller::new(from.parse().unwrap()));
        let known_key = |key: &str| {
            (key == "espalier-1").then(|| KnownKey {
                id: "one".to_owned(),
                scope: Scope::Use,
            })
        };
        let allowed = ["https://chat.example".to_owned()];
        door.check(&parts, &allowed, known_key)
    }

    const THERE: &str = "192.168.1.7";
    const KEY: (&str, &str) = ("authorization", "Bearer espalier-1");

    #[test]
    fn another_computer_needs_a_key_and_this_one_does_not() {
        let door = Door::new("0.0.0.0:3775".parse().unwrap(), "t0ken");
        let code = |from: &str, path: &str, headers: &[(&str, &str)]| {
            let checked = entered(&door, from, path, headers);
            checked.err().map(|refusal| refusal.failure.code)
        };
        let host = ("host", "oak.local:3775");
        assert_eq!(code(THERE, "/v1/models", &[host, KEY]), None);
        let refused = Some(ErrorCode::Unauthenticated);
        assert_eq!(code(THERE, "/v1/models", &[host]), refused);
        assert_eq!(code(THERE, "/", &[host, KEY]), Some(ErrorCode::Forbidden));
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let host = ("host", "localhost:3775");
            assert_eq!(code(here, "/admin/state", &[host]), None, "{here}");
        }
    }

    #[test]
    fn callers_elsewhere_are_counted_and_those_here_are_not() {
        let door = Door::new("0.0.0.0:3775".parse().unwrap(), "t0ken");
        let host = ("host", "localhost:3775");
        let mut refused = None;
        for _ in 0..200 {
            let code = entered(&door, THERE, "/v1/models", &[KEY]);
            refused = refused.or(code.err());
            assert!(entered(&door, "127.0.0.1", "/v1/models", &[host]).is_ok());
        }
        let refused = refused.expect("too many in no time");
        assert_eq!(refused.failure.code, ErrorCode::Overloaded);
        assert!(refused.failure.retry_after.is_some() && refused.failure.hint.is_some());
        // Who has no key is counted too, by address, and refused as one without a key until then.
        let code = |from| entered(&door, from, "/v1/models", &[]).map(|_| ());
        assert_eq!(
            code("192.168.1.8").unwrap_err().failure.code,
            ErrorCode::Unauthenticated
        );
        let guess = || code("192.168.1.9").unwrap_err().failure.code;
        for _ in 0..200 {
            guess();
        }
        assert_eq!(guess(), ErrorCode::Overloaded);
    }

    #[test]
    fn a_listed_page_calls_the_api_and_nothing_else() {
        let door = Door::new("127.0.0.1:3775".parse().unwrap(), "t0ken");
        let host = ("host", "localhost:3775");
        let site = ("sec-fetch-site", "cross-site");
        let chat = ("origin", "https://chat.example");
        let entry = entered(&door, "127.0.0.1", "/v1/models", &[host, site, chat]).unwrap();
        assert!(entry.page.is_some());
        for (path, origin) in [
            ("/admin/state", chat),
            ("/v1/models", ("origin", "https://evil.example")),
            ("/v1/models", ("origin", "null")),
        ] {
            let refused = entered(&door, "127.0.0.1", path, &[host, site, origin]);
            assert_eq!(refused.unwrap_err().failure.code, ErrorCode::Forbidden);
        }
        // A name that was pointed here stays foreign.
        let rebound = ("host", "chat.example");
        assert!(entered(&door, "127.0.0.1", "/v1/models", &[rebound, site, chat]).is_err());
        // From elsewhere it needs a key as any program does, and may read that it does.
        let refused = entered(&door, THERE, "/v1/models", &[host, site, chat]).unwrap_err();
        assert_eq!(refused.failure.code, ErrorCode::Unauthenticated);
        assert!(refused.page.is_some());
    }

    #[test]
    fn only_the_page_itself_is_an_origin() {
        let host = ("host", "localhost:3775");
        assert!(check(
            "127.0.0.1:3775",
            "/",
            &[host, ("origin", "http://localhost:3775")]
        ));
        let ipv6 = [("host", "[::1]:3775"), ("origin", "http://[::1]:3775")];
        assert!(check("[::1]:3775", "/", &ipv6));
        for origin in [
            "http://evil.example",
            "http://localhost:3000",
            "http://127.0.0.1:3775",
            "null",
            "",
            "localhost:3775",
            "http://localhost:3775.",
            "http://localhost:3775@evil.example",
            "file://",
        ] {
            assert!(
                !check("127.0.0.1:3775", "/", &[host, ("origin", origin)]),
                "{origin}"
            );
        }
    }
}
