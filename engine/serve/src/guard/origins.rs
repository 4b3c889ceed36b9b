//! Pages of other sites whose scripts may call the API, because the node's user listed them: CORS,
//! <https://fetch.spec.whatwg.org/#http-cors-protocol>. Pure. Nothing else ever gets these headers, and no page gets
//! the admin API.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::request::Parts;
use http::{Method, Uri};

/// Longest list of headers that a page may ask to send. A client of the API has a handful.
const REQUEST_HEADERS_BYTES_MAX: usize = 1024;
/// <https://wicg.github.io/private-network-access/>: a page from the internet asks for this computer.
const REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

/// A page that was listed, by its origin as it sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed(HeaderValue);

/// The listed page that a request for the API comes from.
pub(super) fn listed(request: &Parts, allowed: &[String]) -> Option<Listed> {
    let path = request.uri.path();
    if !path.starts_with("/v1/") && !path.starts_with("/api/") {
        return None;
    }
    let mut origins = request.headers.get_all(ORIGIN).iter();
    let (origin, second) = (origins.next()?, origins.next());
    let is_listed = allowed
        .iter()
        .any(|one| origin.as_bytes().eq_ignore_ascii_case(one.as_bytes()));
    (is_listed && second.is_none()).then(|| Listed(origin.clone()))
}

/// Whether a browser only asks whether it may send the real request. Such a question never has a key.
pub(crate) fn is_preflight(request: &Parts) -> bool {
    request.method == Method::OPTIONS && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

impl Listed {
    /// What lets the page read an answer, that to a preflight too.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.0.clone());
        let readable = HeaderValue::from_static("retry-after");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, readable);
        headers.append(VARY, HeaderValue::from_static("origin"));
    }

    /// What the page may send.
    pub(crate) fn answer(request: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let methods = HeaderValue::from_static("GET, HEAD, POST, DELETE");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(asked) = asked.filter(|asked| asked.len() <= REQUEST_HEADERS_BYTES_MAX) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        if request.contains_key(REQUEST_PRIVATE_NETWORK) {
            headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        headers
    }
}

/// Whether a text is what a browser sends as a page's origin: a scheme, a host and perhaps a port.
pub fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/?#@*\\".contains(&byte);
    let sound = !scheme.is_empty() && !rest.is_empty() && rest.bytes().all(plain);
    sound
        && text.len() <= 256
        && text
            .parse::<Uri>()
            .is_ok_and(|uri| uri.authority().is_some())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_listed_pages_and_only_the_api() {
        let allowed = [
            "https://chat.example".to_owned(),
            "http://localhost:3000".to_owned(),
        ];
        let is_listed = |path: &str, headers: &[(&str, &str)]| {
            listed(&parts("POST", path, headers), &allowed).is_some()
        };
        let chat = ("origin", "https://chat.example");
        assert!(is_listed("/v1/chat/completions", &[chat]));
        assert!(is_listed(
            "/api/chat",
            &[("origin", "HTTP://localhost:3000")]
        ));
        for path in ["/admin/state", "/", "/metrics", "/v1"] {
            assert!(!is_listed(path, &[chat]), "{path}");
        }
        for origin in [
            "null",
            "",
            "https://chat.example.evil",
            "https://chat.example:444",
            "http://chat.example",
            "https://chat.example.",
        ] {
            assert!(!is_listed("/v1/models", &[("origin", origin)]), "{origin}");
        }
        assert!(!is_listed("/v1/models", &[]));
        assert!(!is_listed(
            "/v1/models",
            &[chat, ("origin", "https://evil.example")]
        ));
    }

    #[test]
    fn a_preflight_is_answered_for_that_page_alone() {
        let asked = parts(
            "OPTIONS",
            "/v1/chat/completions",
            &[
                ("origin", "https://chat.example"),
                ("access-control-request-method", "POST"),
                (
                    "access-control-request-headers",
                    "authorization,content-type",
                ),
                ("access-control-request-private-network", "true"),
            ],
        );
        assert!(is_preflight(&asked));
        let page = listed(&asked, &["https://chat.example".to_owned()]).unwrap();
        let mut headers = Listed::answer(&asked.headers);
        page.write(&mut headers);
        let text = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(text("access-control-allow-origin"), "https://chat.example");
        assert_eq!(
            text("access-control-allow-headers"),
            "authorization,content-type"
        );
        assert_eq!(text("access-control-allow-private-network"), "true");
        assert_eq!(text("vary"), "origin");
        assert!(!headers.contains_key("access-control-allow-credentials"));
        assert!(!is_preflight(&parts("OPTIONS", "/v1/models", &[])));
    }

    #[test]
    fn what_an_origin_is() {
        for good in [
            "https://chat.example",
            "http://localhost:3000",
            "http://[::1]:8080",
            "app://obsidian.md",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "null",
            "",
            "chat.example",
            "https://",
            "https://a/b",
            "https://*.example",
            "https://a@b",
            "://a",
            "https://a b",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
