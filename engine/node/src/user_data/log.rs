//! The end of the log's file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use base::Failure;
use serve::user_data::Log;

use super::failed;

/// What people read of a log; the file has the rest.
const LINES: usize = 500;
/// So much of the file's end is looked at: long lines are few.
const BYTES: u64 = 256 << 10;

/// The last whole lines; nothing if there is no file.
pub(super) fn last_lines(path: &Path) -> Result<Log, Failure> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Log::default()),
        Err(error) => return Err(failed(path, &error)),
    };
    let text = end_of(&mut file).map_err(|error| failed(path, &error))?;
    let lines: Vec<&str> = text.lines().collect();
    let lines = &lines[lines.len().saturating_sub(LINES)..];
    Ok(Log {
        path: Some(path.display().to_string()),
        lines: lines.iter().map(|&line| line.to_owned()).collect(),
    })
}

fn end_of(file: &mut File) -> io::Result<String> {
    let size = file.seek(SeekFrom::End(0))?;
    let from = size.saturating_sub(BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The first line of a cut is no line.
    let whole = match text.split_once('\n') {
        Some((_, rest)) if from > 0 => rest.to_owned(),
        _ => text,
    };
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn the_last_lines_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(last_lines(&path).unwrap(), Log::default());
        std::fs::write(&path, "one\ntwo\n").unwrap();
        assert_eq!(last_lines(&path).unwrap().lines, ["one", "two"]);
        let mut long = String::new();
        for number in 0..20_000 {
            writeln!(long, "line {number} and some more words").unwrap();
        }
        std::fs::write(&path, &long).unwrap();
        let lines = last_lines(&path).unwrap().lines;
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[0], "line 19500 and some more words");
        std::fs::write(&path, "x".repeat(1 << 20)).unwrap();
        assert_eq!(last_lines(&path).unwrap().lines.len(), 1);
    }
}
