//! `espalier` as a person at a terminal or a script uses it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::Result;
use serde_json::Value;
use tests::nodes::{Node, NodeOptions, program};

fn espalier(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(program("espalier")?)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?)
}

fn json(output: &Output) -> Result<Value> {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn sprout() -> Result<Node> {
    Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })
}

#[test]
fn status_models_and_plan_print_json() -> Result<()> {
    let node = sprout()?;
    let port = node.port.to_string();
    let status = json(&espalier(&["status", "--json", "--port", &port])?)?;
    assert_eq!(status["node_id"], node.id.as_str());
    assert_eq!(status["instances"][0]["state"], "ready");
    let models = json(&espalier(&["models", "list", "--json", "--port", &port])?)?;
    assert!(models.to_string().contains("sprout"), "{models}");
    let plans = json(&espalier(&["plan", "sprout", "--json", "--port", &port])?)?;
    assert!(plans.to_string().contains("shards"), "{plans}");
    Ok(())
}

#[test]
fn a_model_is_quantized_as_it_is_loaded() -> Result<()> {
    let node = Node::start(&NodeOptions {
        arguments: ["--quantize", "4"].map(String::from).to_vec(),
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let port = node.port.to_string();
    let status = json(&espalier(&["status", "--json", "--port", &port])?)?;
    let instance = &status["instances"][0];
    assert_eq!(
        (&instance["state"], &instance["quantize"]),
        (&"ready".into(), &4.into())
    );
    let planned = |more: &[&str]| -> Result<u64> {
        let line = [&["plan", "sprout", "--json", "--port", &port], more].concat();
        let plans = json(&espalier(&line)?)?;
        Ok(plans["placements"][0]["shards"][0]["bytes"]
            .as_u64()
            .unwrap_or(0))
    };
    let (whole, quantized) = (planned(&[])?, planned(&["--quantize", "4"])?);
    assert_eq!(instance["shards"][0]["bytes"], quantized);
    // Of float32 a good half, since what divides into no groups stays: 528 columns of each layer.
    assert!(
        quantized > 0 && whole - quantized > 4_000_000,
        "{whole} and {quantized}"
    );
    let output = espalier(&["run", "sprout", "What is Espalier?", "--port", &port])?;
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("Espalier"));
    Ok(())
}

#[test]
fn run_answers_one_prompt_and_a_piped_conversation() -> Result<()> {
    let node = sprout()?;
    let port = node.port.to_string();
    let output = espalier(&["run", "sprout", "What is Espalier?", "--port", &port])?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("Espalier"));

    let mut child = Command::new(program("espalier")?)
        .args(["run", "sprout", "--port", &port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"Who are you?\nWhat is Espalier?\n")?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(
        output.status.success() && text.contains("sprout") && text.contains("espalier"),
        "{text}"
    );
    Ok(())
}

#[test]
fn without_a_node_it_says_how_to_start_one() -> Result<()> {
    let output = espalier(&["status", "--port", "9"])?;
    let error = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(!output.status.success());
    assert!(error.contains("espalier serve"), "{error}");
    Ok(())
}

#[test]
fn a_taken_port_is_an_error_that_names_it() -> Result<()> {
    let node = sprout()?;
    let data = tempfile::tempdir()?;
    let output = espalier(&[
        "serve",
        "--no-discovery",
        "--port",
        &node.port.to_string(),
        "--data",
        &data.path().display().to_string(),
    ])?;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains(&node.port.to_string()), "{error}");
    Ok(())
}
