//! Random checkpoints and the numeric reference, both made by mlx-lm in the Python that set-up installed.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::folder;

/// Where `cargo xtask test` says that Python is.
const PYTHON_VARIABLE: &str = "ESPALIER_TEST_PYTHON";

/// The tests' Python.
pub fn test_python() -> Result<OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo xtask test hands the path over this way"
    )]
    std::env::var_os(PYTHON_VARIABLE).with_context(|| {
        format!("{PYTHON_VARIABLE} is not set (hint: run `cargo xtask test`, which sets it)")
    })
}

/// Runs a script, named from this folder, and returns what it printed.
pub fn python(script: &str, arguments: &[&str]) -> Result<String> {
    let path = folder::of_tests(script);
    let output = Command::new(test_python()?)
        .arg(path)
        .args(arguments)
        .output()
        .context("python")?;
    ensure!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The JSON that a script printed last.
pub fn python_json(script: &str, arguments: &[&str]) -> Result<Value> {
    let printed = python(script, arguments)?;
    let last = printed
        .lines()
        .last()
        .context("the script printed nothing")?;
    Ok(serde_json::from_str(last)?)
}

/// Writes Sprout as another model: with a context of so many tokens, whatever it learned.
pub fn sprout_with_context(folder: &Path, tokens: u32) -> Result<()> {
    let sprout = folder::sprout();
    fs::create_dir_all(folder)?;
    for file in fs::read_dir(&sprout)? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), folder.join(file.file_name()))?;
        }
    }
    let config = folder.join("config.json");
    let mut fields: Value = serde_json::from_slice(&fs::read(&config)?)?;
    fields["max_position_embeddings"] = json!(tokens);
    fs::write(&config, fields.to_string())?;
    Ok(())
}
