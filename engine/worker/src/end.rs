//! The end of the process: at once, from any thread, with a last word where it can still be heard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{ErrorCode, Failure};
use wire::worker::FromWorker;

use crate::outbox::Outbox;

/// For the node to read what was already written and the last frame. A node that does not read is gone or stuck, and
/// the other ranks wait.
const LAST_WORD_TIMEOUT: Duration = Duration::from_millis(300);

/// For the node to read an answer that is all this process was for. Nobody else waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the end itself may take.
const MARGIN: Duration = Duration::from_millis(300);

/// Whether a thread is ending the process already.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Ends the process with a reason.
pub fn fatal(outbox: &Outbox, failure: Failure) -> ! {
    begin(LAST_WORD_TIMEOUT);
    tracing::error!("{failure}");
    outbox.send_last(Some(FromWorker::Fatal(failure)), LAST_WORD_TIMEOUT);
    models::end_process(1)
}

/// Ends the process after all that was sent is written.
pub fn done(outbox: &Outbox) -> ! {
    begin(ANSWER_TIMEOUT);
    outbox.send_last(None, ANSWER_TIMEOUT);
    models::end_process(0)
}

/// Ends the process without a word, because nobody listens any more.
pub fn silent() -> ! {
    begin(Duration::ZERO);
    models::end_process(0)
}

/// Returns for the first to end the process, who says why within `timeout`; others wait for the end. From here on the
/// end is sure: a last word that nobody takes, or a defect on the way, is cut short by an abort.
fn begin(timeout: Duration) {
    if ENDING.swap(true, Ordering::SeqCst) {
        loop {
            std::thread::park();
        }
    }
    let watch = std::thread::Builder::new().spawn(move || {
        std::thread::sleep(timeout + MARGIN);
        std::process::abort()
    });
    if watch.is_err() {
        std::process::abort();
    }
}

/// A panic in any thread is the end, but for one in a request's own work: half of a step on one rank leaves the others
/// waiting.
pub fn fatal_on_panic(outbox: Outbox) {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        if infer::is_contained() {
            return;
        }
        let place = panic.location().map(ToString::to_string);
        let message = format!(
            "the worker met a defect at {}",
            place.as_deref().unwrap_or("an unknown place")
        );
        fatal(
            &outbox,
            Failure::new(ErrorCode::Internal, message).hint("please report it with the node's log"),
        )
    }));
}
