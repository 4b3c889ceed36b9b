//! One worker process with its pipes. Killed when dropped; a worker also ends by itself when its input closes.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{ErrorCode, Failure};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::worker::{FromWorker, ToWorker};

use super::pipes::{FrameReader, FrameWriter, PipeError, WriteError};

/// A worker that was told to stop sees it between two steps. Whatever it still computes is not wanted, so one that
/// is in a long step, or hangs in a collective with a lost peer, is simply killed.
const STOP_LIMIT: Duration = Duration::from_millis(500);
/// A process that has closed its output is about to be gone; writing a core dump can take this long.
const EXIT_LIMIT: Duration = Duration::from_secs(2);
/// Longest line of a worker's log that is kept whole.
const LOG_LINE_BYTES_MAX: u64 = 4096;

/// A running worker process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    reader: FrameReader<ChildStdout>,
    writer: FrameWriter,
    writing: JoinHandle<()>,
    logging: JoinHandle<()>,
    last_words: Arc<Mutex<String>>,
}

impl Process {
    /// Starts the worker program. `label` names it in the log.
    pub(crate) fn spawn(
        program: &Path,
        variables: &[(&'static str, String)],
        label: String,
    ) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .envs(
                variables
                    .iter()
                    .map(|(name, value)| (name, OsString::from(value))),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_started(program, &error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failure::new(ErrorCode::Internal, "the worker has no pipes"));
        };
        let (writer, writing) = FrameWriter::start(stdin);
        let last_words = Arc::new(Mutex::new(String::new()));
        let logging = tokio::spawn(log_lines(stderr, label, Arc::clone(&last_words)));
        Ok(Self {
            child,
            reader: FrameReader::new(stdout),
            writer,
            writing,
            logging,
            last_words,
        })
    }

    /// The next frame of the worker; `None` at its end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<FromWorker>, PipeError> {
        self.reader.next().await
    }

    /// Queues a frame for the worker; never waits.
    pub(crate) fn write(&self, frame: &ToWorker) -> Result<(), WriteError> {
        self.writer.write(frame)
    }

    /// Another way to write to it.
    pub(crate) fn writer(&self) -> FrameWriter {
        self.writer.clone()
    }

    /// Ends the worker: asks, waits a little, kills.
    pub(crate) async fn end(mut self) {
        let asked = self.writer.write(&ToWorker::Stop).is_ok();
        if asked && timeout(STOP_LIMIT, self.child.wait()).await.is_ok() {
            return;
        }
        // An error means that it is gone already.
        let _ = timeout(EXIT_LIMIT, self.child.kill()).await;
    }

    /// Waits for a worker that has stopped talking and says how it ended.
    pub(crate) async fn death(mut self) -> Failure {
        let status = timeout(EXIT_LIMIT, self.child.wait()).await;
        // Its last lines may still be in the pipe; nobody else writes to it, so it ends at once.
        let _ = timeout(EXIT_LIMIT, &mut self.logging).await;
        let words = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match status {
            Ok(Ok(status)) => ended(status, &words),
            Ok(Err(error)) => Failure::new(
                ErrorCode::WorkerLost,
                format!("the worker is lost: {error}"),
            ),
            Err(_) => {
                let _ = timeout(EXIT_LIMIT, self.child.kill()).await;
                Failure::new(
                    ErrorCode::WorkerLost,
                    "the worker closed its output and was killed",
                )
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The child itself is killed by tokio.
        self.writing.abort();
        self.logging.abort();
    }
}

fn not_started(program: &Path, error: &std::io::Error) -> Failure {
    let message = format!("cannot start {}: {error}", program.display());
    Failure::new(ErrorCode::Internal, message).hint(format!(
        "espalier-worker belongs beside espalier; or name it with {}",
        crate::environment::WORKER
    ))
}

/// How a worker that said nothing about it came to its end.
fn ended(status: ExitStatus, last_words: &str) -> Failure {
    let mut message = match how(status) {
        How::Killed(signal) => format!("the worker was ended by signal {signal}"),
        How::Exited(code) => format!("the worker ended with exit code {code}"),
    };
    if !last_words.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(message, "; it last said: {last_words}");
    }
    let failure = Failure::new(ErrorCode::WorkerLost, message);
    match how(status) {
        How::Killed(9) => failure.hint("if nobody killed it, the system had no memory left for it"),
        How::Killed(_) | How::Exited(_) => failure,
    }
}

enum How {
    Killed(i32),
    Exited(i32),
}

fn how(status: ExitStatus) -> How {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(signal) => How::Killed(signal),
        None => How::Exited(status.code().unwrap_or_default()),
    }
}

/// Passes a worker's standard error on to our log, line by line, and keeps the last line.
async fn log_lines<R: AsyncRead + Unpin>(pipe: R, label: String, last_words: Arc<Mutex<String>>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut pipe)
            .take(LOG_LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await;
        if !matches!(read, Ok(count) if count > 0) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.is_empty() {
            continue;
        }
        tracing::info!(target: "worker", "{label}: {text}");
        *last_words.lock().unwrap_or_else(PoisonError::into_inner) = text.to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script that runs as a worker, and the folder it is in.
    fn shell(script: &str) -> (tempfile::TempDir, Process) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&path, mode).unwrap();
        let process = Process::spawn(&path, &[("WORD", "hello".into())], "test".into()).unwrap();
        (folder, process)
    }

    #[tokio::test]
    async fn a_death_is_told_with_the_last_words() {
        let (_folder, mut process) = shell("echo \"$WORD\" >&2; exit 3");
        assert!(process.next().await.unwrap().is_none());
        let failure = process.death().await;
        assert_eq!(failure.code, ErrorCode::WorkerLost);
        assert_eq!(
            failure.message,
            "the worker ended with exit code 3; it last said: hello"
        );
    }

    #[tokio::test]
    async fn a_worker_that_does_not_listen_is_killed() {
        let (_folder, process) = shell("exec sleep 100");
        let start = std::time::Instant::now();
        process.end().await;
        assert!(start.elapsed() < Duration::from_secs(3));
    }

    #[tokio::test]
    async fn what_is_no_frame_is_an_error() {
        let (_folder, mut process) = shell("printf 'AAAAAAAAAAAAAAAA'");
        assert!(process.next().await.is_err());
    }

    #[test]
    fn a_missing_program_says_what_to_do() {
        let error = std::io::ErrorKind::NotFound.into();
        let failure = not_started(Path::new("/nowhere/espalier-worker"), &error);
        assert!(failure.hint.unwrap().contains("ESPALIER_WORKER"));
    }
}
