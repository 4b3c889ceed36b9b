//! The same without a node, in this process.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use base::Failure;
use store::download::{Doing, DownloadError, Downloaded, Limits, Pace, Progress, Wanted, download};

use super::{clear_line, pace, tell};
use crate::cli::PullArguments;
use crate::cli::failure::CommandFailure;
use crate::cli::table::bytes;
use crate::environment::Environment;

/// Often enough for somebody who watches.
const TELL_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn pull(
    arguments: &PullArguments,
    wanted: &Wanted,
    environment: &Environment,
) -> Result<(), CommandFailure> {
    let data = environment.data_folder(arguments.data.clone());
    let models = data
        .map_err(|error| CommandFailure::other(error.to_string()))?
        .join("models");
    let (hub, limits) = (environment.hub(), Limits::hub(crate::random::u64()?));
    let progress = Progress::default();
    let outcome = tokio::select! {
        biased;
        outcome = download(wanted, &models, &hub, &limits, &progress) => outcome,
        never = watch(&progress) => match never {},
        _ = tokio::signal::ctrl_c() => return Err(stopped(&arguments.model)),
    };
    clear_line();
    done(&arguments.model, outcome)
}

fn stopped(model: &str) -> CommandFailure {
    clear_line();
    CommandFailure::with_hint(
        "stopped; what was fetched is kept",
        format!("go on from there with `espalier pull {model}`"),
    )
}

fn done(model: &str, outcome: Result<Downloaded, DownloadError>) -> Result<(), CommandFailure> {
    let downloaded = outcome.map_err(Failure::from)?;
    let what = if downloaded.was_here {
        "was here already"
    } else {
        "is here, verified"
    };
    println!(
        "{model} {what}: commit {}, {} of weights in {}",
        downloaded.commit,
        bytes(downloaded.folder.weights_bytes),
        downloaded.folder.path.display()
    );
    Ok(())
}

/// Tells how far it is, for ever.
async fn watch(progress: &Progress) -> Infallible {
    let (start, mut speed) = (Instant::now(), Pace::default());
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let (done, total) = (progress.done_bytes(), progress.total_bytes());
        if total == 0 {
            continue;
        }
        speed.note(start.elapsed(), done);
        let state = match progress.doing() {
            Doing::Asking | Doing::Fetching => pace(
                speed.bytes_per_s().map(|speed| speed as u64),
                speed.left(total.saturating_sub(done)),
            ),
            Doing::Retrying(reason) => format!("trying again: {reason}"),
            Doing::Verifying => "verifying".to_owned(),
        };
        tell(&format!("{} of {}, {state}", bytes(done), bytes(total)));
    }
}
