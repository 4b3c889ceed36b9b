//! `espalier pull`: a model from Hugging Face into this node's folder, with or without a running node.

use std::convert::Infallible;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use base::Failure;
use store::download::{DownloadError, Downloaded, Limits, Pace, Progress, Wanted, download};

use super::PullArguments;
use super::failure::CommandFailure;
use super::table::bytes;
use crate::environment::Environment;

/// Often enough for somebody who watches.
const TELL_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn pull(
    arguments: PullArguments,
    environment: &Environment,
) -> Result<(), CommandFailure> {
    let wanted = Wanted::parse(&arguments.model)
        .map_err(|error| CommandFailure::other(error.to_string()))?;
    let data = environment.data_folder(arguments.data);
    let models = data
        .map_err(|error| CommandFailure::other(error.to_string()))?
        .join("models");
    let (hub, limits) = (environment.hub(), Limits::hub(crate::random::u64()?));
    let progress = Progress::default();
    let outcome = tokio::select! {
        biased;
        outcome = download(&wanted, &models, &hub, &limits, &progress) => outcome,
        never = tell(&progress) => match never {},
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

/// Tells how far it is, for ever: on a terminal in one line that changes, elsewhere not at all.
async fn tell(progress: &Progress) -> Infallible {
    let (start, mut pace) = (Instant::now(), Pace::default());
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let (done, total) = (progress.done_bytes(), progress.total_bytes());
        pace.note(start.elapsed(), done);
        let left = pace.left(total.saturating_sub(done));
        if stderr().is_terminal() && total > 0 {
            eprint!("\r\x1b[K{}", line(done, total, left));
            let _ = stderr().flush();
        }
    }
}

fn clear_line() {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

fn line(done: u64, total: u64, left: Option<Duration>) -> String {
    let left = match left {
        Some(left) => format!("{} s left", left.as_secs()),
        None => "waiting".to_owned(),
    };
    format!("{} of {}, {left}", bytes(done), bytes(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_bytes_and_seconds() {
        let left = Some(Duration::from_millis(9500));
        assert_eq!(line(1 << 30, 4 << 30, left), "1.0 GiB of 4.0 GiB, 9 s left");
        assert_eq!(line(0, 4 << 30, None), "0 B of 4.0 GiB, waiting");
    }
}
