//! A seeded storm of clients: connects, hang-ups, cancels, time limits, wrong requests, grammars, models that come and go.
//!
//! Every request must be answered, or refused with a reason in its dialect's envelope; whatever else happens is noted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::api::Api;
use crate::random::Random;

/// Between two switches of a model.
const SWITCH_PAUSE: Duration = Duration::from_millis(300);
/// For a model to be read again on a machine that is busy with the storm.
const READY_LIMIT: Duration = Duration::from_mins(2);
/// After the storm: the last steps, and the next report of each worker.
const CALM_LIMIT: Duration = Duration::from_secs(20);

/// What a storm does.
#[derive(Debug, Clone)]
pub struct Storm {
    /// Decides all but the order of what happens at once.
    pub seed: u64,
    /// Clients at once.
    pub clients: usize,
    /// How long it blows.
    pub lasts: Duration,
    /// A model that stays loaded.
    pub stays: String,
    /// The folder of a model that is opened and closed all the time, and asked for.
    pub switches: String,
}

/// How many requests came to which end.
pub type Ends = BTreeMap<String, usize>;

/// What a client does with one request.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Whole,
    Stream,
    Several,
    HangUp,
    TimeLimit,
    Grammar,
    TooLong,
    Malformed,
    Background,
    Messages,
    Tokens,
    Unknown,
}

const DEEDS: [Deed; 12] = [
    Deed::Whole,
    Deed::Stream,
    Deed::Several,
    Deed::HangUp,
    Deed::TimeLimit,
    Deed::Grammar,
    Deed::TooLong,
    Deed::Malformed,
    Deed::Background,
    Deed::Messages,
    Deed::Tokens,
    Deed::Unknown,
];

impl Storm {
    /// Lets it blow over the nodes that answer there. An error is a request without a proper end.
    ///
    /// # Panics
    /// If a client's thread does.
    pub fn blow(&self, nodes: &[Api]) -> Result<Ends> {
        let until = Instant::now() + self.lasts;
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let switcher = scope.spawn(|| self.switch(&nodes[0], &over));
            let clients: Vec<_> = (0..self.clients)
                .map(|client| scope.spawn(move || self.client(nodes, client, until)))
                .collect();
            let mut ends = Ends::new();
            let mut failed = None;
            for client in clients {
                match client.join().expect("a client's thread") {
                    Ok(seen) => seen
                        .into_iter()
                        .for_each(|(end, count)| *ends.entry(end).or_default() += count),
                    Err(error) => failed = Some(error),
                }
            }
            over.store(true, Ordering::Release);
            let times = switcher.join().expect("the switcher's thread")?;
            ends.insert("model switches".into(), times);
            failed.map_or(Ok(ends), Err)
        })
    }

    /// So many responses in the background as a node keeps, and some more: after that each takes another's place.
    ///
    /// # Errors
    /// If one has no proper end.
    pub fn fill(&self, nodes: &[Api], responses: usize) -> Result<()> {
        for _ in 0..responses {
            for node in nodes {
                background(node, &self.stays, 1)?;
            }
        }
        Ok(())
    }

    /// Opens and closes the model that does not stay; how often.
    fn switch(&self, node: &Api, over: &AtomicBool) -> Result<usize> {
        let mut switches = 0;
        while !over.load(Ordering::Acquire) {
            let body = json!({"model": self.switches});
            let (status, answer) = node.post("/admin/instances", &body)?;
            ensure!(status == 202, "opening a model answered {status}: {answer}");
            let id = answer["id"].as_str().unwrap_or_default();
            node.wait_ready(id, READY_LIMIT)?;
            thread::sleep(SWITCH_PAUSE);
            close_all(node, &self.switched())?;
            switches += 1;
            thread::sleep(SWITCH_PAUSE);
        }
        close_all(node, &self.switched())?;
        Ok(switches)
    }

    /// The name by which requests ask for it.
    fn switched(&self) -> String {
        let name = self.switches.rsplit('/').next();
        name.unwrap_or(&self.switches).to_string()
    }

    fn client(&self, nodes: &[Api], client: usize, until: Instant) -> Result<Ends> {
        let mut random = Random::new(self.seed.wrapping_mul(1_000_003) + client as u64);
        let mut ends = Ends::new();
        while Instant::now() < until {
            let node = &nodes[random.below(nodes.len())];
            let deed = DEEDS[random.below(DEEDS.len())];
            // Most requests are for the model that stays.
            let model = match random.below(6) {
                0 => self.switched(),
                _ => self.stays.clone(),
            };
            let end = Self::act(node, deed, &model, &mut random);
            let end = end.map_err(|error| error.context(format!("{deed:?} of {model}")))?;
            *ends.entry(format!("{deed:?}: {end}")).or_default() += 1;
        }
        Ok(ends)
    }

    fn act(node: &Api, deed: Deed, model: &str, random: &mut Random) -> Result<String> {
        let tokens = 1 + random.below(60);
        let priority = random.below(3) as i64 - 1;
        let mut body = json!({
            "model": model, "max_tokens": tokens, "seed": random.draw() >> 1, "ignore_eos": true,
            "user": format!("user {}", random.below(4)), "priority": priority,
        });
        let words = "word ".repeat(1 + random.below(60));
        body["messages"] = json!([{"role": "user", "content": words}]);
        let chat = "/v1/chat/completions";
        match deed {
            Deed::Whole => ended(node.post(chat, &body)?, "choices"),
            Deed::Several => {
                body["n"] = json!(2 + random.below(3));
                ended(node.post(chat, &body)?, "choices")
            }
            Deed::Grammar => {
                body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "a", "strict": true,
                    "schema": {"type": "object", "properties": {"a": {"enum": ["b", "c"]}}, "required": ["a"], "additionalProperties": false}}});
                ended(node.post(chat, &body)?, "choices")
            }
            Deed::Stream => streamed(node, &mut body, usize::MAX),
            Deed::HangUp => streamed(node, &mut body, random.below(6)),
            Deed::TimeLimit => {
                body["timeout"] = json!(0.001 * random.below(200) as f64 + 0.001);
                body["max_tokens"] = json!(400);
                ended(node.post(chat, &body)?, "choices")
            }
            Deed::TooLong => {
                body["messages"][0]["content"] = json!("word ".repeat(2000 + random.below(20_000)));
                refused(node.post(chat, &body)?)
            }
            Deed::Malformed => {
                let mut text = body.to_string();
                text.truncate(random.below(text.len()));
                refused(node.post_text(chat, &text)?)
            }
            Deed::Unknown => {
                body["model"] = json!("nobody/has-this");
                refused(node.post(chat, &body)?)
            }
            Deed::Messages => ended(node.post("/v1/messages", &body)?, "content"),
            Deed::Tokens => ended(
                node.post("/v1/messages/count_tokens", &body)?,
                "input_tokens",
            ),
            Deed::Background => background(node, model, tokens),
        }
    }
}

/// A response that is begun and cancelled.
fn background(node: &Api, model: &str, tokens: usize) -> Result<String> {
    let body = json!({"model": model, "input": "Count.", "background": true, "max_output_tokens": tokens.max(16) * 4});
    let (status, answer) = node.post("/v1/responses", &body)?;
    let Some(id) = answer["id"].as_str().filter(|_| status == 200) else {
        return refused((status, answer));
    };
    ended(
        node.post(&format!("/v1/responses/{id}/cancel"), &json!({}))?,
        "status",
    )
}

/// A stream that is read for so many pieces.
fn streamed(node: &Api, body: &mut Value, pieces: usize) -> Result<String> {
    body["stream"] = json!(true);
    match node.begin_stream("/v1/chat/completions", body)? {
        Err(refusal) => refused(refusal),
        Ok(stream) => {
            let mut seen = 0;
            for piece in stream {
                let piece = piece?;
                if let Some(error) = piece.get("error") {
                    return refused((200, json!({"error": error})))
                        .map(|why| format!("mid-stream {why}"));
                }
                seen += 1;
                if seen >= pieces {
                    return Ok("hung up".into());
                }
            }
            Ok("answered".into())
        }
    }
}

/// An answer that has `field`, or a refusal.
fn ended((status, answer): (u16, Value), field: &str) -> Result<String> {
    if status != 200 {
        return refused((status, answer));
    }
    ensure!(
        !answer[field].is_null(),
        "an answer without {field}: {answer}"
    );
    Ok("answered".into())
}

/// A refusal that says why. A defect is none.
fn refused((status, answer): (u16, Value)) -> Result<String> {
    let error = &answer["error"];
    let said = error["message"].as_str().unwrap_or_default();
    ensure!(!said.is_empty(), "{status} without a reason: {answer}");
    let kind = error["code"]
        .as_str()
        .or(error["type"].as_str())
        .unwrap_or("?");
    if status == 500 || kind == "internal_error" {
        bail!("{status}: {answer}");
    }
    Ok(format!("{status} {kind}"))
}

/// Closes every instance of a model, also those that requests open meanwhile.
fn close_all(node: &Api, model: &str) -> Result<()> {
    for instance in node.state()?["instances"].as_array().into_iter().flatten() {
        if instance["model"]
            .as_str()
            .is_some_and(|name| name.ends_with(model))
        {
            let id = instance["id"].as_str().unwrap_or_default();
            node.delete(&format!("/admin/instances/{id}"))?;
        }
    }
    Ok(())
}

/// Waits until no worker computes or has anybody waiting, by the word of each node.
pub fn wait_for_calm(nodes: &[Api]) -> Result<()> {
    for node in nodes {
        node.wait_for("calm", CALM_LIMIT, |state| {
            let instances = state["instances"].as_array();
            instances.into_iter().flatten().all(|instance| {
                let activity = &instance["activity"];
                ["reading", "answering", "waiting"]
                    .iter()
                    .all(|what| activity[*what].as_u64().unwrap_or(0) == 0)
            })
        })?;
    }
    Ok(())
}
