//! Requests to a hub: one client, its token for the hub alone, redirects followed by hand, everything with a limit.
//!
//! `hf-hub` 1.0 is not used: it begins a file anew after an interruption, checks no hash of what it fetched, and reads the
//! environment itself.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, HeaderMap, HeaderValue, LOCATION, RANGE,
    RETRY_AFTER,
};
use reqwest::{NoProxy, Proxy, Response, StatusCode, Url};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;

use super::Limits;
use super::error::DownloadError;
use super::listing::{HubFile, Listing};
use super::name::{Repository, Wanted};
use super::retry::{Problem, of_status};

/// A connection to a hub is made within this time, or something is wrong with the way there.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// Longest list of files: 20,000 of them, each with its hashes.
const LISTING_BYTES_MAX: usize = 16 << 20;
/// huggingface.co redirects twice for a renamed repository's large file.
const REDIRECTS_MAX: usize = 5;

/// Where models come from.
#[derive(Clone)]
pub struct Hub {
    /// Its address, `https://huggingface.co` or a mirror's.
    pub endpoint: String,
    /// Sent to the endpoint as a bearer, and to nobody that it redirects to.
    pub token: Option<String>,
    /// The proxy for HTTPS, as a URL.
    pub https_proxy: Option<String>,
    /// Hosts that are reached without it, separated by commas.
    pub no_proxy: Option<String>,
    /// Fetch nothing at all.
    pub offline: bool,
}

impl fmt::Debug for Hub {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    token: Option<HeaderValue>,
}

impl Client {
    /// The client of a download; `None` if nothing may come from a hub and members may have it.
    pub(super) fn of(hub: &Hub, limits: &Limits) -> Result<Option<Self>, DownloadError> {
        match Self::new(hub, limits.stall_max) {
            Err(DownloadError::Offline) if limits.members.is_some() => Ok(None),
            client => client.map(Some),
        }
    }

    /// A client whose answers may stand still for `stall_max`.
    pub(super) fn new(hub: &Hub, stall_max: Duration) -> Result<Self, DownloadError> {
        if hub.offline {
            return Err(DownloadError::Offline);
        }
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(stall_max)
            .user_agent(concat!("espalier/", env!("CARGO_PKG_VERSION")))
            .no_proxy();
        if let Some(url) = &hub.https_proxy {
            let proxy = Proxy::https(url).map_err(setting("HTTPS_PROXY"))?;
            let besides = hub.no_proxy.as_deref().and_then(NoProxy::from_string);
            builder = builder.proxy(proxy.no_proxy(besides));
        }
        Ok(Self {
            http: builder.build().map_err(setting("the network"))?,
            endpoint: endpoint(&hub.endpoint)?,
            token: hub.token.as_deref().map(bearer).transpose()?,
        })
    }

    /// What a repository holds at a revision.
    pub(super) async fn listing(&self, wanted: &Wanted) -> Result<Listing, Problem> {
        let revision = wanted.revision.replace('/', "%2F");
        let path = format!(
            "api/models/{}/revision/{revision}?blobs=true",
            wanted.repository
        );
        let mut response = self.get(&self.url(&path)?, None).await?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            body.extend_from_slice(&piece);
            if body.len() > LISTING_BYTES_MAX {
                let reason = format!("its list of files is longer than {LISTING_BYTES_MAX} bytes");
                return Err(Problem::Final(DownloadError::strange(reason)));
            }
        }
        Listing::read(&body).map_err(Problem::Final)
    }

    /// Opens bytes of a file of a commit; the answer is checked to be those, as far as its headers tell.
    pub(super) async fn range(
        &self,
        repository: &Repository,
        commit: &str,
        file: &HubFile,
        range: &Range<u64>,
    ) -> Result<Response, Problem> {
        let url = self.url(&format!("{repository}/resolve/{commit}/{}", file.name))?;
        let response = self.get(&url, Some((range, commit))).await?;
        let is_right = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let said = response
                    .headers()
                    .get(CONTENT_RANGE)
                    .and_then(|range| range.to_str().ok());
                said == Some(&format!(
                    "bytes {}-{}/{}",
                    range.start,
                    range.end - 1,
                    file.size
                ))
            }
            // Whoever does not know ranges gives all; its beginning will do.
            _ => {
                range.start == 0
                    && response
                        .content_length()
                        .is_none_or(|length| length == file.size)
            }
        };
        if is_right {
            return Ok(response);
        }
        Err(Problem::Broken(
            "it sends other bytes than were asked for".to_owned(),
        ))
    }

    fn url(&self, path: &str) -> Result<Url, Problem> {
        let url = self.endpoint.join(path);
        url.map_err(|error| Problem::Final(DownloadError::strange(error.to_string())))
    }

    /// A successful answer, whoever gives it in the end.
    async fn get(
        &self,
        url: &Url,
        wanted: Option<(&Range<u64>, &str)>,
    ) -> Result<Response, Problem> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.get_once(&url, wanted.map(|(range, _)| range)).await?;
            if let Some((_, commit)) = wanted {
                check_commit(response.headers(), commit)?;
            }
            if !response.status().is_redirection() {
                return fine(response, &url);
            }
            url = redirect(&url, response.headers())?;
        }
        let reason = format!("it redirects more than {REDIRECTS_MAX} times");
        Err(Problem::Final(DownloadError::strange(reason)))
    }

    async fn get_once(&self, url: &Url, range: Option<&Range<u64>>) -> Result<Response, Problem> {
        let mut request = self
            .http
            .get(url.clone())
            .header(ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        if let Some(token) = self
            .token
            .as_ref()
            .filter(|_| url.origin() == self.endpoint.origin())
        {
            request = request.header(AUTHORIZATION, token);
        }
        request.send().await.map_err(broken)
    }
}

/// A failure while talking, in words that name no address: it may hold a signature.
pub(super) fn broken(error: reqwest::Error) -> Problem {
    if error.is_timeout() {
        return Problem::Broken("nothing comes any more".to_owned());
    }
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    // Ends: a chain of causes is finite.
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    Problem::Broken(words)
}

fn fine(response: Response, url: &Url) -> Result<Response, Problem> {
    if response.status().is_success() {
        return Ok(response);
    }
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let mut shown = url.clone();
    shown.set_query(None);
    Err(of_status(
        response.status().as_u16(),
        retry_after,
        shown.as_str(),
    ))
}

/// The hub says which commit a file is of; a mirror may not.
fn check_commit(headers: &HeaderMap, commit: &str) -> Result<(), Problem> {
    match headers.get("x-repo-commit") {
        Some(said) if said.as_bytes() != commit.as_bytes() => Err(Problem::Broken(
            "it sends files of another commit".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Where a redirect leads: nowhere less private.
fn redirect(from: &Url, headers: &HeaderMap) -> Result<Url, Problem> {
    let to = headers
        .get(LOCATION)
        .and_then(|location| location.to_str().ok());
    let to = to.and_then(|location| from.join(location).ok());
    let is_fine = |to: &Url| to.scheme() == "https" || to.scheme() == from.scheme();
    to.filter(is_fine).ok_or_else(|| {
        let reason = "it redirects to where nobody may follow, no web server or a less private one";
        Problem::Final(DownloadError::strange(reason.to_owned()))
    })
}

fn endpoint(text: &str) -> Result<Url, DownloadError> {
    let with_slash = format!("{}/", text.trim_end_matches('/'));
    let url = Url::parse(&with_slash).map_err(setting("HF_ENDPOINT"))?;
    if matches!(url.scheme(), "http" | "https") && url.query().is_none() {
        return Ok(url);
    }
    Err(setting("HF_ENDPOINT")("it is no address of a web server"))
}

fn bearer(token: &str) -> Result<HeaderValue, DownloadError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
    let mut value =
        value.map_err(|_| setting("HF_TOKEN")("it has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// TLS as the rest of the program does it, with the certificates that the system trusts.
fn tls() -> Result<ClientConfig, DownloadError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier);
    Ok(builder
        .map_err(setting("the system's certificates"))?
        .with_no_client_auth())
}

fn setting<E: ToString>(what: &'static str) -> impl FnOnce(E) -> DownloadError {
    move |error| DownloadError::Setting {
        what,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_nowhere_less_private() {
        let to = |from: &str, location: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().unwrap());
            redirect(&Url::parse(from).unwrap(), &headers)
                .map(String::from)
                .ok()
        };
        assert_eq!(to("https://a/x", "/y").as_deref(), Some("https://a/y"));
        assert_eq!(
            to("http://a/x", "https://b/y").as_deref(),
            Some("https://b/y")
        );
        assert_eq!(to("https://a/x", "http://b/y"), None);
        assert_eq!(to("https://a/x", "file:///etc/passwd"), None);
    }

    #[test]
    fn settings_that_mean_nothing_are_named() {
        for wrong in ["huggingface.co", "file:///x", "https://h/?x"] {
            let error = endpoint(wrong).unwrap_err().to_string();
            assert!(error.starts_with("HF_ENDPOINT cannot be used"), "{error}");
        }
        assert_eq!(
            endpoint("https://h/mirror").unwrap().as_str(),
            "https://h/mirror/"
        );
        assert!(bearer("a\nb").unwrap_err().to_string().contains("HF_TOKEN"));
    }
}
