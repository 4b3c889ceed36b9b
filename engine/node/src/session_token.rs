//! The token of dashboards in browsers: made once, kept in the data folder, for its owner's eyes alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::random;

/// 128 random bits in hexadecimal.
const DIGITS: usize = 32;

/// The token of a data folder; a new one if there is none, or no sound one.
pub(crate) fn load_or_create(path: &Path) -> io::Result<String> {
    if let Ok(token) = fs::read_to_string(path)
        && token.len() == DIGITS
        && token.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Ok(token);
    }
    let half = || random::u64().map_err(|failure| io::Error::other(failure.message));
    let token = format!("{:016x}{:016x}", half()?, half()?);
    // Removed first: the mode counts only for a file that is made.
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(token.as_bytes())?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_private_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session");
        let token = load_or_create(&path).unwrap();
        assert_eq!(load_or_create(&path).unwrap(), token);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, "Set-Cookie: nonsense").unwrap();
        let other = load_or_create(&path).unwrap();
        assert_ne!(other, token);
        assert_eq!(other.len(), DIGITS);
    }
}
