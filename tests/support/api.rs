//! A blocking client of one node's HTTP API, as a user's script would be.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use ureq::SendBody;
use ureq::config::ConfigBuilder;
use ureq::http::{HeaderValue, Request, header};
use ureq::middleware::MiddlewareNext;
use ureq::typestate::AgentScope;

/// An answer is waited for this long: far beyond what it takes, so that a busy machine is slow and not wrong.
const REQUEST_LIMIT: Duration = Duration::from_mins(10);
/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(10);

/// One node's API.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    agent: ureq::Agent,
}

/// A streamed answer: its text and when each piece came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamedAnswer {
    /// The whole text.
    pub text: String,
    /// When each piece of text arrived, since the request was sent.
    pub arrivals: Vec<Duration>,
    /// The `finish_reason` of the last chunk that had one.
    pub finish_reason: Option<String>,
    /// Tokens of the answer as the server counted them, if `stream_options` asked for that.
    pub completion_tokens: Option<u64>,
    /// Tokens of the prompt that need not be computed, counted likewise.
    pub cached_tokens: Option<u64>,
}

impl StreamedAnswer {
    /// The longest silence between two pieces.
    pub fn pause_max(&self) -> Duration {
        self.arrivals
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .max()
            .unwrap_or_default()
    }

    /// Pieces per second from the first to the last.
    pub fn pieces_per_second(&self) -> f64 {
        match (self.arrivals.first(), self.arrivals.last()) {
            (Some(first), Some(last)) if last > first => {
                (self.arrivals.len() - 1) as f64 / last.saturating_sub(*first).as_secs_f64()
            }
            _ => 0.0,
        }
    }
}

impl Api {
    /// The API on a port of this machine's (or this thread's namespace's) loopback.
    pub fn new(port: u16) -> Self {
        Self::at(format!("http://127.0.0.1:{port}"))
    }

    /// The API at a URL.
    pub fn at(base: String) -> Self {
        Self {
            base,
            agent: config().build().into(),
        }
    }

    /// The same for somebody who shows a key.
    pub fn with_key(&self, key: &str) -> Result<Self> {
        let shown = HeaderValue::try_from(format!("Bearer {key}"))?;
        let config = config().middleware(
            move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
                let headers = request.headers_mut();
                headers.insert(header::AUTHORIZATION, shown.clone());
                next.handle(request)
            },
        );
        Ok(Self {
            base: self.base.clone(),
            agent: config.build().into(),
        })
    }

    /// GET, any status.
    pub fn get(&self, path: &str) -> Result<(u16, Value)> {
        let mut response = self.agent.get(format!("{}{path}", self.base)).call()?;
        Ok((response.status().as_u16(), response.body_mut().read_json()?))
    }

    /// GET as a program on another computer does, any status.
    pub fn get_with_key(&self, path: &str, key: &str) -> Result<(u16, Value)> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let mut response = request
            .header("Authorization", format!("Bearer {key}"))
            .call()?;
        Ok((response.status().as_u16(), response.body_mut().read_json()?))
    }

    /// A figure of `/metrics`, by its whole name.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let url = format!("{}/metrics", self.base);
        let text = self.agent.get(url).call()?.body_mut().read_to_string()?;
        let figure = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let figure = figure.with_context(|| format!("no {name} in {text}"))?;
        Ok(figure.parse()?)
    }

    /// The data of the first event of a stream of server-sent events.
    pub fn first_event(&self, path: &str) -> Result<String> {
        let mut response = self.agent.get(format!("{}{path}", self.base)).call()?;
        let lines = BufReader::new(response.body_mut().as_reader()).lines();
        let mut data = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        data.next().context("the stream has no event")
    }

    /// POST a JSON body, any status.
    pub fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let mut response = self
            .agent
            .post(format!("{}{path}", self.base))
            .send_json(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_json()?))
    }

    /// POST a JSON body; any status, and null for an answer without a body.
    pub fn post_any(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let url = format!("{}{path}", self.base);
        let mut response = self.agent.post(url).send_json(body)?;
        let text = response.body_mut().read_to_string()?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok((response.status().as_u16(), json))
    }

    /// POST a body that may not be JSON, any status.
    pub fn post_text(&self, path: &str, body: &str) -> Result<(u16, Value)> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.post(url).content_type("application/json");
        let mut response = request.send(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_json()?))
    }

    /// Begins a stream: its chunks as they come, or what was answered instead. Dropping it hangs up.
    pub fn begin_stream(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Result<impl Iterator<Item = Result<Value>> + use<>, (u16, Value)>> {
        let url = format!("{}{path}", self.base);
        let mut response = self.agent.post(url).send_json(body)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Ok(Err((status, response.body_mut().read_json()?)));
        }
        let lines = BufReader::new(response.into_body().into_reader()).lines();
        let data = lines.filter_map(|line| {
            let line = line.map_err(anyhow::Error::from);
            line.map(|line| Some(line.strip_prefix("data: ")?.to_string()))
                .transpose()
        });
        let chunks = data.take_while(|data| !matches!(data, Ok(data) if data == "[DONE]"));
        Ok(Ok(chunks.map(|data| Ok(serde_json::from_str(&data?)?))))
    }

    /// The lines of JSON that answer a JSON body, each as it comes.
    pub fn lines(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<impl Iterator<Item = Result<Value>> + use<>> {
        let url = format!("{}{path}", self.base);
        let response = self.agent.post(url).send_json(body)?;
        let lines = BufReader::new(response.into_body().into_reader()).lines();
        Ok(lines.map(|line| Ok(serde_json::from_str(&line?)?)))
    }

    /// PATCH a JSON body, any status.
    pub fn patch(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let url = format!("{}{path}", self.base);
        let mut response = self.agent.patch(url).send_json(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_json()?))
    }

    /// PUT a JSON body; the status.
    pub fn put(&self, path: &str, body: &Value) -> Result<u16> {
        let url = format!("{}{path}", self.base);
        Ok(self.agent.put(url).send_json(body)?.status().as_u16())
    }

    /// DELETE, any status.
    pub fn delete(&self, path: &str) -> Result<u16> {
        Ok(self
            .agent
            .delete(format!("{}{path}", self.base))
            .call()?
            .status()
            .as_u16())
    }

    /// The cluster as this node sees it.
    pub fn state(&self) -> Result<Value> {
        match self.get("/admin/state")? {
            (200, state) => Ok(state),
            (status, body) => bail!("/admin/state answered {status}: {body}"),
        }
    }

    /// Waits until `condition` holds of the state; the time that took, or what the state was at the end.
    pub fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&Value) -> bool,
    ) -> Result<Duration> {
        let start = Instant::now();
        loop {
            let state = self.state();
            if state.as_ref().is_ok_and(&condition) {
                return Ok(start.elapsed());
            }
            if start.elapsed() > limit {
                bail!("no {what} within {limit:?}; last seen: {state:?}");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until this node lists `count` nodes as online.
    pub fn wait_for_nodes(&self, count: usize, limit: Duration) -> Result<Duration> {
        self.wait_for(&format!("{count} nodes online"), limit, |state| {
            online_nodes(state) == count
        })
    }

    /// Places a model and returns the instance's id.
    pub fn place(&self, model: &str, sharding: &str, node_count: usize) -> Result<String> {
        let body = json!({"model": model, "sharding": sharding, "node_count": node_count});
        self.open(&body)
    }

    /// Opens what `body` says and returns the instance's id.
    pub fn open(&self, body: &Value) -> Result<String> {
        match self.post("/admin/instances", body)? {
            (202, answer) => Ok(answer["id"]
                .as_str()
                .context("the answer has no id")?
                .to_string()),
            (status, answer) => bail!("opening {body} answered {status}: {answer}"),
        }
    }

    /// Waits until an instance is ready; fails at once when it has failed.
    pub fn wait_ready(&self, id: &str, limit: Duration) -> Result<Value> {
        let start = Instant::now();
        loop {
            let (status, instance) = self.get(&format!("/admin/instances/{id}"))?;
            match instance["state"].as_str() {
                Some("ready") => return Ok(instance),
                Some("failed") => bail!("instance {id} failed: {instance}"),
                _ if start.elapsed() > limit => {
                    bail!("instance {id} not ready within {limit:?}: {status} {instance}")
                }
                _ => std::thread::sleep(POLL),
            }
        }
    }

    /// Closes an instance and waits until no shard of it is left in this node's state.
    pub fn close(&self, id: &str) -> Result<()> {
        self.delete(&format!("/admin/instances/{id}"))?;
        self.wait_for("closed instance", Duration::from_secs(10), |state| {
            instance(state, id).is_none()
        })?;
        Ok(())
    }

    /// Greedy completion of a text prompt, not streamed.
    pub fn complete(&self, model: &str, prompt: &Value, max_tokens: usize) -> Result<String> {
        let body =
            json!({"model": model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0});
        let (status, answer) = self.post("/v1/completions", &body)?;
        let text = answer["choices"][0]["text"].as_str();
        Ok(text
            .ok_or_else(|| anyhow!("completion answered {status}: {answer}"))?
            .to_string())
    }

    /// Starts a stream and closes the connection after `pieces` of it.
    pub fn hang_up_after(&self, path: &str, body: &Value, pieces: usize) -> Result<()> {
        let mut response = self
            .agent
            .post(format!("{}{path}", self.base))
            .send_json(body)?;
        let lines = BufReader::new(response.body_mut().as_reader()).lines();
        let seen = lines
            .map_while(Result::ok)
            .filter(|line| line.starts_with("data: "))
            .take(pieces);
        anyhow::ensure!(
            seen.count() == pieces,
            "the stream was shorter than {pieces} pieces"
        );
        Ok(())
    }

    /// Any request with `"stream": true`; `on_piece` sees the number of pieces so far.
    pub fn stream(
        &self,
        path: &str,
        body: &Value,
        mut on_piece: impl FnMut(usize),
    ) -> Result<StreamedAnswer> {
        let start = Instant::now();
        let mut response = self
            .agent
            .post(format!("{}{path}", self.base))
            .send_json(body)?;
        if response.status() != 200 {
            bail!(
                "{path} answered {}: {}",
                response.status(),
                response.body_mut().read_to_string()?
            );
        }
        let mut answer = StreamedAnswer {
            text: String::new(),
            arrivals: Vec::new(),
            finish_reason: None,
            completion_tokens: None,
            cached_tokens: None,
        };
        for line in BufReader::new(response.body_mut().as_reader()).lines() {
            let line = line?;
            let Some(data) = line.strip_prefix("data: ") else {
                continue;
            };
            if data == "[DONE]" {
                return Ok(answer);
            }
            let chunk: Value = serde_json::from_str(data)?;
            if let Some(error) = chunk.get("error") {
                bail!("error after {} pieces: {error}", answer.arrivals.len());
            }
            if let Some(tokens) = chunk["usage"]["completion_tokens"].as_u64() {
                answer.completion_tokens = Some(tokens);
                let details = &chunk["usage"]["prompt_tokens_details"];
                answer.cached_tokens = details["cached_tokens"].as_u64();
            }
            let choice = &chunk["choices"][0];
            if let Some(reason) = choice["finish_reason"].as_str() {
                answer.finish_reason = Some(reason.to_string());
            }
            let piece = choice["text"]
                .as_str()
                .or_else(|| choice["delta"]["content"].as_str());
            if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
                answer.text.push_str(piece);
                answer.arrivals.push(start.elapsed());
                on_piece(answer.arrivals.len());
            }
        }
        bail!("the stream ended without [DONE] after {:?}", answer.text)
    }
}

fn config() -> ConfigBuilder<AgentScope> {
    ureq::Agent::config_builder()
        .timeout_global(Some(REQUEST_LIMIT))
        .http_status_as_error(false)
}

/// Nodes that a state lists as online, the asked one included.
pub fn online_nodes(state: &Value) -> usize {
    let nodes = state["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    nodes
        .iter()
        .filter(|node| node["state"] == "online")
        .count()
}

/// An instance of a state.
pub fn instance<'a>(state: &'a Value, id: &str) -> Option<&'a Value> {
    state["instances"]
        .as_array()?
        .iter()
        .find(|instance| instance["id"] == id)
}
