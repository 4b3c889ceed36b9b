//! Whole programs that others wrote, at work with a node: what they ask for is theirs, what the model answers is scripted.

use std::fs;
use std::process::{Command, Output};

use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::node_js::node;
use tests::nodes::Node;
use tests::scripted;

/// A node whose model answers as it is told.
struct Scripted {
    node: Node,
    /// The model's name in requests.
    model: String,
    /// Where programs work, with a home of their own.
    folder: TempDir,
}

impl Scripted {
    fn start(answers: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (node, model) = scripted::node(&folder.path().join("scripted"), answers)?;
        for place in ["home", "work"] {
            fs::create_dir(folder.path().join(place))?;
        }
        Ok(Self {
            node,
            model,
            folder,
        })
    }

    fn work(&self) -> std::path::PathBuf {
        self.folder.path().join("work")
    }

    /// A program of `tests/programs`, in the working folder.
    fn program(&self, script: &str) -> Result<Command> {
        let packages = tests::folder::of_tests("programs/node_modules");
        let script = packages.join(script);
        ensure!(
            script.is_file(),
            "{} is missing (hint: cargo xtask test, or npm ci in tests/programs)",
            script.display()
        );
        let mut command = Command::new(node()?);
        command
            .arg(script)
            .current_dir(self.work())
            .env("HOME", self.folder.path().join("home"));
        Ok(command)
    }
}

/// The lines of JSON that a program printed.
fn lines(output: &Output) -> Result<Vec<Value>> {
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{printed}\n{errors}");
    let lines = printed.lines().filter(|line| line.starts_with('{'));
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// What the items of a kind are about, in the events of `codex exec --json`.
fn items<'a>(events: &'a [Value], kind: &str, field: &str) -> Vec<&'a str> {
    let done = events
        .iter()
        .filter(|event| event["type"] == "item.completed" && event["item"]["type"] == kind);
    done.filter_map(|event| event["item"][field].as_str())
        .collect()
}

#[test]
fn codex_works_through_two_turns_with_a_tool_in_each() -> Result<()> {
    let call = |command: &str| {
        format!(
            "<tool_call>\n{{\"name\": \"exec_command\", \"arguments\": {{\"cmd\": \"{command}\"}}}}\n</tool_call>"
        )
    };
    let (writes, reads) = (call("echo pears > fruit.txt"), call("cat fruit.txt"));
    let scripted = Scripted::start(&[
        &format!("<think>\nA file is wanted.\n</think>\n\n{writes}"),
        "The file is written.",
        &reads,
        "There are pears in it.",
    ])?;
    let base = format!("http://127.0.0.1:{}/v1", scripted.node.port);
    let config = format!(
        "model = \"{}\"\nmodel_provider = \"espalier\"\napproval_policy = \"never\"\nsandbox_mode = \"danger-full-access\"\n\
         [model_providers.espalier]\nname = \"Espalier\"\nbase_url = \"{base}\"\nwire_api = \"responses\"\n",
        scripted.model
    );
    let home = scripted.folder.path().join("home");
    fs::write(home.join("config.toml"), config)?;
    let codex = |arguments: &[&str]| -> Result<Vec<Value>> {
        let mut command = scripted.program("@openai/codex/bin/codex.js")?;
        command.env("CODEX_HOME", &home).arg("exec").args(arguments);
        command.stdin(std::process::Stdio::null());
        lines(&command.output()?)
    };
    let first = codex(&[
        "--skip-git-repo-check",
        "--json",
        "Write a file about fruit.",
    ])?;
    assert_eq!(
        items(&first, "agent_message", "text"),
        ["The file is written."]
    );
    let file = scripted.work().join("fruit.txt");
    assert_eq!(fs::read_to_string(file)?, "pears\n");
    let second = codex(&[
        "resume",
        "--last",
        "--skip-git-repo-check",
        "--json",
        "What is in it?",
    ])?;
    assert_eq!(
        items(&second, "command_execution", "aggregated_output"),
        ["pears\n"]
    );
    assert_eq!(
        items(&second, "agent_message", "text"),
        ["There are pears in it."]
    );
    Ok(())
}

#[test]
fn continue_works_through_two_turns_with_a_tool_in_the_first() -> Result<()> {
    let scripted = Scripted::start(&[
        "<tool_call>\n{\"name\": \"Write\", \"arguments\": {\"filepath\": \"fruit.txt\", \"content\": \"pears\"}}\n</tool_call>",
        "The file is written.",
        "There are pears in it.",
    ])?;
    let home = scripted.folder.path().join("home");
    let config = home.join("config.yaml");
    fs::write(
        &config,
        format!(
            "name: local\nversion: 0.0.1\nschema: v1\nmodels:\n  - name: scripted\n    provider: openai\n    model: {}\n    \
             apiBase: http://127.0.0.1:{}/v1\n    apiKey: none\n    roles: [chat]\n",
            scripted.model, scripted.node.port
        ),
    )?;
    let ask = |arguments: &[&str]| -> Result<String> {
        let mut command = scripted.program("@continuedev/cli/dist/cn.js")?;
        command.args(["--print", "--auto", "--config"]).arg(&config);
        command.args(arguments).stdin(std::process::Stdio::null());
        let output = command.output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{errors}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    assert_eq!(ask(&["Write a file about fruit."])?, "The file is written.");
    let file = scripted.work().join("fruit.txt");
    assert_eq!(fs::read_to_string(file)?, "pears");
    assert_eq!(
        ask(&["--resume", "What is in it?"])?,
        "There are pears in it."
    );
    Ok(())
}
