//! Names that come from outside: of repositories, revisions and files. What is parsed here never leads out of a folder.

use std::fmt;

use base::{ErrorCode, Failure, HubRevision};

use crate::catalogue::failure;
use crate::known_repository;

/// Longest owner, name or file; file systems take 255 bytes, and partial files need some for themselves.
const NAME_BYTES_MAX: usize = 200;
/// Longest path of a listing; it is only looked at, never made.
const PATH_BYTES_MAX: usize = 4096;
/// Hexadecimal digits of a git commit.
const COMMIT_DIGITS: usize = 40;

/// `owner/name` on a hub, each a plain name of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    owner: String,
    name: String,
}

/// A repository, and which state of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The repository.
    pub repository: Repository,
    /// A branch, a tag or a commit.
    pub revision: String,
}

/// Why a text names nothing that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no repository: {reason} (hint: write owner/name or owner/name@revision)")]
pub struct NameError {
    text: String,
    reason: &'static str,
}

impl Wanted {
    /// Reads `owner/name` or `owner/name@revision`, or an alias of a [known model](crate::known_repository); the revision is
    /// `main` if there is none.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = known_repository(text).unwrap_or(text);
        let refuse = |reason| NameError {
            text: text.chars().take(NAME_BYTES_MAX).collect(),
            reason,
        };
        let (repository, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = repository
            .split_once('/')
            .ok_or_else(|| refuse("there is no owner before a slash"))?;
        for part in [owner, name] {
            plain(part).map_err(refuse)?;
        }
        if !revision.split('/').all(|part| plain(part).is_ok()) {
            return Err(refuse("the revision is no branch, tag or commit"));
        }
        Ok(Self {
            repository: Repository {
                owner: owner.to_owned(),
                name: name.to_owned(),
            },
            revision: revision.to_owned(),
        })
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        failure(ErrorCode::InvalidRequest, &error)
    }
}

/// A commit of a repository, as others name it.
impl TryFrom<&HubRevision> for Wanted {
    type Error = NameError;

    fn try_from(origin: &HubRevision) -> Result<Self, NameError> {
        Self::parse(&format!("{}@{}", origin.repository, origin.revision))
    }
}

impl Repository {
    /// Who it belongs to.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Its name among its owner's.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Checks a name that is to be one of a file or folder: letters, digits, `.`, `_` and `-`, not hidden.
pub(super) fn plain(name: &str) -> Result<(), &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() {
        return Err("a part of it is empty");
    }
    if name.len() > NAME_BYTES_MAX {
        return Err("a part of it is too long");
    }
    if name.starts_with('.') {
        return Err("a part of it begins with a dot");
    }
    if !name.bytes().all(is_plain) {
        return Err("it has characters other than letters, digits, dot, dash and underscore");
    }
    Ok(())
}

/// Checks a path of a listing: nobody honest has one that leads out of its repository.
pub(super) fn stays_inside(path: &str) -> Result<(), &'static str> {
    if path.len() > PATH_BYTES_MAX {
        return Err("its path is too long");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return Err("its path has backslashes or control characters");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("its path leads out of the repository");
    }
    Ok(())
}

/// Whether a text is the id of a git commit.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == COMMIT_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_an_owner_a_name_and_perhaps_a_revision() {
        let wanted = Wanted::parse("mlx-community/Qwen3-0.6B-4bit").unwrap();
        assert_eq!(
            (
                wanted.repository.to_string().as_str(),
                wanted.revision.as_str()
            ),
            ("mlx-community/Qwen3-0.6B-4bit", "main")
        );
        assert_eq!(
            Wanted::parse("a/b@refs/pr/1").unwrap().revision,
            "refs/pr/1"
        );
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for text in [
            "", "gpt2", "a/", "/b", "a/b/c", "../b", "a/..", "a/.b", "a/b c", "a/b\0", "a/b%2f",
            "a\\b/c", "a/b@", "a/b@../x", "a/b@x?y", "ä/b",
        ] {
            assert!(Wanted::parse(text).is_err(), "{text:?}");
        }
        assert!(Wanted::parse(&format!("a/{}", "b".repeat(NAME_BYTES_MAX + 1))).is_err());
        for path in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a\\b",
            "a\nb",
            "C:\\x",
            "./x",
            "",
        ] {
            assert!(stays_inside(path).is_err(), "{path:?}");
        }
        assert_eq!(stays_inside("docs/Überblick.md"), Ok(()));
    }
}
