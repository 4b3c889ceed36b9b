//! One download with faults, by its seed: however often it is interrupted, it ends with the right bytes or says clearly why
//! not, and no verified byte comes twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use store::download::{
    Disk, DownloadError, Downloaded, Hub, Limits, Patience, Progress, Wanted, download,
};

use super::{Fault, Faults, HARMLESS, Snapshot, TestHub, model};
use crate::nodes::program;
use crate::random::Random;

/// The repository of every trial.
pub const REPOSITORY: &str = "ada/tiny-model";
/// Faults of a trial at most.
const FAULTS_MAX: usize = 12;
/// Bytes of a weight file at most: several pieces, several parts.
const WEIGHT_BYTES_MAX: usize = 600_000;
/// Downloads until the faults must be over.
const ATTEMPTS_MAX: usize = 20;
/// What a model needs of a trial's repository.
pub(super) const UNNEEDED: [&str; 2] = ["README.md", "pytorch_model.bin"];

/// What happened in a trial.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Faults that were caused.
    pub faults: usize,
    /// Downloads that ended with an error, or were broken off.
    pub interruptions: usize,
}

/// Limits that wait for nothing longer than a moment.
pub fn limits(chance: u64) -> Limits {
    Limits {
        streams: 3,
        part_bytes: 100_000,
        stall_max: Duration::from_millis(400),
        patience: Patience {
            tries_max: 3,
            wait_first: Duration::from_millis(2),
            wait_max: Duration::from_millis(10),
            retry_after_max: Duration::from_secs(1),
        },
        disk: Disk {
            free_bytes: Arc::new(|_| Ok(u64::MAX)),
            reserve_bytes: 0,
        },
        throttle: Arc::default(),
        members: None,
        cache: None,
        chance,
    }
}

/// How to reach a hub.
pub fn settings(hub: &TestHub) -> Hub {
    Hub {
        endpoint: hub.endpoint(),
        token: Some("hf_secret".to_owned()),
        https_proxy: None,
        no_proxy: None,
        offline: false,
    }
}

/// Downloads once, on a runtime of its own; `None` if it was broken off after `limit`.
pub fn attempt(
    models: &Path,
    hub: &Hub,
    limits: &Limits,
    limit: Duration,
) -> Result<Option<Result<Downloaded, DownloadError>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let wanted = Wanted::parse(REPOSITORY)?;
    let progress = Progress::default();
    Ok(runtime.block_on(async {
        let download = download(&wanted, models, hub, limits, &progress);
        tokio::time::timeout(limit, download).await.ok()
    }))
}

/// Runs the trials of so many seeds, and says what happened in all of them together.
pub fn run_all(runs: u64) -> Result<Outcome> {
    let mut all = Outcome::default();
    for seed in 0..runs {
        let outcome = run(seed).with_context(|| format!("seed {seed}"))?;
        all.faults += outcome.faults;
        all.interruptions += outcome.interruptions;
    }
    Ok(all)
}

/// Runs the trial of a seed.
fn run(seed: u64) -> Result<Outcome> {
    let mut random = Random::new(seed);
    let hub = TestHub::start(model(seed, WEIGHT_BYTES_MAX))?;
    // A third of the trials have only such faults after which each byte came once.
    let is_harmless = random.one_in(3);
    let mut kinds = HARMLESS.to_vec();
    if !is_harmless {
        kinds.extend([|_| Fault::WrongContent, |_| Fault::Moved] as [fn(u64) -> Fault; 2]);
    }
    hub.contents().faults = Faults::new(seed, random.below(FAULTS_MAX + 1), &kinds);
    let models = tempfile::tempdir()?;
    let mut limits = limits(seed);
    if is_harmless {
        // Never gives up: what others were about to write when a download ends has to come again.
        limits.patience.tries_max = FAULTS_MAX as u32 + 1;
    }
    let mut verified = BTreeMap::new();
    let mut outcome = Outcome::default();
    for _ in 0..ATTEMPTS_MAX {
        let is_broken_off = !is_harmless && random.one_in(3);
        let limit = if is_broken_off {
            random.below(60)
        } else {
            60_000
        };
        let limit = Duration::from_millis(limit as u64);
        let done = attempt(models.path(), &settings(&hub), &limits, limit)?;
        check_verified(&hub, &verified)?;
        match done {
            Some(Ok(downloaded)) => {
                check_model(&hub, &downloaded, is_harmless)?;
                outcome.faults = hub.contents().faults.caused.len();
                return Ok(outcome);
            }
            Some(Err(error)) => ensure!(error.to_string().contains("(hint: "), "{error}"),
            None => {}
        }
        outcome.interruptions += 1;
        verified = sent_of_verified(&hub, models.path());
    }
    anyhow::bail!("there is no model after {ATTEMPTS_MAX} downloads");
}

/// `espalier pull` as its own process.
pub fn pull(hub: &TestHub, repository: &str, data: &Path) -> Result<Command> {
    let mut command = Command::new(program("espalier")?);
    command.args(["pull", repository, "--data"]).arg(data);
    command
        .env("HF_ENDPOINT", hub.endpoint())
        .env_remove("HF_HUB_OFFLINE");
    command.stdin(Stdio::null());
    Ok(command)
}

/// Files by name: their bytes, and how much of each was sent.
pub type Verified = BTreeMap<String, (Vec<u8>, u64)>;

/// The verified files of a download that goes on, and those in their place, with how much of each was sent until now.
pub fn sent_of_verified(hub: &TestHub, models: &Path) -> Verified {
    let staging = models.join(".downloads").join(REPOSITORY);
    let mut folders = vec![models.join(REPOSITORY), staging.join("files")];
    let swapped = staging.join("swapped");
    let manifest = |path: PathBuf| fs::read(path).ok();
    // Else these are the files of the older commit.
    if manifest(swapped.join(".download.json")) == manifest(staging.join("manifest.json")) {
        folders.push(swapped);
    }
    let entries = folders.iter().flat_map(fs::read_dir).flatten().flatten();
    let files = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let sent = hub.contents().sent.get(&name).copied();
        Some((name, (fs::read(entry.path()).ok()?, sent.unwrap_or(0))))
    });
    files.collect()
}

/// Nothing more was sent of files that were verified, as long as the repository has them.
pub fn check_verified(hub: &TestHub, verified: &Verified) -> Result<()> {
    let contents = hub.contents();
    let main = &contents.commits[&contents.main].snapshot;
    for (name, (bytes, sent)) in verified {
        if main
            .files
            .get(name)
            .is_some_and(|file| file.bytes == *bytes)
        {
            let now = contents.sent.get(name).copied().unwrap_or(0);
            ensure!(
                now == *sent,
                "{name} was verified and came again: {sent}, then {now} bytes"
            );
        }
    }
    Ok(())
}

fn check_model(hub: &TestHub, downloaded: &Downloaded, is_harmless: bool) -> Result<()> {
    let contents = hub.contents();
    let published = contents.commits.get(&downloaded.commit);
    let snapshot = &published.context("of no commit")?.snapshot;
    check_files(snapshot, &downloaded.folder.path)?;
    ensure!(contents.leaked == 0, "the second host was shown the token");
    ensure!(
        contents.with_token.1 == 0,
        "the hub was not shown the token"
    );
    for (name, file) in &snapshot.files {
        let sent = contents.sent.get(name).copied().unwrap_or(0);
        let size = file.bytes.len() as u64;
        let fine = match (UNNEEDED.contains(&name.as_str()), is_harmless) {
            (true, _) => sent == 0,
            (false, true) => sent == size,
            (false, false) => sent > 0,
        };
        ensure!(fine, "{name}: {sent} bytes sent of {size}");
    }
    Ok(())
}

/// A folder holds exactly what a model needs of a snapshot.
pub fn check_files(snapshot: &Snapshot, folder: &Path) -> Result<()> {
    let mut needed = snapshot.files.clone();
    needed.retain(|name, _| !UNNEEDED.contains(&name.as_str()));
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == ".download.json" {
            continue;
        }
        let file = needed
            .remove(&name)
            .with_context(|| format!("{name} does not belong there"))?;
        ensure!(
            fs::read(folder.join(&name))? == file.bytes,
            "{name} has other bytes"
        );
    }
    ensure!(needed.is_empty(), "missing: {:?}", needed.keys());
    Ok(())
}
