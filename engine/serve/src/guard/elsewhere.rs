//! What programs on other computers may ask for, and with which keys. Pure.
//!
//! A key for use reaches the models; one that may manage also what changes the node or shows what is on it. The page
//! is for the computer itself: a browser could not send a key with it.

use base::{ErrorCode, Failure};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::ollama;
use crate::user_data::{KnownKey, Scope};

/// What a request has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    Nothing,
    Key(Scope),
    /// No key is enough.
    ThisComputer,
}

fn needed(method: &Method, path: &str) -> Needed {
    // Whether a server is there at all, asked in two ways.
    if path == "/health" || (path == "/" && method == Method::HEAD) {
        Needed::Nothing
    } else if path.starts_with("/admin/") || path == "/metrics" || ollama::manages(path) {
        Needed::Key(Scope::Manage)
    } else if path.starts_with("/v1/") || path.starts_with("/api/") || path == "/openapi.json" {
        Needed::Key(Scope::Use)
    } else {
        Needed::ThisComputer
    }
}

/// Whose request it is: with which key, if one is needed. A page in a browser cannot know a key, so the names and
/// sites of the request do not matter.
pub(super) fn check(
    request: &Parts,
    known_key: impl Fn(&str) -> Option<KnownKey>,
) -> Result<Option<KnownKey>, Failure> {
    let scope = match needed(&request.method, request.uri.path()) {
        Needed::Nothing => return Ok(None),
        Needed::Key(scope) => scope,
        Needed::ThisComputer => return Err(not_from_there()),
    };
    let mut shown = keys(&request.headers).peekable();
    if shown.peek().is_none() {
        return Err(no_key("an API key is needed from other computers"));
    }
    let known: Vec<KnownKey> = shown.filter_map(known_key).collect();
    match known.iter().find(|key| key.scope >= scope) {
        Some(key) => Ok(Some(key.clone())),
        None if known.is_empty() => Err(no_key("this API key is not known here")),
        None => Err(may_only_use()),
    }
}

/// Anthropic's clients send a key in either way, and in both if they were given two.
fn keys(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    [bearer, text("x-api-key")].into_iter().flatten()
}

fn not_from_there() -> Failure {
    let message = "from other computers only the API can be reached";
    Failure::new(ErrorCode::Forbidden, message).hint("open the dashboard on the computer itself")
}

fn no_key(message: &str) -> Failure {
    Failure::new(ErrorCode::Unauthenticated, message)
        .hint("make one in Settings of the computer that serves, and send it as the API key")
}

fn may_only_use() -> Failure {
    let message = "this API key may use models, not manage them or the node";
    Failure::new(ErrorCode::Forbidden, message)
        .hint("make one that may manage in Settings of the computer that serves")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Option<String>, ErrorCode> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let known_key = |key: &str| {
            let scope = match key {
                "espalier-u" => Scope::Use,
                "espalier-m" => Scope::Manage,
                _ => return None,
            };
            let id = key.to_owned();
            Some(KnownKey { id, scope })
        };
        let checked = check(&parts, known_key);
        checked.map(|key| key.map(|key| key.id)).map_err(|failure| {
            assert!(failure.hint.is_some());
            failure.code
        })
    }

    const USE: (&str, &str) = ("authorization", "Bearer espalier-u");
    const MANAGE: (&str, &str) = ("x-api-key", "espalier-m");

    #[test]
    fn what_a_key_reaches_is_its_scope() {
        for (method, path) in [
            ("GET", "/v1/models"),
            ("GET", "/openapi.json"),
            ("POST", "/v1/messages"),
            ("POST", "/api/chat"),
            ("GET", "/api/tags"),
        ] {
            assert_eq!(checked(method, path, &[]), Err(ErrorCode::Unauthenticated));
            let by_use = checked(method, path, &[USE]);
            assert_eq!(by_use, Ok(Some("espalier-u".to_owned())), "{path}");
            assert!(checked(method, path, &[MANAGE]).is_ok(), "{path}");
        }
        for (method, path) in [
            ("GET", "/admin/state"),
            ("POST", "/admin/instances"),
            ("GET", "/metrics"),
            ("POST", "/api/pull"),
            ("DELETE", "/api/delete"),
            ("POST", "/api/create"),
            ("POST", "/api/copy"),
            ("POST", "/api/push"),
            ("POST", "/api/blobs/sha256:00"),
        ] {
            assert_eq!(checked(method, path, &[]), Err(ErrorCode::Unauthenticated));
            assert_eq!(checked(method, path, &[USE]), Err(ErrorCode::Forbidden));
            assert!(checked(method, path, &[MANAGE]).is_ok(), "{path}");
            // The better one of two counts.
            assert!(checked(method, path, &[USE, MANAGE]).is_ok(), "{path}");
        }
        for path in ["/", "/assets/a.js", "/v1", "/admin", "/api", "//v1/models"] {
            assert_eq!(
                checked("GET", path, &[MANAGE]),
                Err(ErrorCode::Forbidden),
                "{path}"
            );
        }
        assert_eq!(checked("GET", "/health", &[]), Ok(None));
        assert_eq!(checked("HEAD", "/", &[]), Ok(None));
    }

    #[test]
    fn what_is_no_key_is_none() {
        for wrong in [
            "Bearer espalier-x",
            "Bearer",
            "Basic espalier-u",
            "",
            "espalier-u",
        ] {
            let wrong = ("authorization", wrong);
            let refused = checked("GET", "/v1/models", &[wrong]);
            assert_eq!(refused, Err(ErrorCode::Unauthenticated), "{wrong:?}");
        }
        let both = [
            ("authorization", "Bearer none"),
            ("x-api-key", "espalier-u"),
        ];
        assert!(checked("GET", "/v1/models", &both).is_ok());
    }
}
