//! `OpenAI`'s API: `/v1/models` (served by `models`), `/v1/chat/completions`, `/v1/completions`, `/v1/responses`,
//! `/v1/embeddings`.
//!
//! `convert` makes requests, `stream` makes answers; both are pure. What is not supported is refused, never ignored.

mod convert;
mod custom;
mod embeddings;
mod error;
mod model;
mod responses;
mod routes;
mod stream;

pub use convert::{Asked, Best, Fresh, parse_chat, parse_completion};
pub use custom::CallForms;
pub(crate) use error::{Envelope, error_response};
pub(crate) use model::{Count, ModelList, ModelObject, Number, Seed, Strings};
pub(crate) use responses::Responses;
pub(crate) use routes::{list, one, routes};
