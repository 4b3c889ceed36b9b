//! Ollama's API at the root: `/api/*`, and the words by which its clients know that a server is there.
//!
//! `convert` makes requests, `stream` makes answers; both are pure. Fields and options that are not known are passed over,
//! as clients send many that mean something to other engines only; what would change the answer and cannot be had is
//! refused. Names of models may end in `:latest`, which says nothing.

mod convert;
mod error;
mod model;
mod routes;
mod stream;

pub use convert::{Asked, Generation, Work, parse_chat, parse_generate};
pub(crate) use error::{Envelope, error_response};
pub(crate) use routes::{RUNNING, routes};

/// Whether a request speaks this dialect, by its path.
pub(crate) fn is_spoken(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Whether a path is for managing models rather than using them.
pub(crate) fn manages(path: &str) -> bool {
    let own = path.strip_prefix("/api/").unwrap_or_default();
    let first = own.split('/').next().unwrap_or_default();
    ["create", "copy", "delete", "pull", "push", "blobs"].contains(&first)
}
