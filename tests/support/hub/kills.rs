//! Processes killed at random instants while they download a model, put it in its place, or delete it. After each the
//! catalogue opens, and the model is whole or not there; the next download ends right, fetches no verified byte again, and
//! leaves nothing else behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::trial::{REPOSITORY, UNNEEDED, check_files, check_verified, pull, sent_of_verified};
use super::{Snapshot, TestHub, model_of};
use crate::nodes::{Node, NodeOptions};
use crate::random::Random;

/// Between the pieces of a file: a download takes some tenths of a second.
const PIECE_PAUSE: Duration = Duration::from_millis(2);
/// Some large weights, whose hashes take their time, and many small ones, whose deletion does.
const LARGE: [usize; 2] = [1_500_000, 700_000];
const SMALL_COUNT: usize = 30;
const SMALL_BYTES: usize = 2000;
/// The moments of an undisturbed run are waited for so long.
const MOMENT_LIMIT: Duration = Duration::from_secs(30);
/// Kills follow some moment of the disk within so much of a whole run's time, most at once: what comes next may be short.
const AFTER_MOMENT: f64 = 0.06;

/// What a process was at when it was killed, as the disk tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It had begun nothing.
    Starting,
    /// Bytes were to come.
    Downloading,
    /// All bytes of all files had come; some were not verified yet.
    Verifying,
    /// All files were verified and not in their place.
    Installing,
    /// A newer commit was about to take the place of an older one.
    Swapping,
    /// The model was in its place, and what the download needed besides was not gone.
    Clearing,
    /// The model was out of its place, and its files were not gone.
    Deleting,
    /// It was done.
    Over,
}

/// A store that outlives all processes, and a hub whose model changes.
struct Store {
    hub: TestHub,
    data: TempDir,
    random: Random,
    /// Of the latest commit; the one before it.
    snapshots: [Snapshot; 2],
    /// How long an undisturbed download and an undisturbed deletion take.
    pull_time: Duration,
    delete_time: Duration,
}

/// Kills so many processes; how many in which phase.
pub fn run_all(kills: usize, seed: u64) -> Result<BTreeMap<Phase, usize>> {
    let mut store = Store::start(seed)?;
    let mut phases = BTreeMap::new();
    for kill in 0..kills {
        let phase = store
            .one(kill)
            .with_context(|| format!("kill {kill} of seed {seed}"))?;
        *phases.entry(phase).or_default() += 1;
    }
    store.finish()?;
    Ok(phases)
}

impl Store {
    fn start(seed: u64) -> Result<Self> {
        let mut random = Random::new(seed);
        let first = snapshot(&mut random);
        let hub = TestHub::start(first.clone())?;
        hub.contents().piece_pause = PIECE_PAUSE;
        let mut store = Self {
            hub,
            data: tempfile::tempdir()?,
            random,
            snapshots: [first.clone(), first],
            pull_time: Duration::ZERO,
            delete_time: Duration::ZERO,
        };
        let begin = Instant::now();
        store.finish()?;
        store.pull_time = begin.elapsed();
        let node = store.node()?;
        let begin = Instant::now();
        let status = node.api().delete(&deletion())?;
        ensure!(status == 204, "{status}");
        store.delete_time = begin.elapsed();
        Ok(store)
    }

    /// One process that is killed, and what it left.
    fn one(&mut self, kill: usize) -> Result<Phase> {
        let is_here = self.place().is_dir();
        let phase = if is_here && self.random.one_in(3) {
            self.kill_deletion()?
        } else {
            // What was begun of a commit goes on, whatever there is besides.
            if self.is_latest_here() {
                self.move_on();
            }
            self.kill_download()?
        };
        self.check()
            .with_context(|| format!("killed while {phase:?}"))?;
        if kill % 2 == 1 {
            self.finish()
                .with_context(|| format!("after a kill while {phase:?}"))?;
        }
        Ok(phase)
    }

    /// A newer commit: other weights, but some are the same.
    fn move_on(&mut self) {
        let mut newer = snapshot(&mut self.random);
        let [latest, before] = &mut self.snapshots;
        for (name, file) in &latest.files {
            if name.ends_with(".safetensors") && self.random.one_in(3) {
                newer.files.insert(name.clone(), file.clone());
            }
        }
        self.hub.publish(newer.clone());
        *before = std::mem::replace(latest, newer);
    }

    fn kill_download(&mut self) -> Result<Phase> {
        let verified = sent_of_verified(&self.hub, &self.models());
        let mut child = pull(&self.hub, REPOSITORY, self.data.path())?
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let moments: [&dyn Fn() -> bool; 4] = [
            &|| self.staging().join("manifest.json").is_file(),
            &|| self.partial_files().is_empty() && self.staging().join("files").is_dir(),
            &|| self.are_all_bytes_here(),
            &|| self.staging().join("swapped").is_dir() || self.is_latest_here(),
        ];
        let mut random = self.random.clone();
        match random.below(2 * moments.len()) {
            which if which < moments.len() => {
                let is_over = || child.try_wait().is_ok_and(|status| status.is_some());
                wait_until(moments[which], is_over);
                let share = AFTER_MOMENT * fraction(&mut random).powi(3);
                sleep(self.pull_time.mul_f64(share));
            }
            _ => sleep(self.pull_time.mul_f64(1.1 * fraction(&mut random))),
        }
        // It may be over already.
        let is_over = child.try_wait()?.is_some();
        child.kill()?;
        child.wait()?;
        self.random = random;
        check_verified(&self.hub, &verified)?;
        Ok(if is_over {
            Phase::Over
        } else {
            self.phase_of_download()
        })
    }

    fn kill_deletion(&mut self) -> Result<Phase> {
        let mut node = self.node()?;
        let api = node.api();
        let after_moment = self.random.one_in(2);
        let share = fraction(&mut self.random);
        let deleting = thread::spawn(move || api.delete(&deletion()));
        if after_moment {
            wait_until(&|| !self.place().is_dir(), || deleting.is_finished());
            sleep(self.delete_time.mul_f64(0.3 * share));
        } else {
            sleep(self.delete_time.mul_f64(1.2 * share));
        }
        node.kill();
        // It may have been answered, or not.
        let _ = deleting.join();
        Ok(if self.place().is_dir() {
            Phase::Starting
        } else if self.leftovers().is_empty() {
            Phase::Over
        } else {
            Phase::Deleting
        })
    }

    /// The catalogue opens, and has the model if and only if it is whole: of the latest commit or of the one before.
    fn check(&self) -> Result<()> {
        let models = store::Catalogue::open(self.data.path())?.list();
        let is_listed = models.iter().any(|(model, _)| model.name.0 == REPOSITORY);
        let place = self.place();
        ensure!(is_listed == place.is_dir(), "half a model is there");
        if is_listed {
            let [latest, before] = &self.snapshots;
            let is_one = check_files(latest, &place).or_else(|_| check_files(before, &place));
            is_one.context("it is of neither commit")?;
        }
        Ok(())
    }

    /// A download that nobody disturbs.
    fn finish(&self) -> Result<()> {
        let verified = sent_of_verified(&self.hub, &self.models());
        let done = pull(&self.hub, REPOSITORY, self.data.path())?.output()?;
        let error = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "{error}");
        check_verified(&self.hub, &verified)?;
        check_files(self.hub_has(), &self.place())?;
        let left = self.leftovers();
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    }

    fn phase_of_download(&self) -> Phase {
        let staging = self.staging();
        if !self.is_of_latest(&staging.join("manifest.json")) {
            Phase::Starting
        } else if self.is_latest_here() {
            Phase::Clearing
        } else if staging.join("swapped").is_dir() {
            Phase::Swapping
        } else if self.partial_files().is_empty() && self.are_all_files_here() {
            Phase::Installing
        } else if self.are_all_bytes_here() {
            Phase::Verifying
        } else {
            Phase::Downloading
        }
    }

    fn node(&self) -> Result<Node> {
        Node::start(&NodeOptions {
            data: Some(self.data.path().to_owned()),
            hub: Some(self.hub.endpoint()),
            ..NodeOptions::default()
        })
    }

    fn hub_has(&self) -> &Snapshot {
        &self.snapshots[0]
    }

    fn models(&self) -> PathBuf {
        self.data.path().join("models")
    }

    fn place(&self) -> PathBuf {
        self.models().join(REPOSITORY)
    }

    fn staging(&self) -> PathBuf {
        self.models().join(".downloads").join(REPOSITORY)
    }

    fn partial_files(&self) -> Vec<PathBuf> {
        files_in(&self.staging().join("partial"))
    }

    /// Whether no file is missing among the verified ones.
    fn are_all_files_here(&self) -> bool {
        let files = self.staging().join("files");
        let mut needed = self.hub_has().files.keys().filter(|name| is_needed(name));
        needed.all(|name| files.join(name).is_file())
    }

    /// Whether every byte is there, verified or not, as far as lengths and journals tell.
    fn are_all_bytes_here(&self) -> bool {
        let (files, partial) = (self.staging().join("files"), self.staging().join("partial"));
        let is_here = |name: &String, size: u64| {
            let journal = partial.join(format!("{name}.journal"));
            files.join(name).is_file() || journaled(&journal) == Some(size)
        };
        let files = self.hub_has().files.iter();
        let mut needed = files.filter(|(name, _)| is_needed(name));
        needed.all(|(name, file)| is_here(name, file.size()))
    }

    fn is_latest_here(&self) -> bool {
        self.is_of_latest(&self.place().join(".download.json"))
    }

    /// Whether a manifest names the latest commit.
    fn is_of_latest(&self, manifest: &Path) -> bool {
        let manifest = fs::read_to_string(manifest);
        manifest.is_ok_and(|manifest| manifest.contains(&self.hub_has().commit))
    }

    /// Files of the store that belong to no model and are no lock.
    fn leftovers(&self) -> Vec<PathBuf> {
        let mut left = files_in(&self.models());
        let models = [self.place(), self.models().join(store::SPROUT)];
        left.retain(|path| {
            !models.iter().any(|model| path.starts_with(model))
                && *path != self.staging().join("lock")
        });
        left
    }
}

/// Bytes that a partial file's journal tells of: all words after the first two.
fn journaled(journal: &Path) -> Option<u64> {
    let bytes = fs::read(journal).ok()?;
    let words = bytes.as_chunks::<8>().0.iter().skip(2);
    Some(words.map(|word| u64::from_le_bytes(*word)).sum())
}

fn deletion() -> String {
    format!("/admin/models/{REPOSITORY}")
}

/// A model of many files, in the range of sizes of the kills.
fn snapshot(random: &mut Random) -> Snapshot {
    let mut sizes = LARGE.to_vec();
    sizes.extend([SMALL_BYTES; SMALL_COUNT]);
    model_of(random.draw(), &sizes)
}

fn is_needed(name: &str) -> bool {
    !UNNEEDED.contains(&name)
}

/// All files under a folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let all = entries.flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            files_in(&path)
        } else {
            vec![path]
        }
    });
    all.collect()
}

fn fraction(random: &mut Random) -> f64 {
    f64::from(random.spread()).midpoint(1.0)
}

/// Looks again and again, without a pause: the moments of interest are short.
fn wait_until(is_so: &dyn Fn() -> bool, mut is_over: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() && !is_over() && begin.elapsed() < MOMENT_LIMIT {
        thread::yield_now();
    }
}
