//! What a user may see and change about the node while it runs, as the gateway has it.

use std::net::SocketAddr;
use std::path::PathBuf;

/// How the node runs.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name people know it by.
    pub name: String,
    /// Whether it takes part in the network.
    pub join: bool,
    /// Where peers reach it, while it does.
    pub peer_address: Option<SocketAddr>,
    /// Whether the HTTP API has a port.
    pub api: bool,
    /// Which; 0 is any free one.
    pub api_port: u16,
    /// Where the API listens, while it does.
    pub api_address: Option<SocketAddr>,
    /// Whether programs on other computers may use the API, each with a key.
    pub api_network: bool,
    /// Under which addresses they reach it, while they can.
    pub api_network_addresses: Vec<SocketAddr>,
    /// Whether the API is also at Ollama's port, where programs made for Ollama look.
    pub ollama_port: bool,
    /// Where that is, while it listens: the port may be taken.
    pub ollama_address: Option<SocketAddr>,
    /// What it lends to models at most, in bytes; `None` is whatever is free.
    pub lend_memory_bytes_max: Option<u64>,
    /// Minutes without a request after which a model is unloaded; 0 is never.
    pub idle_minutes: u32,
    /// Downloads of models take so many bytes in a second at most, all together; 0 is no limit.
    pub download_bytes_per_s_max: u64,
    /// Origins of pages whose scripts may call the API.
    pub allowed_origins: Vec<String>,
    /// Where models are looked for besides the node's own folder.
    pub model_folders: Vec<ModelFolder>,
    /// Whether its user has been told what this is.
    pub welcomed: bool,
}

/// A folder with models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Whether downloads may go there and models there may be deleted; nothing is changed there otherwise.
    pub writable: bool,
    /// Whether it is there now: its disk may not be connected.
    pub available: bool,
    /// Bytes that its disk has free, if that is known.
    pub free_bytes: Option<u64>,
}

/// A folder that models are to be looked for in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedFolder {
    /// Where it is.
    pub path: PathBuf,
    /// See [`ModelFolder::writable`].
    pub writable: bool,
}

/// What to change; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// See [`Settings::name`].
    pub name: Option<String>,
    /// See [`Settings::join`].
    pub join: Option<bool>,
    /// See [`Settings::api`].
    pub api: Option<bool>,
    /// See [`Settings::api_port`].
    pub api_port: Option<u16>,
    /// See [`Settings::lend_memory_bytes_max`].
    pub lend_memory: Option<Lend>,
    /// See [`Settings::idle_minutes`].
    pub idle_minutes: Option<u32>,
    /// See [`Settings::download_bytes_per_s_max`].
    pub download_bytes_per_s_max: Option<u64>,
    /// See [`Settings::api_network`].
    pub api_network: Option<bool>,
    /// See [`Settings::ollama_port`].
    pub ollama_port: Option<bool>,
    /// See [`Settings::allowed_origins`]: all of them.
    pub allowed_origins: Option<Vec<String>>,
    /// See [`Settings::model_folders`]: all of them.
    pub model_folders: Option<Vec<WantedFolder>>,
    /// See [`Settings::welcomed`].
    pub welcomed: Option<bool>,
}

/// How much a node lends to models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lend {
    /// Whatever is free.
    WhatIsFree,
    /// So many bytes.
    AtMost(u64),
}
