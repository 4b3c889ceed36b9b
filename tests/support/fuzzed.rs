//! schemathesis against a real node: requests that its own `OpenAPI` document allows and forbids, whatever routes there
//! are. None may be answered by a 5xx, and every answer must be as the document says.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::checkpoints::test_python;
use crate::folder;
use crate::nodes::{Node, NodeOptions};

/// What schemathesis holds answers against.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Fuzzing {
    /// So many requests, at least.
    pub requests: u64,
    /// Only random ones, without those that go through each field's limits and those that go on from answers.
    pub random_alone: bool,
    /// Decides what is asked.
    pub seed: u64,
}

/// Asks a new node; how many requests it answered. What schemathesis says goes through `say`.
pub fn run(fuzzing: Fuzzing, say: impl Fn(&str)) -> Result<u64> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let (_, document) = node.api().get("/openapi.json")?;
    let paths = document["paths"].as_object().context("paths")?;
    let operations = paths.values().filter_map(Value::as_object);
    let operations: usize = operations.map(serde_json::Map::len).sum();
    let each = fuzzing.requests.div_ceil(operations.max(1) as u64);
    let folder = tempfile::tempdir()?;
    let mut schemathesis = Command::new(test_python()?);
    schemathesis
        .args(["-m", "schemathesis.cli", "run"])
        .arg(format!("http://127.0.0.1:{}/openapi.json", node.port))
        .args(["--checks", CHECKS, "--continue-on-failure", "--no-color"])
        .args(["--seed", &fuzzing.seed.to_string()])
        .args(["--max-examples", &each.to_string()]);
    if fuzzing.random_alone {
        schemathesis.args(["--phases", "fuzzing"]);
    }
    // It keeps what it has seen where it runs, and reads there how it is to run.
    let hooks = folder::of_tests("clients/schemathesis_hooks.py");
    let config = format!("hooks = {}\n", json!(hooks));
    fs::write(folder.path().join("schemathesis.toml"), config)?;
    schemathesis.current_dir(folder.path());
    let output = schemathesis.stderr(Stdio::inherit()).output();
    let output = output.context("schemathesis")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    say(&printed);
    ensure!(output.status.success(), "{printed}\n{}", node.log());
    let generated = printed.lines().find_map(|line| {
        let (count, rest) = line.trim().split_once(" generated")?;
        rest.starts_with(',').then(|| count.parse().ok())?
    });
    ensure!(node.api().get("/health")?.0 == 200, "{}", node.log());
    generated.context(printed)
}
