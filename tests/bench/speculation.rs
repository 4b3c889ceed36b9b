//! Guesses at what answers go on with: tokens per second of a node that makes them against one that does not, for answers
//! that repeat themselves and for answers that do not, one and several at once.

pub mod drafts;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use tempfile::TempDir;
use tests::api::Api;
use tests::nodes::{Node, NodeOptions};

use crate::load::{Server, checkpoint};
use crate::spread;

/// Of an answer.
const ANSWER_TOKENS: u64 = 256;
/// A worker says what it counted once a second.
const COUNTED_WITHIN: Duration = Duration::from_millis(1500);

/// How much it counts against a token that it was there before: a model of random numbers comes to repeat itself if it is
/// rewarded for that, and else does not.
const KINDS: [(&str, f64); 2] = [("repeating", -2.0), ("random", 0.0)];

/// A node with the model, alone.
struct Place {
    node: Node,
    model: String,
    _data: TempDir,
}

/// `streams` are numbers of answers at once.
pub fn measure(streams: &[usize], runs: usize) -> Result<()> {
    let folder = checkpoint()?;
    let both = [true, false].map(|guesses| Place::open(folder.path(), guesses));
    let [guessing, plain] = both;
    let both = [guessing?, plain?];
    for kind in KINDS {
        for &streams in streams {
            measure_kind(&both, kind, streams, runs)?;
        }
    }
    Ok(())
}

fn measure_kind(
    both: &[Place; 2],
    (name, penalty): (&str, f64),
    streams: usize,
    runs: usize,
) -> Result<()> {
    // The first run warms both up.
    for place in both {
        place.answer_all(penalty, streams, runs)?;
    }
    let before = both[0].counted()?;
    let mut speeds: [Vec<f64>; 2] = Default::default();
    let mut ratios = Vec::new();
    for run in 0..runs {
        let mut texts: [Vec<String>; 2] = Default::default();
        // The other way round in every other run.
        for at in [run % 2, 1 - run % 2] {
            let (speed, said) = both[at].answer_all(penalty, streams, run)?;
            speeds[at].push(speed);
            texts[at] = said;
        }
        // Several positions at once are rounded otherwise than one by one, so that two that are as likely may change places.
        if texts[0] != texts[1] {
            println!("{name}, run {run}: another text");
        }
        ratios.push(speeds[0][run] / speeds[1][run]);
    }
    let after = both[0].counted()?;
    let what = format!("{name}, {streams} at once");
    for (which, speeds) in ["with guesses", "without"].into_iter().zip(&speeds) {
        println!("{what}, {which}: {} tok/s", spread(speeds));
    }
    println!("{what}, ratio with / without: {}", spread(&ratios));
    let [guessed, accepted] = [0, 1].map(|at| after[at] - before[at]);
    let answered = (ANSWER_TOKENS * (runs * streams) as u64) as f64;
    println!(
        "{what}: {guessed} guesses for {answered} tokens, {accepted} of them right; {:.2} tokens for each step of an answer",
        answered / (answered - accepted)
    );
    Ok(())
}

impl Place {
    fn open(model: &Path, guesses: bool) -> Result<Self> {
        let data = tempfile::Builder::new()
            .prefix("espalier-data-")
            .tempdir()?;
        let settings = format!("speculation = {guesses}\n");
        std::fs::write(data.path().join("settings.toml"), settings)?;
        let node = Node::start(&NodeOptions {
            data: Some(data.path().to_owned()),
            ..NodeOptions::default()
        })?;
        let server = Server::placed("espalier", node.api(), model, ("auto", 1))?;
        Ok(Self {
            node,
            model: server.model().to_owned(),
            _data: data,
        })
    }

    /// Guesses computed and guesses that were right.
    fn counted(&self) -> Result<[f64; 2]> {
        thread::sleep(COUNTED_WITHIN);
        let api = self.node.api();
        Ok([
            api.metric("espalier_guessed_tokens_total")?,
            api.metric("espalier_accepted_tokens_total")?,
        ])
    }

    /// Tokens per second of so many answers at once, and their texts.
    fn answer_all(&self, penalty: f64, streams: usize, run: usize) -> Result<(f64, Vec<String>)> {
        let start = Instant::now();
        let texts: Vec<Result<String>> = thread::scope(|scope| {
            let answer = |stream| move || self.answer(penalty, run * streams + stream);
            let clients: Vec<_> = (0..streams)
                .map(|stream| scope.spawn(answer(stream)))
                .collect();
            let panicked = |_| Err(anyhow!("a client panicked"));
            let joined = clients.into_iter();
            joined
                .map(|client| client.join().unwrap_or_else(panicked))
                .collect()
        });
        let took = start.elapsed();
        let texts = texts.into_iter().collect::<Result<Vec<_>>>()?;
        let tokens = ANSWER_TOKENS * streams as u64;
        Ok((tokens as f64 / took.as_secs_f64(), texts))
    }

    fn answer(&self, penalty: f64, seed: usize) -> Result<String> {
        let prompt: Vec<usize> = (0..32)
            .map(|at| 40 + (at * 7 + seed * 131) % 1000)
            .collect();
        let body = json!({
            "model": self.model, "prompt": prompt, "max_tokens": ANSWER_TOKENS, "temperature": 0.5, "seed": seed,
            "frequency_penalty": penalty, "ignore_eos": true,
        });
        let api: Api = self.node.api();
        let (status, answer) = api.post("/v1/completions", &body)?;
        ensure!(status == 200, "{status}: {answer}");
        let tokens = &answer["usage"]["completion_tokens"];
        ensure!(*tokens == ANSWER_TOKENS, "{tokens} tokens");
        let text = answer["choices"][0]["text"].as_str();
        text.map(str::to_owned).context("a text")
    }
}
