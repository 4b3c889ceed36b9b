//! The end of the process: at once, from any thread, with a last word where it can still be heard.

use std::sync::Once;
use std::time::Duration;

use base::{ErrorCode, Failure};
use wire::worker::FromWorker;

use crate::outbox::Outbox;

/// For the node to read what was already written and the last frame. A node that does not read is gone or stuck, and
/// the other ranks wait.
const LAST_WORD_TIMEOUT: Duration = Duration::from_millis(300);

/// For MLX's static destructors, which may wait for a thread that waits for a rank that is gone.
const DESTRUCTORS_TIMEOUT: Duration = Duration::from_millis(300);

/// The first to end the process says why; others wait for the end.
static ENDING: Once = Once::new();

/// Ends the process with a reason.
pub fn fatal(outbox: &Outbox, failure: Failure) -> ! {
    ENDING.call_once(|| {
        tracing::error!("{failure}");
        outbox.send_last(Some(FromWorker::Fatal(failure)), LAST_WORD_TIMEOUT);
        exit(1);
    });
    unreachable!("the call above ends the process")
}

/// Ends the process after all that was sent is written.
pub fn done(outbox: &Outbox) -> ! {
    ENDING.call_once(|| {
        outbox.send_last(None, LAST_WORD_TIMEOUT);
        exit(0);
    });
    unreachable!("the call above ends the process")
}

/// Ends the process without a word, because nobody listens any more.
pub fn silent() -> ! {
    ENDING.call_once(|| exit(0));
    unreachable!("the call above ends the process")
}

/// A panic in any thread is the end: half of a step on one rank leaves the others waiting.
pub fn fatal_on_panic(outbox: Outbox) {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
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

/// The destructors of MLX's statics run on this thread; if they hang, the process is aborted.
fn exit(code: i32) -> ! {
    let watch = std::thread::Builder::new().spawn(|| {
        std::thread::sleep(DESTRUCTORS_TIMEOUT);
        std::process::abort()
    });
    if watch.is_err() {
        std::process::abort();
    }
    std::process::exit(code)
}
