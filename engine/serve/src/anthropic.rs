//! Anthropic's API: `/v1/messages`, `/v1/messages/count_tokens`, and the list of models as its SDKs read it.
//!
//! `convert` makes requests, `stream` makes answers; both are pure. Fields that are not known are passed over, as the
//! SDKs send more of them with every version; what would change the answer and cannot be had is refused.

mod convert;
mod error;
mod model;
mod models;
mod routes;
mod stream;

pub use convert::{Asked, parse_count, parse_messages};
pub(crate) use error::{Envelope, error_response, named};
pub(crate) use model::{ModelList, ModelObject};
pub(crate) use models::{Page, list, one};
pub(crate) use routes::routes;

use http::HeaderMap;

/// Whether a request speaks this dialect: by its path, and where paths are shared by the header that the SDKs always send.
pub(crate) fn is_spoken(path: &str, headers: &HeaderMap) -> bool {
    let own = path.strip_prefix("/v1/messages");
    own.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        || (path.starts_with("/v1/models") && headers.contains_key("anthropic-version"))
}
