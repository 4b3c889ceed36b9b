//! HTTP: the API dialects, the admin API and the dashboard, in front of a [`Gateway`].
//!
//! Knows no cluster, no worker and no tokenizer. Reads no environment and no clock but for time limits.

pub mod gateway;
pub mod metrics;
pub mod server;
pub mod view;

pub use gateway::{Gateway, GenerateStream, ModelInfo, OpenInstance, RankedPlacement};
pub use metrics::Metrics;
pub use server::{BindError, ServeConfig, Server};
