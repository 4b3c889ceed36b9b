//! The decode step of each family beside mlx-lm's of the same checkpoint, on the same MLX: the operations that Metal would
//! run in a layer, and what a layer costs the host here.
//!
//! Figures of a layer are those of a deeper model less those of a shallower one, over the layers between them, so that
//! embedding and head do not count.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::checkpoints::{python, test_python};
use tests::folder;

/// Layers of the two models.
const DEPTHS: [u32; 2] = [4, 12];
/// Steps of each run, and those at its start that do not count.
const STEPS: usize = 60;
const UNCOUNTED: usize = 20;
const CONTEXT: u32 = 64;
/// Counting writes down every graph, so it takes few.
const COUNTED_STEPS: usize = 3;

/// What is measured.
pub struct Setup {
    /// Families; all that have a configuration here if there is none.
    pub families: Vec<String>,
    /// Width of the models.
    pub hidden: u32,
    /// Sequences in each step.
    pub batch: u32,
    /// Fields of the configuration, or of how it is stored, that are to be otherwise.
    pub settings: Value,
    /// How often each is timed, in turns.
    pub runs: usize,
    /// Whether to list the operations by name.
    pub list: bool,
}

/// What a run prints: times in microseconds.
#[derive(Debug, Deserialize)]
struct Times {
    prefill: f64,
    build: Vec<f64>,
    evaluate: Vec<f64>,
    /// Of whole steps, of which each is built while the one before is computed.
    step: Vec<f64>,
    /// One of each sequence.
    logits: Vec<f64>,
}

/// Who computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Espalier,
    MlxLm,
}

pub fn measure(setup: &Setup) -> Result<()> {
    let place = tempfile::Builder::new()
        .prefix("espalier-decode-")
        .tempdir()?;
    let counter = Counter::build(place.path())?;
    println!(
        "hidden {}, {} sequences, per layer and step but for tokens/s: ours, mlx-lm's, their ratio (median of {} runs)",
        setup.hidden, setup.batch, setup.runs
    );
    for (family, settings) in families(setup.hidden) {
        if !setup.families.is_empty() && !setup.families.iter().any(|wanted| wanted == family) {
            continue;
        }
        let folders = DEPTHS.map(|depth| place.path().join(format!("{family}-{depth}")));
        for (folder, depth) in folders.iter().zip(DEPTHS) {
            let mut settings = settings.clone();
            settings["num_hidden_layers"] = json!(depth);
            merge(&mut settings, &setup.settings);
            python(
                "parity/make_checkpoint.py",
                &[&text(folder), &settings.to_string()],
            )?;
        }
        of_family(family, &folders, setup, &counter)?;
    }
    Ok(())
}

fn of_family(family: &str, folders: &[PathBuf; 2], setup: &Setup, counter: &Counter) -> Result<()> {
    let ours = counter.of_layer(Who::Espalier, folders, setup.batch)?;
    let theirs = counter.of_layer(Who::MlxLm, folders, setup.batch)?;
    let total = |counts: &BTreeMap<String, f64>| counts.values().sum::<f64>();
    line(family, "operations", total(&ours), total(&theirs));
    if setup.list {
        println!("    ours    {}", listed(&ours));
        println!("    mlx-lm  {}", listed(&theirs));
    }
    let mut figures: BTreeMap<&str, [Vec<f64>; 2]> = BTreeMap::new();
    let mut logits = [Vec::new(), Vec::new()];
    for _ in 0..setup.runs {
        for (at, who) in [Who::Espalier, Who::MlxLm].into_iter().enumerate() {
            let [shallow, deep] = [&folders[0], &folders[1]]
                .map(|folder| times(&counter.run(who, folder, STEPS, setup.batch, None)?));
            let (shallow, deep) = (shallow?, deep?);
            let between = f64::from(DEPTHS[1] - DEPTHS[0]);
            let mut note = |what, of: fn(&Times) -> f64| {
                let figure = (of(&deep) - of(&shallow)) / between;
                figures.entry(what).or_default()[at].push(figure);
            };
            note("build us", |times| median(&times.build[UNCOUNTED..]));
            note("evaluate us", |times| median(&times.evaluate[UNCOUNTED..]));
            note("prefill us", |times| times.prefill);
            let note = &mut figures.entry("tokens/s").or_default()[at];
            note.push(1e6 * f64::from(setup.batch) / median(&deep.step[UNCOUNTED..]));
            logits[at] = deep.logits;
        }
    }
    for (what, [ours, theirs]) in &figures {
        line(family, what, median(ours), median(theirs));
    }
    let [ours, theirs] = &logits;
    let apart = ours
        .iter()
        .zip(theirs)
        .map(|(ours, theirs)| (ours - theirs).abs());
    let apart = apart.fold(0.0, f64::max);
    println!("  {family:<14} a logit of each sequence differs by at most {apart:.1e}");
    Ok(())
}

fn line(family: &str, what: &str, ours: f64, theirs: f64) {
    let ratio = ours / theirs;
    println!("  {family:<14} {what:<12} {ours:>8.1} {theirs:>8.1}  {ratio:.2}");
}

fn listed(counts: &BTreeMap<String, f64>) -> String {
    let shown = counts.iter().filter(|(_, count)| count.abs() > 0.01);
    let shown: Vec<String> = shown
        .map(|(name, count)| format!("{name} {count:.1}"))
        .collect();
    shown.join(", ")
}

/// The library that counts, and where it keeps its notes.
struct Counter {
    library: PathBuf,
    mlx: PathBuf,
    notes: PathBuf,
}

impl Counter {
    fn build(place: &Path) -> Result<Self> {
        let mlx = mlx_of(&example("decode_steps")?)?;
        let include = mlx
            .parent()
            .and_then(Path::parent)
            .context("MLX's folder")?
            .join("include");
        let metal = folder::of_tests("../engine/models/tests/metal");
        let library = place.join("operations.so");
        let status = Command::new("c++")
            .args(["-std=c++20", "-O1", "-shared", "-fPIC", "-I"])
            .arg(&include)
            .arg(format!("-DMETAL_FOLDER=\"{}\"", metal.display()))
            .arg(format!("-DMLX_INCLUDE=\"{}\"", include.display()))
            .arg(folder::of_tests("bench/decode/operations.cpp"))
            .arg(metal.join("kernels.cpp"))
            .arg("-o")
            .arg(&library)
            .status()
            .context("c++")?;
        ensure!(status.success(), "c++ ended with {status}");
        let notes = place.join("operations");
        Ok(Self {
            library,
            mlx,
            notes,
        })
    }

    /// Operations of a layer by name, in the last of a few steps.
    fn of_layer(
        &self,
        who: Who,
        folders: &[PathBuf; 2],
        batch: u32,
    ) -> Result<BTreeMap<String, f64>> {
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        let between = f64::from(DEPTHS[1] - DEPTHS[0]);
        for (folder, sign) in folders.iter().zip([-1.0, 1.0]) {
            let _ = fs::remove_file(&self.notes);
            self.run(who, folder, COUNTED_STEPS, batch, Some(&self.library))?;
            let notes = fs::read_to_string(&self.notes)?;
            let last = notes.lines().last().context("nothing was evaluated")?;
            for note in last.split_terminator('\t') {
                let (name, count) = note.rsplit_once(' ').context("NAME COUNT")?;
                *counts.entry(name.into()).or_default() += sign * count.parse::<f64>()? / between;
            }
        }
        Ok(counts)
    }

    /// Both run on the same files of MLX.
    fn run(
        &self,
        who: Who,
        folder: &Path,
        steps: usize,
        batch: u32,
        counter: Option<&Path>,
    ) -> Result<String> {
        let mut command = match who {
            Who::Espalier => Command::new(example("decode_steps")?),
            Who::MlxLm => {
                let mut python = Command::new(test_python()?);
                python.arg(folder::of_tests("bench/decode/reference.py"));
                python
            }
        };
        let preloaded = [counter, Some(&self.mlx)];
        let preloaded = preloaded.into_iter().flatten().map(text);
        command
            .arg(folder)
            .args([CONTEXT.to_string(), steps.to_string(), batch.to_string()]);
        if counter.is_some() && who == Who::Espalier {
            command.arg("kernels");
        }
        let output = command
            .env("LD_PRELOAD", preloaded.collect::<Vec<_>>().join(":"))
            .env("ESPALIER_OPERATIONS", &self.notes)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{who:?}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn times(printed: &str) -> Result<Times> {
    let last = printed.lines().last().context("nothing was printed")?;
    Ok(serde_json::from_str(last)?)
}

/// One of `models`' examples, built beside this program.
pub fn example(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.with_file_name("examples").join(name);
    ensure!(
        path.is_file(),
        "{} is not there (hint: cargo build --release -p models --example {name})",
        path.display()
    );
    Ok(path)
}

/// The file of MLX that a program loads.
pub fn mlx_of(program: &Path) -> Result<PathBuf> {
    let output = Command::new("ldd").arg(program).output().context("ldd")?;
    let printed = String::from_utf8(output.stdout)?;
    let found = printed.lines().find_map(|line| {
        let (name, path) = line.split_once("=>")?;
        (name.trim() == "libmlx.so").then(|| path.split_whitespace().next().map(PathBuf::from))?
    });
    found.context("the program loads no libmlx.so")
}

pub fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn merge(settings: &mut Value, more: &Value) {
    if let (Some(settings), Some(more)) = (settings.as_object_mut(), more.as_object()) {
        settings.extend(more.clone());
    }
}

/// A configuration of each, of this width.
fn families(hidden: u32) -> Vec<(&'static str, Value)> {
    let dense = |model_type: &str| {
        json!({"model_type": model_type, "hidden_size": hidden, "intermediate_size": 2 * hidden,
               "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": hidden / 4})
    };
    let with = |mut settings: Value, more: Value| {
        merge(&mut settings, &more);
        settings
    };
    let experts = json!({"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": hidden,
                         "decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": true});
    let latent = json!({"num_key_value_heads": 4, "kv_lora_rank": hidden / 2, "q_lora_rank": hidden / 2,
                        "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16, "n_routed_experts": 8,
                        "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": hidden,
                        "first_k_dense_replace": 1, "routed_scaling_factor": 2.5, "norm_topk_prob": true,
                        "n_group": 4, "topk_group": 2, "head_dim": null});
    vec![
        ("llama", dense("llama")),
        ("qwen3", dense("qwen3")),
        ("qwen3_moe", with(dense("qwen3_moe"), experts)),
        ("deepseek_v3", with(dense("deepseek_v3"), latent)),
    ]
}
