//! A draft model against none: tokens per second of a large model that a small one drafts for, and of the same alone.
//!
//! The large one is Sprout with layers that add nothing, so that it says what Sprout says and takes as much longer as it is
//! deeper. Models in use agree less; how often they do is printed, so that a user's own can be held beside it.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use tempfile::TempDir;
use tests::api::Api;
use tests::deeper::{deeper_sprout, path_in};
use tests::nodes::{Node, NodeOptions};

use crate::spread;

/// Of the large model: ten times Sprout's.
const LAYERS: usize = 60;
const NAME: &str = "deep-sprout";
/// Of an answer, whose end is passed over: what a draft takes is learned in the first of them.
const ANSWER_TOKENS: u64 = 200;
const READY_LIMIT: Duration = Duration::from_mins(2);
/// A worker says what it counted once a second.
const COUNTED_WITHIN: Duration = Duration::from_millis(1500);

const TEMPERATURES: [f64; 2] = [0.0, 0.8];

const QUESTIONS: [&str; 6] = [
    "What is Espalier?",
    "How does a pipeline divide a model?",
    "What is a shard?",
    "Tell me about the tensor split.",
    "How do two computers find each other?",
    "What can I do with you?",
];

/// A node with the large model, alone.
struct Place {
    node: Node,
    model: String,
    _data: TempDir,
}

/// `streams` are numbers of answers at once.
pub fn measure(streams: &[usize], runs: usize) -> Result<()> {
    let made: TempDir = deeper_sprout(NAME, LAYERS)?;
    let folder = path_in(&made, NAME);
    let both = [
        Place::open(&folder, Some("sprout"))?,
        Place::open(&folder, None)?,
    ];
    for temperature in TEMPERATURES {
        for &streams in streams {
            measure_one(&both, temperature, streams, runs)?;
        }
    }
    Ok(())
}

fn measure_one(both: &[Place; 2], temperature: f64, streams: usize, runs: usize) -> Result<()> {
    // The first run warms both up.
    for place in both {
        place.answer_all(temperature, streams, runs)?;
    }
    let before = both[0].counted()?;
    let mut speeds: [Vec<f64>; 2] = Default::default();
    let mut ratios = Vec::new();
    let mut answered = 0;
    for run in 0..runs {
        let mut texts: [Vec<String>; 2] = Default::default();
        // The other way round in every other run.
        for at in [run % 2, 1 - run % 2] {
            let began = Instant::now();
            let answers = both[at].answer_all(temperature, streams, run)?;
            let tokens: u64 = answers.iter().map(|(_, tokens)| tokens).sum();
            speeds[at].push(tokens as f64 / began.elapsed().as_secs_f64());
            texts[at] = answers.into_iter().map(|(text, _)| text).collect();
            answered += if at == 0 { tokens } else { 0 };
        }
        // Several positions at once are rounded otherwise than one by one, so that two that are as likely may change places.
        if texts[0] != texts[1] {
            println!("temperature {temperature}, run {run}: another text");
        }
        ratios.push(speeds[0][run] / speeds[1][run]);
    }
    let after = both[0].counted()?;
    let what = format!("temperature {temperature}, {streams} at once");
    for (which, speeds) in ["with a draft model", "without"].into_iter().zip(&speeds) {
        println!("{what}, {which}: {} tok/s", spread(speeds));
    }
    println!("{what}, ratio with / without: {}", spread(&ratios));
    let [guessed, accepted] = [0, 1].map(|at| after[at] - before[at]);
    println!(
        "{what}: {guessed} guesses for {answered} tokens, {:.1}% of them right",
        100.0 * accepted / guessed.max(1.0)
    );
    Ok(())
}

impl Place {
    /// Without a draft model nothing is guessed at all.
    fn open(folder: &str, draft: Option<&str>) -> Result<Self> {
        let data = tempfile::Builder::new()
            .prefix("espalier-data-")
            .tempdir()?;
        let settings = format!("speculation = {}\n", draft.is_some());
        std::fs::write(data.path().join("settings.toml"), settings)?;
        let node = Node::start(&NodeOptions {
            data: Some(data.path().to_owned()),
            ..NodeOptions::default()
        })?;
        let wish = json!({"model": folder, "draft": draft});
        let id = node.api().open(&wish)?;
        let instance = node.api().wait_ready(&id, READY_LIMIT)?;
        let model = instance["model"].as_str().context("model")?.to_owned();
        Ok(Self {
            node,
            model,
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

    /// So many answers at once: their texts and how many tokens they have.
    fn answer_all(
        &self,
        temperature: f64,
        streams: usize,
        run: usize,
    ) -> Result<Vec<(String, u64)>> {
        thread::scope(|scope| {
            let answer = |stream| move || self.answer(temperature, run * streams + stream);
            let clients: Vec<_> = (0..streams)
                .map(|stream| scope.spawn(answer(stream)))
                .collect();
            let panicked = |_| Err(anyhow!("a client panicked"));
            let joined = clients.into_iter();
            joined
                .map(|client| client.join().unwrap_or_else(panicked))
                .collect()
        })
    }

    fn answer(&self, temperature: f64, at: usize) -> Result<(String, u64)> {
        let question = QUESTIONS[at % QUESTIONS.len()];
        let body = json!({
            "model": self.model, "max_tokens": ANSWER_TOKENS, "temperature": temperature, "seed": at,
            "ignore_eos": true,
            "messages": [{"role": "user", "content": question}],
        });
        let api: Api = self.node.api();
        let (status, answer) = api.post("/v1/chat/completions", &body)?;
        ensure!(status == 200, "{status}: {answer}");
        let tokens = answer["usage"]["completion_tokens"].as_u64();
        let text = answer["choices"][0]["message"]["content"].as_str();
        Ok((
            text.context("a text")?.to_owned(),
            tokens.context("tokens")?,
        ))
    }
}
