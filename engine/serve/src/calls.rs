//! The recent calls of the API's dialects, for its user to see: who asked for what, and how it went.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::Request;
use base::{Failure, Usage};
use http::header::USER_AGENT;
use tokio::sync::watch;

/// As many as somebody reads.
const CALLS_MAX: usize = 100;
/// What a client says of itself, and a path, may be as long as a header.
const CHARACTERS_MAX: usize = 160;

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Counts up.
    pub(crate) id: u64,
    /// Milliseconds since 1970.
    pub(crate) started_ms: u64,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The first word of its `User-Agent`; empty if there is none.
    pub(crate) client: String,
    /// `None` for this computer.
    pub(crate) from: Option<IpAddr>,
    /// As it was asked for; its real name once that is known.
    pub(crate) model: Option<String>,
    /// Its place in the model's queue, from 1; `None` while it does not wait there.
    pub(crate) position: Option<u32>,
    /// `None` until the answer begins.
    pub(crate) status: Option<u16>,
    /// `None` until the answer has ended.
    pub(crate) duration_ms: Option<u64>,
    pub(crate) usage: Option<Usage>,
    /// What went wrong.
    pub(crate) error: Option<String>,
}

/// The latest calls, the newest last. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls {
    kept: Arc<Mutex<Kept>>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Kept {
    calls: VecDeque<Call>,
    begun: u64,
}

/// One call while it is under way. It has ended when the last clone of this is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Noted(Arc<Open>);

#[derive(Debug)]
struct Open {
    calls: Calls,
    id: u64,
    began: Instant,
}

impl Calls {
    /// Notes that a call begins.
    pub(crate) fn begin(&self, request: &Request, from: Option<IpAddr>, started_ms: u64) -> Noted {
        let agent = request.headers().get(USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or("");
        let mut call = Call {
            id: 0,
            started_ms,
            method: short(request.method().as_str()),
            path: short(request.uri().path()),
            client: short(agent.split_whitespace().next().unwrap_or("")),
            from,
            model: None,
            position: None,
            status: None,
            duration_ms: None,
            usage: None,
            error: None,
        };
        let id = self.with(|kept| {
            kept.begun += 1;
            call.id = kept.begun;
            if kept.calls.len() == CALLS_MAX {
                kept.calls.pop_front();
            }
            kept.calls.push_back(call);
            kept.begun
        });
        Noted(Arc::new(Open {
            calls: self.clone(),
            id,
            began: Instant::now(),
        }))
    }

    /// As they are now.
    pub(crate) fn latest(&self) -> Vec<Call> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.calls.iter().cloned().collect()
    }

    /// Wakes whenever they have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        // A panic elsewhere leaves the list as whole as before.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut kept);
        drop(kept);
        self.changed.send_replace(());
        done
    }
}

impl Noted {
    /// The call that a request is; `None` for a request that is not listed.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        request.extensions().get().cloned()
    }

    pub(crate) fn model(&self, name: &str) {
        self.change(|call| call.model = Some(short(name)));
    }

    /// Its place in the queue; 0 once it runs. Of several prompts, the one heard of last.
    pub(crate) fn queued(&self, position: u32) {
        self.change(|call| call.position = (position > 0).then_some(position));
    }

    pub(crate) fn status(&self, status: u16) {
        self.change(|call| call.status = Some(status));
    }

    /// What one of its prompts took; a call may have several.
    pub(crate) fn usage(&self, usage: Usage) {
        self.change(|call| {
            let sum = call.usage.get_or_insert_default();
            sum.prompt_tokens = sum.prompt_tokens.saturating_add(usage.prompt_tokens);
            sum.completion_tokens = sum
                .completion_tokens
                .saturating_add(usage.completion_tokens);
        });
    }

    pub(crate) fn failed(&self, why: &Failure) {
        self.error(&why.message);
    }

    /// The client closed its connection before the answer was whole.
    pub(crate) fn hung_up(&self) {
        self.error("the client hung up");
    }

    /// What failed is tried again in another way.
    pub(crate) fn forgiven(&self) {
        self.change(|call| call.error = None);
    }

    fn error(&self, why: &str) {
        // The first reason is the reason.
        self.change(|call| {
            call.error.get_or_insert_with(|| short(why));
        });
    }

    fn change(&self, change: impl FnOnce(&mut Call)) {
        self.0.change(change);
    }
}

impl Open {
    fn change(&self, change: impl FnOnce(&mut Call)) {
        self.calls.with(|kept| {
            // One that is no longer listed has been pushed out by later ones.
            let found = kept.calls.iter_mut().find(|call| call.id == self.id);
            found.map(change)
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let took = self.began.elapsed().as_millis() as u64;
        self.change(|call| {
            call.duration_ms = Some(took);
            call.position = None;
        });
    }
}

fn short(text: &str) -> String {
    text.chars().take(CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(path: &str) -> Request {
        let request = Request::builder().uri(path).method("POST");
        let agent = request.header(USER_AGENT, "OpenAI/Python 1.90.0");
        agent.body(Body::empty()).unwrap()
    }

    #[test]
    fn a_call_is_told_from_its_beginning_to_its_end() {
        let calls = Calls::default();
        let mut changes = calls.changes();
        let noted = calls.begin(&request("/v1/completions"), None, 5);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        let begun = calls.latest().pop().unwrap();
        assert_eq!(
            (begun.client.as_str(), begun.status),
            ("OpenAI/Python", None)
        );
        let also = noted.clone();
        also.model("sprout");
        also.queued(2);
        assert_eq!(calls.latest()[0].position, Some(2));
        also.queued(0);
        assert_eq!(calls.latest()[0].position, None);
        also.status(200);
        for _ in 0..2 {
            also.usage(Usage {
                prompt_tokens: 3,
                completion_tokens: 4,
                ..Usage::default()
            });
        }
        also.hung_up();
        also.failed(&Failure::new(base::ErrorCode::Internal, "later"));
        drop(noted);
        assert_eq!(calls.latest()[0].duration_ms, None);
        drop(also);
        let ended = calls.latest().pop().unwrap();
        assert!(ended.duration_ms.is_some());
        assert_eq!(ended.status, Some(200));
        assert_eq!(ended.usage.unwrap().completion_tokens, 8);
        assert_eq!(ended.error.as_deref(), Some("the client hung up"));
        assert!(changes.has_changed().unwrap());
    }

    #[test]
    fn only_the_latest_are_kept() {
        let calls = Calls::default();
        let first = calls.begin(&request("/v1/models"), None, 0);
        for _ in 0..CALLS_MAX {
            calls.begin(&request(&"/x".repeat(500)), None, 0);
        }
        first.status(200);
        let latest = calls.latest();
        assert_eq!(latest.len(), CALLS_MAX);
        assert_eq!(latest[0].id, 2);
        assert_eq!(latest[0].path.len(), CHARACTERS_MAX);
    }
}
