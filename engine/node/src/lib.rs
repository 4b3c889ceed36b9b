//! The composition root: starts the parts of a node, wires them together, and is the command line.
//!
//! Entry points: [`node::NodeHandle::start`] with a [`config::NodeConfig`], and [`cli::main`]. Never links MLX.

mod api_port;
pub mod cli;
mod cluster_actor;
mod condition;
pub mod config;
mod control;
mod data_folder;
mod disk;
mod downloads;
pub mod environment;
mod files;
mod gateway;
mod hub_token;
mod idle;
pub mod logging;
mod membership;
mod memory;
mod mirror;
mod models;
mod network;
pub mod node;
mod on_disk;
mod peer_requests;
mod random;
mod recent_models;
mod session_token;
pub mod settings;
mod source;
mod supervisor;
pub mod uninstall;
mod user_data;
mod words;

pub use config::NodeConfig;
pub use control::Switches;
pub use data_folder::DataFolderError;
pub use membership::{Membership, Nearby};
pub use node::{NodeHandle, StartError};
pub use settings::{Settings, SomeSettings};
pub use supervisor::Activity;
