//! What tests and measurements share: real node processes, their HTTP API, a browser, the app's
//! window, network namespaces, random checkpoints.
//!
//! Everything here starts real programs and owns them: whatever is dropped is killed and cleaned up.

pub mod api;
pub mod browser;
pub mod checkpoints;
pub mod deeper;
pub mod desktop;
pub mod folder;
pub mod footprint;
pub mod fuzzed;
pub mod hub;
pub mod losses;
pub mod namespaces;
pub mod node_js;
pub mod nodes;
pub mod pieces;
pub mod random;
pub mod schemas;
pub mod scripted;
pub mod storm;
pub mod structured;
pub mod tiny;
pub mod webdriver;
