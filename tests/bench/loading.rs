//! How long a shard takes to load and how much memory that needs at most, beside mlx-lm on the same MLX and the same files.
//!
//! The time is that of loading alone, from the first file opened to the last weight in memory: neither the start of a process
//! nor the meeting of the ranks counts. Of several ranks it is the slowest one's. The files are in the page cache, where the
//! checkpoint's making left them and a first run of both that does not count reads them again, unless they are to be `cold`:
//! then the system is asked to forget them before each run.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::checkpoints::{python, test_python};
use tests::folder;

use crate::decode::{example, median, merge, mlx_of, text};

/// What is measured.
#[derive(Debug, clap::Args)]
pub struct Setup {
    /// Of the checkpoint, about.
    #[arg(long, default_value_t = 2.0)]
    gigabytes: f64,
    /// What is to be otherwise in its configuration, or in how it is stored.
    #[arg(long, default_value = "{}")]
    settings: Value,
    /// Have the system forget the files before each run.
    #[arg(long)]
    cold: bool,
    /// How often each loads.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// Of peak memory: this part of the shard's bytes more than these, and so much besides.
const PEAK_MAX: (f64, f64) = (1.1, 256e6);

/// How a model is divided, and over how many.
pub const WAYS: [(&str, u32); 3] = [("pipeline", 1), ("pipeline", 2), ("tensor", 2)];

/// What a rank prints.
#[derive(Debug, Deserialize)]
struct Printed {
    seconds: f64,
    /// As the planner counts them.
    #[serde(default)]
    shard_bytes: f64,
    array_bytes: f64,
    /// The most that was resident at a time.
    peak_bytes: f64,
}

/// Who loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Espalier,
    MlxLm,
}

pub fn measure(setup: &Setup) -> Result<()> {
    let place = tempfile::Builder::new()
        .prefix("espalier-loading-")
        .tempdir()?;
    let model = place.path().join("model");
    let mut settings = configuration((setup.gigabytes * 1e9) as u64, 2);
    merge(&mut settings, &setup.settings);
    python(
        "parity/make_checkpoint.py",
        &[&text(&model), &settings.to_string()],
    )?;
    let files = weight_files(&model)?;
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    println!(
        "{:.2} GB in {} files, {}",
        bytes as f64 / 1e9,
        files.len(),
        if setup.cold {
            "not in the page cache as far as the system forgets them when asked"
        } else {
            "in the page cache"
        }
    );
    for (sharding, world) in WAYS {
        of_way(setup, place.path(), &files, (sharding, world))?;
    }
    Ok(())
}

fn of_way(
    setup: &Setup,
    place: &Path,
    files: &[(PathBuf, u64)],
    (sharding, world): (&str, u32),
) -> Result<()> {
    let mut all: [Vec<Vec<Printed>>; 2] = [Vec::new(), Vec::new()];
    for run in 0..=setup.runs {
        for (at, who) in [Who::Espalier, Who::MlxLm].into_iter().enumerate() {
            if setup.cold {
                forget(files)?;
            }
            let loaded = load(who, place, (sharding, world))?;
            if run > 0 {
                all[at].push(loaded);
            }
        }
    }
    println!("{sharding} over {world}:");
    let [ours, theirs] = all;
    let seconds = |runs: &[Vec<Printed>]| {
        let slowest = runs.iter().map(|ranks| worst(ranks, |rank| rank.seconds));
        slowest.collect::<Vec<_>>()
    };
    let (own, other) = (seconds(&ours), seconds(&theirs));
    for (who, runs, seconds) in [("ours", &ours, &own), ("mlx-lm", &theirs, &other)] {
        let held: f64 = runs[0].iter().map(|rank| rank.array_bytes).sum();
        println!(
            "  {who:<7} seconds: {}  {:.2} GB/s",
            crate::spread(seconds),
            held / median(seconds) / 1e9
        );
    }
    println!(
        "  time, ours / mlx-lm's: {:.2}",
        median(&own) / median(&other)
    );
    for rank in 0..world as usize {
        of_rank(rank, &ours, &theirs);
    }
    Ok(())
}

/// One rank's peak memory, the largest of all runs.
fn of_rank(rank: usize, ours: &[Vec<Printed>], theirs: &[Vec<Printed>]) {
    let peak = |runs: &[Vec<Printed>]| {
        let peaks = runs.iter().map(|ranks| ranks[rank].peak_bytes);
        peaks.fold(0.0, f64::max)
    };
    let shard = ours[0][rank].shard_bytes;
    let (own, other) = (peak(ours), peak(theirs));
    let most = PEAK_MAX.0 * shard + PEAK_MAX.1;
    println!(
        "  rank {rank}: shard {:.0} MB, in arrays {:.0} MB, peak {:.0} MB (at most {:.0}: {}); mlx-lm's arrays {:.0} MB, peak {:.0} MB",
        shard / 1e6,
        ours[0][rank].array_bytes / 1e6,
        own / 1e6,
        most / 1e6,
        if own <= most { "kept" } else { "NOT KEPT" },
        theirs[0][rank].array_bytes / 1e6,
        other / 1e6,
    );
}

fn worst(ranks: &[Printed], of: fn(&Printed) -> f64) -> f64 {
    ranks.iter().map(of).fold(0.0, f64::max)
}

/// All ranks at once.
fn load(who: Who, place: &Path, (sharding, world): (&str, u32)) -> Result<Vec<Printed>> {
    let hosts = place.join("hosts.json");
    let listeners = (0..world).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners: Vec<TcpListener> = listeners.collect::<Result<_, _>>()?;
    let addresses = listeners
        .iter()
        .map(|one| Ok([one.local_addr()?.to_string()]));
    let addresses: Vec<[String; 1]> = addresses.collect::<Result<_>>()?;
    drop(listeners);
    fs::write(&hosts, json!(addresses).to_string())?;
    let start = |rank: u32| -> Result<Child> {
        let mut command = match who {
            Who::Espalier => Command::new(example("load_shard")?),
            Who::MlxLm => {
                let mut python = Command::new(test_python()?);
                python.arg(folder::of_tests("bench/loading/reference.py"));
                python
            }
        };
        command
            .arg(place.join("model"))
            .args([&rank.to_string(), &world.to_string(), sharding])
            .env("LD_PRELOAD", mlx_of(&example("load_shard")?)?)
            .env("MLX_HOSTFILE", &hosts)
            .env("MLX_RANK", rank.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().context("a rank")
    };
    let ranks: Vec<Child> = (0..world).map(start).collect::<Result<_>>()?;
    let outputs: Vec<_> = ranks.into_iter().map(Child::wait_with_output).collect();
    let printed = outputs.into_iter().map(|output| {
        let output = output?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{who:?}: {said}");
        let printed = String::from_utf8(output.stdout)?;
        let last = printed.lines().last().context("nothing was printed")?;
        Ok(serde_json::from_str(last)?)
    });
    printed.collect()
}

/// A dense model of about so many bytes, whose elements have 2 or 4, of a family that mlx-lm divides in both ways.
pub fn configuration(bytes: u64, element: u64) -> Value {
    const HIDDEN: u64 = 2048;
    const VOCABULARY: u64 = 32_768;
    let ends = element * 2 * VOCABULARY * HIDDEN;
    let layer = element * (2 * HIDDEN * HIDDEN + 2 * HIDDEN * HIDDEN / 2 + 3 * HIDDEN * 4 * HIDDEN);
    let layers = (bytes.saturating_sub(ends) + layer / 2) / layer;
    json!({"model_type": "qwen2", "hidden_size": HIDDEN, "intermediate_size": 4 * HIDDEN, "vocab_size": VOCABULARY,
           "num_hidden_layers": layers.max(2), "num_attention_heads": HIDDEN / 64, "num_key_value_heads": HIDDEN / 128,
           "head_dim": 64, "dtype": if element == 2 { "bfloat16" } else { "float32" }})
}

fn weight_files(model: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    for file in fs::read_dir(model)? {
        let path = file?.path();
        if path.extension().is_some_and(|end| end == "safetensors") {
            let bytes = fs::metadata(&path)?.len();
            files.push((path, bytes));
        }
    }
    Ok(files)
}

/// Asks the system to have nothing of the files in its cache: what was not written yet stays, so that is waited for.
fn forget(files: &[(PathBuf, u64)]) -> Result<()> {
    for (file, _) in files {
        let file = File::open(file)?;
        file.sync_all()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}
