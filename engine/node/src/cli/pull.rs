//! `espalier pull`: a model from Hugging Face, fetched by the node that runs here, or without one by this process.

mod here;

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use serde_json::{Value, json};
use store::download::Wanted;

use super::client::{Answer, Client};
use super::failure::CommandFailure;
use super::table::bytes;
use super::{PullArguments, Target};
use crate::config::API_PORT;
use crate::environment::Environment;

pub(super) async fn pull(
    arguments: PullArguments,
    environment: &Environment,
) -> Result<(), CommandFailure> {
    let wanted = Wanted::parse(&arguments.model)
        .map_err(|error| CommandFailure::other(error.to_string()))?;
    if arguments.data.is_none() {
        let port = arguments.port.unwrap_or(API_PORT);
        match by_node(Client::new(&Target { port }), &wanted, arguments.everywhere).await {
            // Unless that node was meant and no other, or its cluster.
            Err(CommandFailure::NoNode { .. })
                if arguments.port.is_none() && !arguments.everywhere => {}
            outcome => return outcome,
        }
    }
    here::pull(&arguments, &wanted, environment).await
}

/// Asks the node to fetch it, and watches.
async fn by_node(client: Client, wanted: &Wanted, everywhere: bool) -> Result<(), CommandFailure> {
    let model = wanted.repository.to_string();
    let body = json!({"model": model, "revision": wanted.revision, "everywhere": everywhere});
    client.post("/admin/downloads", &body).await?;
    let watched = tokio::select! {
        biased;
        watched = watch(client.follow("/admin/events").await?, &model) => watched,
        _ = tokio::signal::ctrl_c() => {
            clear_line();
            println!("The node goes on fetching {model}. `espalier models list` shows how far it is; `espalier models cancel {model}` stops it.");
            return Ok(());
        }
    };
    clear_line();
    println!("{}", watched?);
    Ok(())
}

/// Tells how far a download is until it is over; what came of it.
async fn watch(mut events: Answer, model: &str) -> Result<String, CommandFailure> {
    // Ends with the stream at the latest.
    while let Some(event) = events.event().await? {
        let event: Value = serde_json::from_str(&event).unwrap_or_default();
        // Events of other things have no such list.
        let Some(list) = event["downloads"].as_array() else {
            continue;
        };
        let found = list.iter().find(|download| download["model"] == model);
        let Some(download) = found else {
            return Err(CommandFailure::other("the download was cancelled"));
        };
        match download["state"].as_str() {
            Some("done") => return Ok(here(download)),
            Some("paused") => {
                let hint = format!("go on with `espalier pull {model}`");
                return Err(CommandFailure::with_hint("the download was paused", hint));
            }
            Some("failed") => {
                let failure = super::client::failure_in(download);
                return Err(failure.unwrap_or_else(|| CommandFailure::other("it failed")));
            }
            _ => tell(&in_words(download)),
        }
    }
    Err(CommandFailure::with_hint(
        "the node has ended",
        "it goes on with the download when it is started again",
    ))
}

fn here(download: &Value) -> String {
    format!(
        "{} is here, verified: commit {}{}",
        download["model"].as_str().unwrap_or_default(),
        download["commit"].as_str().unwrap_or_default(),
        lent(download)
    )
}

/// How far a download is, in a line.
pub(super) fn in_words(download: &Value) -> String {
    let number = |field: &str| download[field].as_u64();
    let (done, total) = (number("bytes_done"), number("bytes_total"));
    let reason = download["reason"].as_str();
    let bytes = match (done, total) {
        (Some(done), Some(total)) if total > 0 => {
            format!("{} of {}{}", bytes(done), bytes(total), lent(download))
        }
        _ => String::new(),
    };
    let state = match (download["state"].as_str().unwrap_or_default(), reason) {
        ("running", _) if !bytes.is_empty() => {
            let left = number("seconds_left").map(Duration::from_secs);
            pace(number("bytes_per_s"), left)
        }
        ("running", _) => "asking what there is to fetch".to_owned(),
        ("retrying", Some(reason)) => format!("trying again: {reason}"),
        (state, Some(reason)) => format!("{state}: {reason}"),
        (state, None) => state.to_owned(),
    };
    let parts = [bytes, state].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(", ")
}

/// How much of it came from the cluster, if anything did.
fn lent(download: &Value) -> String {
    match download["bytes_from_members"].as_u64() {
        None | Some(0) => String::new(),
        Some(lent) => format!(" ({} from the cluster)", bytes(lent)),
    }
}

/// How fast bytes come and how long the rest takes.
fn pace(bytes_per_s: Option<u64>, left: Option<Duration>) -> String {
    match (bytes_per_s, left) {
        (Some(speed), Some(left)) => format!("{}/s, {} left", bytes(speed), time(left)),
        _ => "waiting for bytes".to_owned(),
    }
}

fn time(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Shows a line that the next one replaces: on a terminal, elsewhere not at all.
fn tell(line: &str) {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
        let _ = stderr().flush();
    }
}

fn clear_line() {
    tell("");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_told_in_a_line() {
        let said = |download: Value| in_words(&download);
        let running = json!({"state": "running", "bytes_done": 1_u64 << 30, "bytes_total": 4_u64 << 30,
            "bytes_per_s": 90 << 20, "seconds_left": 35, "reason": null});
        assert_eq!(said(running), "1.0 GiB of 4.0 GiB, 90.0 MiB/s, 35 s left");
        let lent = json!({"state": "verifying", "bytes_done": 10, "bytes_total": 10, "bytes_from_members": 8});
        assert_eq!(said(lent), "10 B of 10 B (8 B from the cluster), verifying");
        let asking = json!({"state": "running", "bytes_done": 0, "bytes_total": 0, "reason": null});
        assert_eq!(said(asking), "asking what there is to fetch");
        let waiting =
            json!({"state": "waiting", "bytes_done": 0, "bytes_total": 0, "reason": null});
        assert_eq!(said(waiting), "waiting");
        let retrying = json!({"state": "retrying", "bytes_done": 5, "bytes_total": 10, "reason": "it answers 500"});
        assert_eq!(said(retrying), "5 B of 10 B, trying again: it answers 500");
        let long = [119, 120, 7199, 7260].map(|seconds| time(Duration::from_secs(seconds)));
        assert_eq!(long, ["119 s", "2 min", "119 min", "2 h 1 min"]);
    }
}
