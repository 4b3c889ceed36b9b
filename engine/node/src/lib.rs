//! The composition root: starts the parts of a node, wires them together, and is the command line.
//!
//! Entry points: [`node::NodeHandle::start`] with a [`config::NodeConfig`], and [`cli::main`]. Never links MLX.

pub mod cli;
mod cluster_actor;
pub mod config;
mod data_folder;
pub mod environment;
mod gateway;
mod memory;
mod models;
pub mod node;
mod peer_requests;
mod random;
mod supervisor;
mod words;

pub use config::NodeConfig;
pub use data_folder::DataFolderError;
pub use node::{NodeHandle, StartError};
