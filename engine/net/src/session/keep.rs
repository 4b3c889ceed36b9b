//! Keeps calling one peer: again after a session ends, later and later while it cannot be reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::call::{CallError, Target, call};
use super::{Context, SessionId};
use crate::hub::HubMessage;
use crate::limits::{COVERED_RECHECK, NEWCOMER_MS, REDIAL_MS, REFUSED_MS};

/// Numbers the sessions of this process; only their difference matters.
static NEXT_SESSION: AtomicU64 = AtomicU64::new(0);

/// A number for a new session.
pub(crate) fn next_session() -> SessionId {
    SessionId(NEXT_SESSION.fetch_add(1, Ordering::Relaxed))
}

/// Calls `target` for ever, or until this node leaves. New addresses are tried at once.
pub(crate) async fn keep_calling(
    context: Arc<Context>,
    target: Target,
    mut addresses: watch::Receiver<Vec<SocketAddr>>,
) {
    let mut failures = 0;
    // Who is there, as far as is known: it need not be called twice.
    let mut answers = match &target {
        Target::Node(node) => Some(*node),
        Target::Given(_) => None,
    };
    while !context.leaving.is_cancelled() {
        let known = addresses.borrow_and_update().clone();
        let called = match answers.filter(|node| context.is_called(*node)) {
            Some(node) => Err(CallError::Covered(node)),
            None => call(&context, &target, &known, next_session()).await,
        };
        let wait = match called {
            Ok(node) => {
                answers = Some(node);
                failures = 0;
                backoff(REDIAL_MS, 0, draw())
            }
            Err(CallError::Itself) => {
                tracing::debug!(?target, "not called again: it is this node itself");
                let _ = context.hub.send(HubMessage::Itself(target)).await;
                return;
            }
            Err(error) => {
                answers = error.answered().or(answers);
                let wait = wait_after(&error, failures, draw());
                failures += 1;
                tracing::debug!(?target, %error, ?wait, "a call failed");
                let failed = HubMessage::CallFailed {
                    target: target.clone(),
                    error,
                };
                if context.hub.send(failed).await.is_err() {
                    return;
                }
                wait
            }
        };
        tokio::select! {
            biased;
            () = context.leaving.cancelled() => return,
            changed = addresses.changed() => match changed {
                Ok(()) => failures = 0,
                Err(_) => return,
            },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn wait_after(error: &CallError, failures: u32, draw: u8) -> Duration {
    match error {
        CallError::Covered(_) => COVERED_RECHECK,
        error if error.is_newcomer() => backoff(NEWCOMER_MS, failures, draw),
        error if error.is_refusal() => backoff(REFUSED_MS, failures, draw),
        _ => backoff(REDIAL_MS, failures, draw),
    }
}

/// Doubles from the first to the longest wait; `draw` of 0 to 255 takes off up to half, so that nodes that lost
/// each other at the same moment do not call in step.
fn backoff((first_ms, longest_ms): (u64, u64), failures: u32, draw: u8) -> Duration {
    let whole_ms = first_ms
        .saturating_mul(1 << failures.min(16))
        .min(longest_ms);
    Duration::from_millis(whole_ms - whole_ms * u64::from(draw) / 512)
}

fn draw() -> u8 {
    let mut byte = [128];
    // Without randomness every wait is three quarters: nothing breaks.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::ProofError;
    use crate::session::handshake::HandshakeError;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<u128> = (0..7)
            .map(|failures| backoff(REDIAL_MS, failures, 0).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(backoff(REDIAL_MS, u32::MAX, 255).as_millis(), 1004);
        assert_eq!(backoff(REFUSED_MS, 0, 128).as_millis(), 22_500);
    }

    /// Of two newcomers that pair, one is in the cluster first, and calls the other one before that has heard of it.
    #[test]
    fn a_computer_that_was_just_let_in_is_called_again_soon() {
        let refused = |why| CallError::Handshake {
            node: base::NodeId([7; 32]),
            greeting: None,
            error: HandshakeError::Refused(why),
        };
        let waits =
            |why: ProofError| [0, 4, 20].map(|n| wait_after(&refused(why), n, 0).as_millis());
        assert_eq!(waits(ProofError::NewcomerThere), [100, 1600, 30_000]);
        assert_eq!(waits(ProofError::WrongKey), [30_000, 300_000, 300_000]);
    }
}
