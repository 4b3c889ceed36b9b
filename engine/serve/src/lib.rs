//! HTTP: the API dialects, the admin API and the dashboard, in front of a [`Gateway`].
//!
//! Knows no cluster, no worker and no tokenizer. Reads no environment and no time of day: the gateway has both.

mod admin;
pub mod anthropic;
mod app;
mod body;
mod calls;
mod dashboard;
mod date;
pub mod disk;
pub mod downloads;
pub mod gateway;
mod generation;
mod guard;
mod in_process;
mod json;
pub mod membership;
pub mod metrics;
mod models;
pub mod ollama;
pub mod openai;
mod openapi;
mod patience;
mod places;
mod router;
pub mod server;
pub mod settings;
mod shorten;
mod standing;
mod status;
mod uri;
pub mod user_data;
pub mod view;

pub use gateway::{
    Gateway, GenerateStream, HubModel, KnownModel, KnownRepository, ModelDescription, ModelInfo,
    ModelOnDisk, OpenInstance, RankedPlacement,
};
pub use guard::is_origin;
pub use in_process::InProcess;
pub use metrics::{Counter, Metrics, SecondsCounter};
pub use server::{BindError, ServeConfig, Server};
