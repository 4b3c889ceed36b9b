//! What a user may change while a node runs, and the file that keeps it. The file holds only what differs from the
//! defaults; a value named at the start (on the command line) counts for that run alone.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::API_PORT;
use crate::files;

mod folder;

pub use folder::ModelFolder;

/// Longest name of a node, in bytes: it travels in mDNS.
pub const NAME_BYTES_MAX: usize = 63;
/// Longest time without a request that can be waited for before a model is unloaded: a year.
pub const IDLE_MINUTES_MAX: u32 = 366 * 24 * 60;
/// Most folders where models are looked for.
pub const MODEL_FOLDERS_MAX: usize = 32;
/// Most origins of pages that may call the API.
pub const ALLOWED_ORIGINS_MAX: usize = 32;
/// As a limit of what is lent: none. The largest number that a TOML file can hold.
pub const LEND_WHAT_IS_FREE: u64 = i64::MAX as u64;

/// How a node runs, as far as its user may change it at any time.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name people know the node by.
    pub name: String,
    /// Whether it takes part in the network: finds others, is found, lends memory.
    pub join: bool,
    /// Whether the HTTP API has a port.
    pub api: bool,
    /// Which port, on 127.0.0.1; 0 takes any free one.
    pub api_port: u16,
    /// Lend no more memory than this to shards, in bytes; `None` lends what is free.
    pub lend_memory_bytes_max: Option<u64>,
    /// A model that nobody asked anything for so many minutes is unloaded; 0 never does.
    pub idle_minutes: u32,
    /// Beginnings of prompts that were computed take so many bytes of the disk at most; 0 keeps none there. Counts from the
    /// node's next start.
    pub prefix_disk_bytes_max: u64,
    /// Downloads of models take so many bytes in a second at most, all together; 0 is no limit.
    pub download_bytes_per_s_max: u64,
    /// Whether to guess what answers go on with, which is faster where they repeat what was said and changes nothing in them.
    /// Counts from the node's next start.
    pub speculation: bool,
    /// Whether programs on other computers may use the API, each with a key.
    pub api_network: bool,
    /// Whether the API is also at Ollama's port, 11434 on 127.0.0.1, where programs made for Ollama look.
    pub ollama_port: bool,
    /// Origins of pages whose scripts may call the API.
    pub allowed_origins: Vec<String>,
    /// Folders where models are looked for besides the data folder's own.
    pub model_folders: Vec<ModelFolder>,
    /// Whether the user has been told what this is.
    pub welcomed: bool,
}

/// Some of the settings: what a file holds, a flag says, or a user changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SomeSettings {
    /// See [`Settings::name`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`Settings::join`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<bool>,
    /// See [`Settings::api`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<bool>,
    /// See [`Settings::api_port`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_port: Option<u16>,
    /// See [`Settings::lend_memory_bytes_max`]; [`LEND_WHAT_IS_FREE`] is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lend_memory_bytes_max: Option<u64>,
    /// See [`Settings::idle_minutes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_minutes: Option<u32>,
    /// See [`Settings::prefix_disk_bytes_max`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_disk_bytes_max: Option<u64>,
    /// See [`Settings::download_bytes_per_s_max`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_bytes_per_s_max: Option<u64>,
    /// See [`Settings::speculation`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speculation: Option<bool>,
    /// See [`Settings::api_network`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_network: Option<bool>,
    /// See [`Settings::ollama_port`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ollama_port: Option<bool>,
    /// See [`Settings::allowed_origins`]: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<Vec<String>>,
    /// See [`Settings::model_folders`]: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_folders: Option<Vec<ModelFolder>>,
    /// See [`Settings::welcomed`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub welcomed: Option<bool>,
}

/// A value that no setting can have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidSetting {
    /// A name must be seen and fit.
    #[error("a node's name has 1 to {NAME_BYTES_MAX} bytes")]
    Name,
    /// Longer than anybody waits.
    #[error("idle_minutes is at most {IDLE_MINUTES_MAX}")]
    IdleMinutes,
    /// Where it leads depends on where the node was started.
    #[error("a model folder is named by its whole path, and {path:?} is none (hint: begin with /)")]
    ModelFolder {
        /// What was named.
        path: PathBuf,
    },
    /// A page is named by where it comes from, and all pages at once by nothing.
    #[error(
        "{origin:?} is no origin of a page (hint: name each site as the browser does: https://chat.example, without a path)"
    )]
    AllowedOrigin {
        /// What was named.
        origin: String,
    },
    /// Every one is compared with each request.
    #[error("there are at most {ALLOWED_ORIGINS_MAX} allowed origins")]
    AllowedOrigins,
    /// Every one is searched when models are listed.
    #[error("there are at most {MODEL_FOLDERS_MAX} model folders")]
    ModelFolders,
}

impl Settings {
    /// Of a node that was started to serve: it takes part, and what it loaded stays.
    pub fn of_a_server(name: String) -> Self {
        Self {
            name,
            join: true,
            api: true,
            api_port: API_PORT,
            lend_memory_bytes_max: None,
            idle_minutes: 0,
            prefix_disk_bytes_max: 10_000_000_000,
            download_bytes_per_s_max: 0,
            speculation: true,
            api_network: false,
            ollama_port: false,
            allowed_origins: Vec::new(),
            model_folders: Vec::new(),
            welcomed: true,
        }
    }

    /// Of a node inside of an app: nobody but its user has asked for anything yet.
    pub fn of_an_app(name: String) -> Self {
        Self {
            join: false,
            idle_minutes: 30,
            welcomed: false,
            ..Self::of_a_server(name)
        }
    }

    /// These settings with some replaced.
    pub fn with(mut self, some: &SomeSettings) -> Result<Self, InvalidSetting> {
        if let Some(name) = &some.name {
            let name = name.trim();
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(InvalidSetting::Name);
            }
            name.clone_into(&mut self.name);
        }
        if let Some(minutes) = some.idle_minutes {
            if minutes > IDLE_MINUTES_MAX {
                return Err(InvalidSetting::IdleMinutes);
            }
            self.idle_minutes = minutes;
        }
        if let Some(bytes) = some.lend_memory_bytes_max {
            self.lend_memory_bytes_max = (bytes < LEND_WHAT_IS_FREE).then_some(bytes);
        }
        if let Some(folders) = &some.model_folders {
            check_folders(folders)?;
            self.model_folders.clone_from(folders);
        }
        if let Some(origins) = &some.allowed_origins {
            check_origins(origins)?;
            self.allowed_origins.clone_from(origins);
        }
        let prefix_bytes = some.prefix_disk_bytes_max;
        self.prefix_disk_bytes_max = prefix_bytes.unwrap_or(self.prefix_disk_bytes_max);
        let download_bytes = some.download_bytes_per_s_max;
        self.download_bytes_per_s_max = download_bytes.unwrap_or(self.download_bytes_per_s_max);
        self.speculation = some.speculation.unwrap_or(self.speculation);
        self.api_network = some.api_network.unwrap_or(self.api_network);
        self.ollama_port = some.ollama_port.unwrap_or(self.ollama_port);
        self.welcomed = some.welcomed.unwrap_or(self.welcomed);
        self.join = some.join.unwrap_or(self.join);
        self.api = some.api.unwrap_or(self.api);
        self.api_port = some.api_port.unwrap_or(self.api_port);
        Ok(self)
    }

    /// How long a model may be idle; `None` is for ever.
    pub fn idle_limit(&self) -> Option<Duration> {
        let minutes = u64::from(self.idle_minutes);
        (minutes > 0).then(|| Duration::from_mins(minutes))
    }
}

impl SomeSettings {
    /// These, and on top of them others.
    #[must_use]
    pub fn and(self, others: SomeSettings) -> Self {
        Self {
            name: others.name.or(self.name),
            join: others.join.or(self.join),
            api: others.api.or(self.api),
            api_port: others.api_port.or(self.api_port),
            lend_memory_bytes_max: others.lend_memory_bytes_max.or(self.lend_memory_bytes_max),
            idle_minutes: others.idle_minutes.or(self.idle_minutes),
            prefix_disk_bytes_max: others.prefix_disk_bytes_max.or(self.prefix_disk_bytes_max),
            download_bytes_per_s_max: others
                .download_bytes_per_s_max
                .or(self.download_bytes_per_s_max),
            speculation: others.speculation.or(self.speculation),
            api_network: others.api_network.or(self.api_network),
            ollama_port: others.ollama_port.or(self.ollama_port),
            allowed_origins: others.allowed_origins.or(self.allowed_origins),
            model_folders: others.model_folders.or(self.model_folders),
            welcomed: others.welcomed.or(self.welcomed),
        }
    }
}

fn check_origins(origins: &[String]) -> Result<(), InvalidSetting> {
    if origins.len() > ALLOWED_ORIGINS_MAX {
        return Err(InvalidSetting::AllowedOrigins);
    }
    match origins.iter().find(|origin| !serve::is_origin(origin)) {
        Some(origin) => Err(InvalidSetting::AllowedOrigin {
            origin: origin.clone(),
        }),
        None => Ok(()),
    }
}

fn check_folders(folders: &[ModelFolder]) -> Result<(), InvalidSetting> {
    if folders.len() > MODEL_FOLDERS_MAX {
        return Err(InvalidSetting::ModelFolders);
    }
    match folders.iter().find(|folder| !folder.path.is_absolute()) {
        Some(ModelFolder { path, .. }) => Err(InvalidSetting::ModelFolder { path: path.clone() }),
        None => Ok(()),
    }
}

/// Why the file with the settings is of no use.
#[derive(Debug, Error)]
pub enum SettingsFileError {
    /// It can't be read or written.
    #[error("cannot keep settings in {}: {source} (hint: is the disk full, or the folder read-only?)", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It says something that is no setting.
    #[error("{} is damaged: {reason} (hint: correct it, or delete it to start with the defaults)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
}

/// The file that keeps settings.
#[derive(Debug, Clone)]
pub(crate) struct SettingsFile {
    path: PathBuf,
}

impl SettingsFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What it says; nothing if it is not there.
    pub(crate) fn read(&self) -> Result<SomeSettings, SettingsFileError> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(self.failed(error)),
        };
        toml::from_str(&text).map_err(|error| SettingsFileError::Damaged {
            path: self.path.clone(),
            reason: error.message().to_owned(),
        })
    }

    /// Keeps further settings beside those it has. The old file is there until the new one is whole.
    pub(crate) fn add(&self, some: &SomeSettings) -> Result<(), SettingsFileError> {
        let all = self.read()?.and(some.clone());
        let text = toml::to_string(&all).map_err(|error| self.failed(io::Error::other(error)))?;
        files::replace(&self.path, text.as_bytes()).map_err(|error| self.failed(error))
    }

    /// Keeps nothing.
    pub(crate) fn clear(&self) -> Result<(), SettingsFileError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, source: io::Error) -> SettingsFileError {
        SettingsFileError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Settings {
        Settings::of_an_app("study".to_owned())
    }

    #[test]
    fn the_file_holds_only_what_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = SettingsFile::new(folder.path().join("settings.toml"));
        assert_eq!(file.read().unwrap(), SomeSettings::default());
        let join = SomeSettings {
            join: Some(true),
            ..SomeSettings::default()
        };
        file.add(&join).unwrap();
        let lend = SomeSettings {
            lend_memory_bytes_max: Some(5),
            ..SomeSettings::default()
        };
        file.add(&lend).unwrap();
        let text = std::fs::read_to_string(&file.path).unwrap();
        assert_eq!(text, "join = true\nlend_memory_bytes_max = 5\n");
        let settings = defaults().with(&file.read().unwrap()).unwrap();
        assert!(settings.join);
        assert_eq!(settings.lend_memory_bytes_max, Some(5));
        assert_eq!(settings.name, "study");
    }

    #[test]
    fn a_limit_can_be_taken_back() {
        let limited = Settings {
            lend_memory_bytes_max: Some(5),
            ..defaults()
        };
        let folder = tempfile::tempdir().unwrap();
        let file = SettingsFile::new(folder.path().join("settings.toml"));
        let all = SomeSettings {
            lend_memory_bytes_max: Some(LEND_WHAT_IS_FREE),
            ..SomeSettings::default()
        };
        file.add(&all).unwrap();
        let all = file.read().unwrap();
        assert_eq!(limited.with(&all), Ok(defaults()));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let named = |name: &str| SomeSettings {
            name: Some(name.to_owned()),
            ..SomeSettings::default()
        };
        assert_eq!(defaults().with(&named(" ")), Err(InvalidSetting::Name));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(defaults().with(&named(&long)), Err(InvalidSetting::Name));
        let folder = tempfile::tempdir().unwrap();
        let file = SettingsFile::new(folder.path().join("settings.toml"));
        std::fs::write(&file.path, "join = \"perhaps\"").unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(
            error.contains("settings.toml") && error.contains("hint"),
            "{error}"
        );
        std::fs::write(&file.path, "from_a_later_version = 1\njoin = true").unwrap();
        assert_eq!(file.read().unwrap().join, Some(true));
    }
}
