//! The terminal's side of a conversation: a line to edit, an answer that appears as it comes.

use std::io::{BufRead, Read, Write};

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde_json::Value;

use super::client::{Answer, Client, failure_in};
use super::failure::CommandFailure;

/// A line from standard input: no model's context is larger.
const QUESTION_BYTES_MAX: u64 = 16 << 20;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The model ended it.
    Whole,
    /// The person did.
    Interrupted,
}

/// Prints the answer to a chat request as it comes and collects it in `said`. Ctrl-C ends the answer alone: hanging
/// up frees its place in the model.
pub(super) async fn answer(
    client: &Client,
    body: &Value,
    said: &mut String,
) -> Result<Ended, CommandFailure> {
    let whole = async {
        let mut stream = client.open("/v1/chat/completions", body).await?;
        print_all(&mut stream, said).await
    };
    tokio::select! {
        outcome = whole => outcome.map(|()| Ended::Whole),
        signal = tokio::signal::ctrl_c() => {
            signal.map_err(|error| CommandFailure::other(format!("cannot watch for Ctrl-C: {error}")))?;
            Ok(Ended::Interrupted)
        }
    }
}

async fn print_all(stream: &mut Answer, said: &mut String) -> Result<(), CommandFailure> {
    while let Some(data) = stream.event().await? {
        if data == "[DONE]" {
            return Ok(());
        }
        let chunk: Value = serde_json::from_str(&data)
            .map_err(|_| CommandFailure::other("the node sent what is no JSON"))?;
        if let Some(failure) = failure_in(&chunk) {
            return Err(failure);
        }
        if let Some(piece) = chunk["choices"][0]["delta"]["content"].as_str() {
            let mut out = std::io::stdout();
            let written = out.write_all(piece.as_bytes()).and_then(|()| out.flush());
            said.push_str(piece);
            if written.is_err() {
                // Whoever read our output is gone (`espalier run … | head`): nothing is left to do.
                return Ok(());
            }
        }
    }
    Err(CommandFailure::other("the answer broke off"))
}

/// Where questions come from. Reading blocks a thread, so the source moves there and comes back.
pub(super) enum Lines {
    /// A person with a line editor and history.
    Edited(Box<DefaultEditor>),
    /// Standard input, line by line.
    Piped,
}

impl Lines {
    pub(super) fn edited() -> Result<Self, CommandFailure> {
        let editor = DefaultEditor::new().map_err(|error| unusable(&error))?;
        Ok(Self::Edited(Box::new(editor)))
    }

    pub(super) fn piped() -> Self {
        Self::Piped
    }

    /// The next line; `None` at the end, or when the person leaves (Ctrl-C or Ctrl-D).
    pub(super) async fn next(self) -> Result<(Self, Option<String>), CommandFailure> {
        let reading = tokio::task::spawn_blocking(move || match self {
            Self::Edited(editor) => edit(editor),
            Self::Piped => Ok((Self::Piped, read_line()?)),
        });
        let stopped = |_| CommandFailure::other("reading questions stopped");
        reading.await.map_err(stopped)?
    }
}

fn edit(mut editor: Box<DefaultEditor>) -> Result<(Lines, Option<String>), CommandFailure> {
    let line = match editor.readline("> ") {
        Ok(line) => {
            // History is a comfort: without it the line is still read.
            let _ = editor.add_history_entry(line.as_str());
            Some(line)
        }
        Err(ReadlineError::Interrupted | ReadlineError::Eof) => None,
        Err(error) => return Err(unusable(&error)),
    };
    Ok((Lines::Edited(editor), line))
}

fn read_line() -> Result<Option<String>, CommandFailure> {
    let mut line = String::new();
    let mut input = std::io::stdin().lock().take(QUESTION_BYTES_MAX);
    match input.read_line(&mut line) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(line.trim_end_matches(['\n', '\r']).to_string())),
        Err(error) => Err(CommandFailure::other(format!(
            "cannot read the question from standard input: {error}"
        ))),
    }
}

fn unusable(error: &ReadlineError) -> CommandFailure {
    CommandFailure::with_hint(
        format!("this terminal cannot be used to edit lines: {error}"),
        "give the question as an argument: espalier run MODEL \"question\"",
    )
}
