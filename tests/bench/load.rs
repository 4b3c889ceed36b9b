//! Load for a server: a model, clients with requests of known lengths, and how fast they are answered.

use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::api::{Api, StreamedAnswer};
use tests::checkpoints::python;

/// Between the first requests of two clients: Python's servers refuse connections when more than a few come at once.
const STAGGER: Duration = Duration::from_millis(20);
/// How often a refused connection is tried again, after as long.
const CONNECTS_MAX: usize = 50;
/// For a model of this size, on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// A folder with a model of about 29 million parameters in float32, whose greedy answers never end by themselves. Each
/// letter is a token.
pub fn checkpoint() -> Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("espalier-load-")
        .tempdir()?;
    let settings = json!({
        "model_type": "llama", "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8,
        "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 4096,
        "max_position_embeddings": 4096, "endless": true,
    });
    let path = folder.path().to_str().context("a folder's name")?;
    python("parity/make_checkpoint.py", &[path, &settings.to_string()])?;
    Ok(folder)
}

/// The requests of `streams` clients, `each` one after the other, prompts and answers of mixed lengths. Two of different
/// names have no prompt in common.
pub fn workload(name: &str, streams: usize, each: usize) -> Vec<Vec<Request>> {
    const PROMPTS: [usize; 8] = [24, 200, 64, 400, 16, 120, 300, 48];
    const ANSWERS: [usize; 5] = [96, 48, 160, 72, 112];
    let request = |at: usize| {
        let (prompt, answer) = (PROMPTS[at % PROMPTS.len()], ANSWERS[at % ANSWERS.len()]);
        Request::new(&format!("{name} {at}"), prompt, answer)
    };
    let of_stream = |stream: usize| (stream * each..(stream + 1) * each).map(request).collect();
    (0..streams).map(of_stream).collect()
}

/// A prompt of so many tokens, and how many are to be answered.
#[derive(Debug, Clone)]
pub struct Request {
    prompt: String,
    answer_tokens: usize,
}

impl Request {
    /// `name` decides the prompt's text, in which each letter is a token.
    pub fn new(name: &str, prompt_tokens: usize, answer_tokens: usize) -> Self {
        Self {
            prompt: letters(name, prompt_tokens),
            answer_tokens,
        }
    }

    /// A prompt that begins as all that have the same `beginning`.
    pub fn after(
        beginning: &str,
        beginning_tokens: usize,
        end: &str,
        end_tokens: usize,
        answer_tokens: usize,
    ) -> Self {
        let beginning = letters(beginning, beginning_tokens);
        Self {
            prompt: beginning + &letters(end, end_tokens),
            answer_tokens,
        }
    }
}

/// Letters that look random and depend on `name` alone, from the first on: no two names share a beginning of any length.
fn letters(name: &str, count: usize) -> String {
    // FNV-1a, then a linear congruential generator with Knuth's constants.
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + ((state >> 40) % 26) as u8)
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// What is counted of an answer.
struct Answer {
    /// When its first piece came.
    first: Duration,
    tokens: u64,
    /// Of the prompt.
    cached_tokens: u64,
}

/// One of the servers that are compared.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    api: Api,
    model: String,
}

impl Server {
    /// A server that calls the model `model`.
    pub fn new(name: &'static str, api: Api, model: String) -> Self {
        Self { name, api, model }
    }

    /// A node with the model in `folder`, placed as `sharding` over so many nodes.
    pub fn placed(
        name: &'static str,
        api: Api,
        folder: &Path,
        (sharding, nodes): (&str, usize),
    ) -> Result<Self> {
        let id = api.place(&folder.to_string_lossy(), sharding, nodes)?;
        let instance = api.wait_ready(&id, READY_LIMIT)?;
        let model = instance["model"].as_str().context("model")?.to_string();
        Ok(Self::new(name, api, model))
    }

    /// What to call it in print.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it calls the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Tokens per second over all streams, from the first request to the last answer.
    pub fn tokens_per_second(&self, streams: &[Vec<Request>]) -> Result<f64> {
        let start = Instant::now();
        let tokens: Vec<Result<u64>> = thread::scope(|scope| {
            let clients: Vec<_> = streams
                .iter()
                .map(|requests| {
                    thread::sleep(STAGGER);
                    scope.spawn(|| self.answer_all(requests))
                })
                .collect();
            let joined = clients.into_iter().map(|client| {
                let panicked = |_| Err(anyhow!("a client of {} panicked", self.name));
                client.join().unwrap_or_else(panicked)
            });
            joined.collect()
        });
        let took = start.elapsed();
        let tokens: u64 = tokens.into_iter().sum::<Result<u64>>()?;
        Ok(tokens as f64 / took.as_secs_f64())
    }

    /// Seconds to the first token of an answer.
    pub fn first_token(&self, request: &Request) -> Result<f64> {
        Ok(self.answer(request)?.first.as_secs_f64())
    }

    /// The same, of an answer whose prompt was found to begin as an earlier one, or was not.
    pub fn first_token_if(&self, request: &Request, is_hit: bool) -> Result<f64> {
        let answer = self.answer(request)?;
        ensure!(
            is_hit == (answer.cached_tokens > 0),
            "{} tokens of the prompt were cached",
            answer.cached_tokens
        );
        Ok(answer.first.as_secs_f64())
    }

    fn answer_all(&self, requests: &[Request]) -> Result<u64> {
        requests
            .iter()
            .map(|request| Ok(self.answer(request)?.tokens))
            .sum()
    }

    /// An answer; one of any other length than asked for is an error.
    fn answer(&self, request: &Request) -> Result<Answer> {
        let body = json!({
            "model": self.model, "prompt": request.prompt, "max_tokens": request.answer_tokens, "temperature": 0,
            "stream": true, "stream_options": {"include_usage": true}, "ignore_eos": true,
        });
        let start = Instant::now();
        let (answer, refused_for) = self.stream(&body, start)?;
        let first = answer.arrivals.first().map(|first| *first + refused_for);
        let tokens = answer.completion_tokens.unwrap_or_default();
        ensure!(
            tokens == request.answer_tokens as u64,
            "{} answered with {tokens} tokens in place of {}",
            self.name,
            request.answer_tokens
        );
        Ok(Answer {
            first: first.unwrap_or_else(|| start.elapsed()),
            tokens,
            cached_tokens: answer.cached_tokens.unwrap_or_default(),
        })
    }

    /// A streamed answer, and how long its connection was refused.
    fn stream(&self, body: &Value, start: Instant) -> Result<(StreamedAnswer, Duration)> {
        let mut refused = 0;
        loop {
            let refused_for = start.elapsed();
            match self.api.stream("/v1/completions", body, |_| ()) {
                Err(error) if refused < CONNECTS_MAX && is_refusal(&error) => {
                    refused += 1;
                    thread::sleep(STAGGER);
                }
                answer => return Ok((answer?, refused_for)),
            }
        }
    }
}

fn is_refusal(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(ureq::Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset
    )
}
