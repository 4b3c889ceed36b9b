//! Speed of a sharded model against one node, and of a pipeline's stages with many streams against one, taking turns on the
//! same cores.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tests::api::Api;
use tests::nodes::{Node, NodeOptions, start_apart, start_cluster};

use crate::load::{Request, Server, checkpoint, workload};

/// A 30 M model loads in well under a second; the rest is a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// What to compare.
pub struct Setup {
    pub model: String,
    pub sharding: String,
    pub nodes: usize,
    pub tokens: usize,
    pub runs: usize,
}

pub fn measure(setup: &Setup) -> Result<()> {
    let alone = Node::start(&NodeOptions::default())?;
    let cluster = start_cluster(setup.nodes)?;
    let one = (alone.api(), model_name(&alone.api(), setup, "auto", 1)?);
    let many = (
        cluster[0].api(),
        model_name(&cluster[0].api(), setup, &setup.sharding, setup.nodes)?,
    );
    let (mut single, mut sharded, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..=setup.runs {
        let baseline = tokens_per_second(&one, setup.tokens)?;
        let measured = tokens_per_second(&many, setup.tokens)?;
        if run == 0 {
            continue; // the first run warms both up
        }
        single.push(baseline);
        sharded.push(measured);
        ratios.push(measured / baseline);
    }
    println!("one node:            {} tok/s", crate::spread(&single));
    println!(
        "{} ranks, {}:   {} tok/s",
        setup.nodes,
        setup.sharding,
        crate::spread(&sharded)
    );
    println!("ratio to one node:   {}", crate::spread(&ratios));
    Ok(())
}

/// `stages` stages of a pipeline: the same requests by `streams` clients, and by one client one after the other.
pub fn measure_stages(stages: usize, streams: usize, runs: usize) -> Result<()> {
    let folder = checkpoint()?;
    let cluster = start_apart(stages)?;
    let (api, ways) = (cluster[0].api(), ("pipeline", stages));
    let server = Server::placed("the pipeline", api, folder.path(), ways)?;
    server.tokens_per_second(&workload("warm", streams, 1))?;
    let (mut one, mut many, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..runs {
        let requests = |name: &str| workload(&format!("{name} run {run}"), streams, 1);
        let in_a_row: Vec<Request> = requests("one").into_iter().flatten().collect();
        let baseline = server.tokens_per_second(&[in_a_row])?;
        let measured = server.tokens_per_second(&requests("many"))?;
        one.push(baseline);
        many.push(measured);
        ratios.push(measured / baseline);
    }
    println!(
        "{stages} stages, one stream:    {} tok/s",
        crate::spread(&one)
    );
    println!(
        "{stages} stages, {streams} streams:     {} tok/s",
        crate::spread(&many)
    );
    println!("ratio to one stream: {}", crate::spread(&ratios));
    Ok(())
}

/// Places the model and returns the name to use in requests.
fn model_name(api: &Api, setup: &Setup, sharding: &str, nodes: usize) -> Result<String> {
    let id = api.place(&setup.model, sharding, nodes)?;
    let instance = api.wait_ready(&id, READY_LIMIT)?;
    Ok(instance["model"]
        .as_str()
        .unwrap_or(&setup.model)
        .to_string())
}

fn tokens_per_second((api, model): &(Api, String), tokens: usize) -> Result<f64> {
    // Token ids and log-probabilities off, end-of-text ignored: exactly `tokens` decode steps.
    let body = json!({"model": model, "prompt": [5, 6, 7, 8], "max_tokens": tokens, "temperature": 0,
                      "stream": false, "ignore_eos": true});
    let start = std::time::Instant::now();
    let (status, answer) = api.post("/v1/completions", &body)?;
    let made = answer["usage"]["completion_tokens"]
        .as_f64()
        .unwrap_or_default();
    anyhow::ensure!(
        status == 200 && made > 1.0,
        "completion answered {status}: {answer}"
    );
    Ok(made / start.elapsed().as_secs_f64())
}
