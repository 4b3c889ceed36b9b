//! Errors of the library crates carry their hint in brackets at the end; a [`Failure`] has a place for it. Pure.

use base::{ErrorCode, Failure};

/// An error's words as a failure: what is in `(hint: …)` becomes the hint.
pub(crate) fn failure(code: ErrorCode, words: &str) -> Failure {
    match words.split_once(" (hint: ") {
        Some((message, hint)) => {
            Failure::new(code, message).hint(hint.strip_suffix(')').unwrap_or(hint))
        }
        None => Failure::new(code, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_finds_its_place() {
        let failure = failure(ErrorCode::Internal, "it broke (hint: mend it (soon))");
        assert_eq!(failure.message, "it broke");
        assert_eq!(failure.hint.as_deref(), Some("mend it (soon)"));
        assert_eq!(super::failure(ErrorCode::Internal, "plain").hint, None);
    }
}
