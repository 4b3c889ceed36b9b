//! Claude Code in print mode: the first turn calls a tool, the second goes on with the session.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tests::nodes::{Node, NodeOptions};
use tests::scripted;

/// What the model says, turn by turn. Claude Code runs the first with its own shell.
const SAYS: [&str; 3] = [
    "<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"echo grown > pear.txt\", \
     \"description\": \"Writes a file\"}}\n</tool_call>",
    "The pear tree stands in pear.txt now.",
    "It was trained onto a frame, as I said.",
];

pub fn run(program: &Path) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("claude-code-").tempdir()?;
    let [model, home, project] = ["pear", "home", "project"].map(|name| folder.path().join(name));
    scripted::model(&model, &SAYS)?;
    std::fs::create_dir_all(&home)?;
    std::fs::create_dir_all(&project)?;
    let node = Node::start(&NodeOptions {
        model: Some(
            model
                .to_str()
                .context("a folder without a name")?
                .to_owned(),
        ),
        ..NodeOptions::default()
    })?;
    let address = format!("http://127.0.0.1:{}", node.port);
    let turn = |arguments: &[&str]| -> Result<String> {
        let began = Instant::now();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&project)
            .stdin(Stdio::null());
        for (name, value) in [
            ("HOME", home.to_str().unwrap_or("/")),
            ("ANTHROPIC_BASE_URL", address.as_str()),
            ("ANTHROPIC_AUTH_TOKEN", "none"),
            ("ANTHROPIC_MODEL", "pear"),
            ("ANTHROPIC_SMALL_FAST_MODEL", "pear"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
        ] {
            command.env(name, value);
        }
        let output = command.output().with_context(|| {
            format!(
                "{} (hint: npm install @anthropic-ai/claude-code, then --program)",
                program.display()
            )
        })?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let complaints = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{}: {said}{complaints}",
            output.status
        );
        println!("{:>5.1} s  {said}", began.elapsed().as_secs_f64());
        Ok(said)
    };
    let first = turn(&["-p", "Write the file pear.txt.", "--allowedTools", "Bash"])?;
    ensure!(first == SAYS[1], "the first turn ended with {first:?}");
    let made = std::fs::read_to_string(project.join("pear.txt")).context("the tool did not run")?;
    ensure!(made == "grown\n", "the tool wrote {made:?}");
    let second = turn(&["--continue", "-p", "What was done with it?"])?;
    ensure!(second == SAYS[2], "the second turn ended with {second:?}");
    println!("Claude Code completed two turns with a call");
    Ok(())
}
