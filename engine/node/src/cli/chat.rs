//! The terminal's side of a conversation: a line to edit, an answer that appears as it comes.

use std::io::Write;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde_json::Value;

use super::client::{Answer, Client, failure_in};
use super::failure::CommandFailure;

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

/// A line editor with history. Reading blocks a thread, so the editor moves there and comes back.
pub(super) struct Editor(DefaultEditor);

impl Editor {
    pub(super) fn new() -> Result<Self, CommandFailure> {
        DefaultEditor::new()
            .map(Self)
            .map_err(|error| unusable(&error))
    }

    /// The next line; `None` when the person leaves (Ctrl-C or Ctrl-D).
    pub(super) async fn read(mut self) -> Result<(Self, Option<String>), CommandFailure> {
        let reading = tokio::task::spawn_blocking(move || {
            let line = self.0.readline("> ");
            if let Ok(line) = &line {
                // History is a comfort: without it the line is still read.
                let _ = self.0.add_history_entry(line.as_str());
            }
            (self, line)
        });
        match reading.await {
            Ok((editor, Ok(line))) => Ok((editor, Some(line))),
            Ok((editor, Err(ReadlineError::Interrupted | ReadlineError::Eof))) => {
                Ok((editor, None))
            }
            Ok((_, Err(error))) => Err(unusable(&error)),
            Err(_) => Err(CommandFailure::other("the line editor stopped")),
        }
    }
}

fn unusable(error: &ReadlineError) -> CommandFailure {
    CommandFailure::with_hint(
        format!("this terminal cannot be used to edit lines: {error}"),
        "give the question as an argument: espalier run MODEL \"question\"",
    )
}
