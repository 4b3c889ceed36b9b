//! The admin API: what the cluster looks like, and how instances are opened and closed. The dashboard uses it too.

pub(crate) mod calls;
mod convert;
pub(crate) mod disk;
pub(crate) mod downloads;
mod error;
mod events;
pub(crate) mod hub;
pub(crate) mod membership;
mod model;
mod routes;
pub(crate) mod settings;
pub(crate) mod user_data;

pub(crate) use error::{Envelope, error_response};
pub(crate) use routes::routes;
