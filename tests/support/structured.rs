//! Random schemas asked of random models through the API: whatever comes out is held against the schema by somebody else's
//! validator.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::nodes::{Node, NodeOptions, start_cluster};
use crate::random::Random;
use crate::schemas;
use crate::tiny;
use crate::tiny::vocabulary::{Kind, Vocabulary};

/// A tiny model loads in well under a second; the rest is a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// Requests at once, so that batches are of several grammars.
const AT_ONCE: usize = 8;
/// A random model ends nothing of its own accord; with its likings for what closes this is plenty.
const ANSWER_TOKENS: u32 = 2000;
/// What it is made to like: quotes, brackets, the end.
const LIKING: i32 = 6;
/// Every so many schemas one is of a tool's arguments.
const TOOLS_EVERY: usize = 5;

/// What to try.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// Decides the schemas, the models and what they say.
    pub seed: u64,
    /// How many schemas.
    pub count: usize,
    /// How many of them for each model.
    pub per_model: usize,
    /// Over how many nodes each model is divided.
    pub nodes: usize,
    /// `auto`, `pipeline` or `tensor`.
    pub sharding: &'a str,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Answers that are what the schema wants.
    pub valid: usize,
    /// Answers that had no end within their tokens.
    pub cut_short: usize,
    /// All others: what was asked, and what came.
    pub wrong: Vec<String>,
    /// Tokens generated.
    pub tokens: u64,
    /// Seconds that went into what the grammars allow, on threads of their own. A worker's last second may be missing.
    pub mask_s: f64,
    /// Seconds of them for which the device waited.
    pub mask_wait_s: f64,
}

/// One question.
struct Case {
    schema: Value,
    is_tool: bool,
    seed: u64,
}

/// Starts the nodes, tries it, and stops them.
pub fn run(trial: &Trial<'_>, mut tell: impl FnMut(&str)) -> Result<Outcome> {
    let nodes = match trial.nodes {
        1 => vec![Node::start(&NodeOptions::default())?],
        several => start_cluster(several)?,
    };
    let api = nodes.first().context("no nodes")?.api();
    let mut outcome = Outcome::default();
    let mut random = Random::new(trial.seed);
    let mut asked = 0;
    while asked < trial.count {
        let kind = *random.of(&[Kind::ByteLevel, Kind::SentencePiece]);
        let merges = random.below(400);
        let vocabulary = Vocabulary::random(kind, merges, &mut random);
        let folder = tiny::random(&vocabulary, &mut random)?;
        let path = folder.path().to_str().context("a folder without a name")?;
        let id = api.place(path, trial.sharding, trial.nodes)?;
        let instance = api.wait_ready(&id, READY_LIMIT)?;
        let model = instance["model"].as_str().unwrap_or(path);
        let count = trial.per_model.min(trial.count - asked);
        let cases: Vec<Case> = (0..count).map(|at| case(at, &mut random)).collect();
        let (before, valid) = (outcome.wrong.len(), outcome.valid);
        ask_all(&api, model, &vocabulary, &cases, &mut outcome)?;
        asked += count;
        tell(&format!(
            "{kind:?} with {} tokens: {} of {count} valid, {} wrong",
            vocabulary.token_count(),
            outcome.valid - valid,
            outcome.wrong.len() - before,
        ));
        api.close(&id)?;
    }
    for node in &nodes {
        outcome.mask_s += node.api().metric("espalier_mask_seconds_total")?;
        outcome.mask_wait_s += node.api().metric("espalier_mask_wait_seconds_total")?;
    }
    Ok(outcome)
}

fn case(at: usize, random: &mut Random) -> Case {
    let is_tool = at % TOOLS_EVERY == TOOLS_EVERY - 1;
    Case {
        schema: if is_tool {
            schemas::arguments(random)
        } else {
            schemas::any(random)
        },
        is_tool,
        seed: random.draw() >> 12,
    }
}

fn ask_all(
    api: &Api,
    model: &str,
    vocabulary: &Vocabulary,
    cases: &[Case],
    outcome: &mut Outcome,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = api.post("/v1/chat/completions", &body(model, vocabulary, case));
                    answers.lock().expect("nobody panics").push((case, answer));
                }
            });
        }
    });
    for (case, answer) in answers.into_inner().expect("nobody panicked") {
        let (status, answer) = answer?;
        outcome.tokens += answer["usage"]["completion_tokens"]
            .as_u64()
            .unwrap_or_default();
        match judged(case, status, &answer) {
            Ok(true) => outcome.valid += 1,
            Ok(false) => outcome.cut_short += 1,
            Err(why) => outcome
                .wrong
                .push(format!("{} ({why:#}): {answer}", case.schema)),
        }
    }
    Ok(())
}

fn body(model: &str, vocabulary: &Vocabulary, case: &Case) -> Value {
    let closing = [b'"', b'}', b']'].map(|letter| vocabulary.id(letter));
    let liked = closing.into_iter().chain([vocabulary.end()]);
    let bias: Map<String, Value> = liked.map(|id| (id.to_string(), json!(LIKING))).collect();
    let mut body = json!({
        "model": model, "messages": [{"role": "user", "content": "Fill this in."}], "seed": case.seed,
        "temperature": 1, "max_tokens": ANSWER_TOKENS, "logit_bias": bias,
    });
    if case.is_tool {
        let function = json!({"name": "fill_in", "parameters": case.schema, "strict": true});
        body["tools"] = json!([{"type": "function", "function": function}]);
        body["tool_choice"] = json!("required");
        body["parallel_tool_calls"] = json!(false);
    } else {
        let named = json!({"name": "answer", "strict": true, "schema": case.schema});
        body["response_format"] = json!({"type": "json_schema", "json_schema": named});
    }
    body
}

/// Whether an answer came to its end; an error if it is not what was asked for.
fn judged(case: &Case, status: u16, answer: &Value) -> Result<bool> {
    ensure!(status == 200, "status {status}");
    let choice = &answer["choices"][0];
    if choice["finish_reason"] == "length" {
        return Ok(false);
    }
    let message = &choice["message"];
    let text = if case.is_tool {
        &message["tool_calls"][0]["function"]["arguments"]
    } else {
        &message["content"]
    };
    let text = text.as_str().context("nothing was said")?;
    let value: Value = serde_json::from_str(text)?;
    let judge = jsonschema::options()
        .should_validate_formats(true)
        .build(&case.schema)
        .map_err(|error| anyhow!("{error}"))?;
    let fault = judge.validate(&value).map_err(|fault| anyhow!("{fault}"));
    fault.map(|()| true)
}
