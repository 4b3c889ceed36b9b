//! The same without a node, in this process.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::Failure;
use store::download::{
    Doing, DownloadError, Downloaded, Limits, Pace, Progress, Wanted, destination, download,
};
use store::{Place, Places};

use super::{clear_line, pace, tell};
use crate::cli::PullArguments;
use crate::cli::failure::CommandFailure;
use crate::cli::table::bytes;
use crate::environment::Environment;
use crate::settings::SettingsFile;

/// Often enough for somebody who watches.
const TELL_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn pull(
    arguments: &PullArguments,
    wanted: &Wanted,
    environment: &Environment,
) -> Result<(), CommandFailure> {
    let data = environment.data_folder(arguments.data.clone());
    let data = data.map_err(|error| CommandFailure::other(error.to_string()))?;
    let folders = folders(&data)?;
    let (hub, progress) = (environment.hub(), Progress::default());
    let limits = Limits {
        cache: environment.hugging_face_cache(),
        ..Limits::hub(crate::random::u64()?)
    };
    let pulling = async {
        let models = destination(wanted, folders, &hub, &limits, &progress).await?;
        download(wanted, &models, &hub, &limits, &progress).await
    };
    let outcome = tokio::select! {
        biased;
        outcome = pulling => outcome,
        never = watch(&progress) => match never {},
        _ = tokio::signal::ctrl_c() => return Err(stopped(&arguments.model)),
    };
    clear_line();
    done(&arguments.model, outcome)
}

/// Where models may go by the settings of a node that keeps its data there, if one ever did.
fn folders(data: &Path) -> Result<Vec<PathBuf>, CommandFailure> {
    let failed = |error: &dyn std::error::Error| CommandFailure::other(error.to_string());
    let own = data.join("models");
    std::fs::create_dir_all(&own).map_err(|error| failed(&error))?;
    let settings = SettingsFile::new(data.join("settings.toml")).read();
    let folders = settings.map_err(|error| failed(&error))?.model_folders;
    let places = Places::from(own);
    places.set(folders.iter().flatten().map(Place::from).collect());
    Ok(places.writable())
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
