//! Where the log goes: to standard error, and for a node that runs for long also to a file that its user can look at.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::log_file;
use crate::environment::Environment;

/// What is logged unless the environment says otherwise.
const LOG_DEFAULT: &str =
    "warn,app=info,node=info,net=info,cluster=info,serve=info,store=info,worker=info";
/// Weeks of a quiet node. One file before it is kept, so twice as much is on the disk at most.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Starts logging, for as long as the process runs; `data` is the node's data folder.
pub fn start(environment: &Environment, data: Option<&Path>) {
    let filter = environment.log.as_deref().unwrap_or(LOG_DEFAULT);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    let to_stderr = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let file = data.map(|data| LogFile::new(log_file(data)));
    let to_file = file.map(|file| {
        let file = Mutex::new(file);
        tracing_subscriber::fmt::layer()
            .with_writer(file)
            .with_ansi(false)
    });
    let logging = tracing_subscriber::registry()
        .with(filter)
        .with(to_stderr)
        .with(to_file);
    // Only a test can have started another one before.
    let _ = logging.try_init();
}

/// A file that begins anew when it has become too large; the one before stays beside it. What cannot be written is
/// lost: a node works on a full disk too. (Of the libraries for this, `tracing-appender` limits by time alone, and
/// `file-rotate` panics when the folder is gone.)
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    open: Option<(File, u64)>,
}

impl LogFile {
    /// Opened with the first line.
    fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// The file with room for so much more, and how much is in it.
    fn with_room(&mut self, bytes: u64) -> io::Result<&mut (File, u64)> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open()?,
        };
        if open.1 + bytes > FILE_BYTES_MAX {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            open = self.open()?;
        }
        Ok(self.open.insert(open))
    }

    fn open(&self) -> io::Result<(File, u64)> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).append(true).mode(0o600);
        let file = options.open(&self.path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (file, size) = self.with_room(line.len() as u64)?;
        file.write_all(line)?;
        *size += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_grows_beyond_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = log_file(folder.path());
        let line = vec![b'x'; 1 << 16];
        for _ in 0..3 * FILE_BYTES_MAX / line.len() as u64 {
            LogFile::new(path.clone()).write_all(&line).unwrap();
        }
        let mut file = LogFile::new(path.clone());
        for _ in 0..3 * FILE_BYTES_MAX / line.len() as u64 {
            file.write_all(&line).unwrap();
        }
        let sizes = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect::<Vec<_>>();
        assert_eq!(sizes.len(), 2);
        assert!(
            sizes.iter().all(|size| *size <= FILE_BYTES_MAX),
            "{sizes:?}"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error_and_not_a_panic() {
        let mut file = LogFile::new("/dev/null/logs/x.log".into());
        assert!(file.write_all(b"line").is_err());
    }
}
