//! What the bytes of a file must hash to: SHA-256 for large files, git's SHA-1 of a blob for small ones.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Digits by their value.
const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Read at once while hashing.
const PIECE_BYTES: usize = 1 << 20;

/// A hash, in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Digest {
    /// SHA-256 of the content, as Git LFS names it.
    Sha256(String),
    /// SHA-1 of `blob {length}\0` and the content, as git names it.
    GitBlob(String),
}

impl Digest {
    /// `None` if these are not the digits of one.
    pub(super) fn sha256(digits: &str) -> Option<Self> {
        hexadecimal(digits, 64).map(Self::Sha256)
    }

    /// `None` if these are not the digits of one.
    pub(super) fn git_blob(digits: &str) -> Option<Self> {
        hexadecimal(digits, 40).map(Self::GitBlob)
    }

    /// Its digits alone: so the cache of Hugging Face's own tools names files.
    pub(super) fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitBlob(digits) => digits,
        }
    }

    /// As members name it to each other: `sha256:` or `git:` and the digits.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Sha256(digits) => format!("sha256:{digits}"),
            Self::GitBlob(digits) => format!("git:{digits}"),
        }
    }

    /// What [`Self::to_text`] gave.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("sha256", digits) => Self::sha256(digits),
            ("git", digits) => Self::git_blob(digits),
            _ => None,
        }
    }

    /// Whether `size` bytes of `content` are what this names. Reads all of it.
    pub(super) fn fits(&self, size: u64, content: impl Read) -> io::Result<bool> {
        match self {
            Self::Sha256(expected) => Ok(hash(Sha256::new(), content)? == *expected),
            Self::GitBlob(expected) => {
                let sha1 = Sha1::new_with_prefix(format!("blob {size}\0"));
                Ok(hash(sha1, content)? == *expected)
            }
        }
    }
}

fn hexadecimal(digits: &str, count: usize) -> Option<String> {
    let fine = digits.len() == count && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    fine.then(|| digits.to_ascii_lowercase())
}

fn hash(mut hash: impl sha2::Digest, mut content: impl Read) -> io::Result<String> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match content.read(&mut piece)? {
            0 => break,
            read => hash.update(&piece[..read]),
        }
    }
    let mut digits = String::new();
    for byte in hash.finalize() {
        digits.push(char::from(DIGITS[usize::from(byte >> 4)]));
        digits.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_git_and_of_sha256sum() {
        // `echo hello | git hash-object --stdin`, `echo hello | sha256sum`
        let blob = Digest::git_blob("ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        let sha256 =
            Digest::sha256("5891B5B522D5DF086D0FF0B110FBD9D21BB4FC7163AF34D08286A2E846F6BE03")
                .unwrap();
        for digest in [blob, sha256] {
            assert_eq!(Digest::from_text(&digest.to_text()), Some(digest.clone()));
            assert!(digest.fits(6, &b"hello\n"[..]).unwrap());
            assert!(!digest.fits(6, &b"hellO\n"[..]).unwrap());
        }
        assert_eq!(Digest::from_text("md5:00"), None);
        assert_eq!(Digest::sha256("5891"), None);
        assert_eq!(Digest::git_blob(&"g".repeat(40)), None);
    }
}
