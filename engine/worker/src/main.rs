//! `espalier-worker`: one process for each shard of a model. Frames come in on stdin and go out on stdout; words for
//! people go to stderr.
//!
//! The main thread is the device thread: it alone touches MLX. Beside it one thread reads stdin, one writes stdout, and
//! one watches each plan link; grammars have some of their own (`masks.rs`). Whoever finds that the process is of no further use ends it.

mod drafting;
mod end;
mod failure;
mod follow;
mod inbox;
mod join;
mod lead;
mod masks;
mod outbox;
mod plan_link;
mod rest;
mod shard;
mod stats;

use std::time::{Duration, Instant};

use base::Failure;
use wire::worker::{FromWorker, Start, ToWorker};

use inbox::Inbox;
use outbox::Outbox;

/// For the first frame. The node sends it right after it started the process; ten seconds is a machine that swaps.
const START_TIMEOUT: Duration = Duration::from_secs(10);

fn main() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        // It would complain to stderr that stderr is closed, and panic.
        .log_internal_errors(false)
        .init();
    let outbox = Outbox::start(std::io::stdout());
    end::fatal_on_panic(outbox.clone());
    let inbox = Inbox::start(std::io::stdin(), outbox.clone());
    match run(&inbox, &outbox) {
        Ok(()) => end::done(&outbox),
        Err(failure) => end::fatal(&outbox, failure),
    }
}

fn run(inbox: &Inbox, outbox: &Outbox) -> Result<(), Failure> {
    let started = Instant::now();
    match inbox.first(START_TIMEOUT)? {
        ToWorker::Start(Start::Inspect {
            folder,
            quantize,
            kv_bits,
        }) => {
            let card = models::inspect(&folder, quantize, kv_bits)
                .map_err(|error| failure::load(&error))?;
            outbox.send(FromWorker::Card(card));
            Ok(())
        }
        ToWorker::Start(Start::Shard(start)) => shard::run(&start, started, inbox, outbox),
        frame @ (ToWorker::Submit(_) | ToWorker::Cancel(_) | ToWorker::Stop) => {
            Err(failure::protocol(&format!("{frame:?} came first")))
        }
    }
}
