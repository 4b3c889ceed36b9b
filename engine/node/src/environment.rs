//! The only place that reads environment variables and knows the home folder. Everything else gets plain values.

use std::ffi::OsString;
use std::path::PathBuf;

use store::download::Hub;
use thiserror::Error;

/// Where models come from unless [`HF_ENDPOINT`] names another place.
const HUGGING_FACE: &str = "https://huggingface.co";

/// Where a node keeps its data, like `--data`.
pub const DATA: &str = "ESPALIER_DATA";
/// The shared secret of the cluster, like `--cluster-key` but not visible in the list of processes.
pub const CLUSTER_KEY: &str = "ESPALIER_CLUSTER_KEY";
/// Path of the `espalier-worker` program, for when it is not beside `espalier`.
pub const WORKER: &str = "ESPALIER_WORKER";
/// What to log, in the syntax of `tracing-subscriber`, for example `node=debug,net=info`.
pub const LOG: &str = "RUST_LOG";
/// Address of the hub that models come from, as all tools of Hugging Face read it.
pub const HF_ENDPOINT: &str = "HF_ENDPOINT";
/// Token for that hub, as all tools of Hugging Face read it.
pub const HF_TOKEN: &str = "HF_TOKEN";
/// Fetch nothing from a hub; `0`, `false`, `no` and `off` mean that it may be asked.
pub const HF_HUB_OFFLINE: &str = "HF_HUB_OFFLINE";
/// The cache of Hugging Face's own tools, where models may be that they have fetched.
pub const HF_HUB_CACHE: [&str; 2] = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"];
/// The folder of Hugging Face's own tools, in which `hub` is that cache.
pub const HF_HOME: &str = "HF_HOME";
/// Where a user wants programs to keep caches.
pub const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// The proxy for HTTPS, as a URL; in capitals or not.
pub const HTTPS_PROXY: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
/// Hosts that are reached without it, separated by commas; in capitals or not.
pub const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// The user's home folder.
pub const HOME: &str = "HOME";
/// Where a Linux user wants programs to keep their data.
pub const XDG_DATA_HOME: &str = "XDG_DATA_HOME";

/// What the environment says, read once.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// See [`DATA`].
    pub data: Option<PathBuf>,
    /// See [`CLUSTER_KEY`].
    pub cluster_key: Option<String>,
    /// See [`WORKER`].
    pub worker: Option<PathBuf>,
    /// See [`LOG`].
    pub log: Option<String>,
    /// See [`HF_ENDPOINT`].
    pub hf_endpoint: Option<String>,
    /// See [`HF_TOKEN`].
    pub hf_token: Option<String>,
    /// See [`HF_HUB_OFFLINE`].
    pub hf_hub_offline: bool,
    /// See [`HF_HUB_CACHE`].
    pub hf_hub_cache: Option<PathBuf>,
    /// See [`HF_HOME`].
    pub hf_home: Option<PathBuf>,
    /// See [`XDG_CACHE_HOME`].
    pub xdg_cache_home: Option<PathBuf>,
    /// See [`HTTPS_PROXY`].
    pub https_proxy: Option<String>,
    /// See [`NO_PROXY`].
    pub no_proxy: Option<String>,
    /// See [`HOME`].
    pub home: Option<PathBuf>,
    /// See [`XDG_DATA_HOME`].
    pub xdg_data_home: Option<PathBuf>,
}

/// There is no place for the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there is no home folder to keep data in (hint: name a folder with --data DIR)")]
pub struct NoDataFolder;

impl Environment {
    /// Reads the environment of this process. Empty variables count as absent.
    pub fn read() -> Self {
        Self {
            data: path(DATA),
            cluster_key: text(CLUSTER_KEY),
            worker: path(WORKER),
            log: text(LOG),
            hf_endpoint: text(HF_ENDPOINT),
            hf_token: text(HF_TOKEN),
            hf_hub_offline: text(HF_HUB_OFFLINE).is_some_and(|said| says_yes(&said)),
            hf_hub_cache: HF_HUB_CACHE.into_iter().find_map(path),
            hf_home: path(HF_HOME),
            xdg_cache_home: path(XDG_CACHE_HOME),
            https_proxy: HTTPS_PROXY.into_iter().find_map(text),
            no_proxy: NO_PROXY.into_iter().find_map(text),
            home: path(HOME),
            xdg_data_home: path(XDG_DATA_HOME),
        }
    }

    /// Where a node keeps its data: what the command line says, else the variable, else the platform's place.
    pub fn data_folder(&self, flag: Option<PathBuf>) -> Result<PathBuf, NoDataFolder> {
        let platform = || {
            let home = self.home.as_ref();
            if cfg!(target_os = "macos") {
                return home.map(|home| home.join("Library/Application Support/Espalier"));
            }
            let xdg = self.xdg_data_home.clone().filter(|path| path.is_absolute());
            xdg.or_else(|| home.map(|home| home.join(".local/share")))
                .map(|base| base.join("espalier"))
        };
        flag.or_else(|| self.data.clone())
            .or_else(platform)
            .ok_or(NoDataFolder)
    }
}

impl Environment {
    /// Where models come from.
    pub fn hub(&self) -> Hub {
        let endpoint = self.hf_endpoint.as_deref().unwrap_or(HUGGING_FACE);
        Hub {
            endpoint: endpoint.to_owned(),
            token: self.hf_token.clone(),
            https_proxy: self.https_proxy.clone(),
            no_proxy: self.no_proxy.clone(),
            offline: self.hf_hub_offline,
        }
    }

    /// Where Hugging Face's own tools keep what they fetched: as `huggingface_hub` finds it.
    pub fn hugging_face_cache(&self) -> Option<PathBuf> {
        let caches = || {
            let home = self.home.as_ref().map(|home| home.join(".cache"));
            self.xdg_cache_home.clone().or(home)
        };
        let home = || {
            self.hf_home
                .clone()
                .or_else(|| Some(caches()?.join("huggingface")))
        };
        let cache = self.hf_hub_cache.clone();
        cache
            .or_else(|| Some(home()?.join("hub")))
            .filter(|path| path.is_absolute())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one file that reads the environment"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str) -> Option<String> {
    variable(name).and_then(|value| value.into_string().ok())
}

fn says_yes(value: &str) -> bool {
    !["0", "false", "no", "off"].contains(&value.to_ascii_lowercase().as_str())
}

fn path(name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_variable_beats_the_platform() {
        let mut environment = Environment {
            data: Some("/variable".into()),
            home: Some("/home/ada".into()),
            ..Environment::default()
        };
        let folder = |environment: &Environment, flag: Option<&str>| {
            environment.data_folder(flag.map(PathBuf::from))
        };
        assert_eq!(folder(&environment, Some("/flag")), Ok("/flag".into()));
        assert_eq!(folder(&environment, None), Ok("/variable".into()));
        environment.data = None;
        let platform = folder(&environment, None).unwrap();
        assert!(platform.starts_with("/home/ada"), "{}", platform.display());
        assert_eq!(folder(&Environment::default(), None), Err(NoDataFolder));
    }

    #[test]
    fn the_cache_is_where_hugging_faces_tools_have_it() {
        let mut environment = Environment::default();
        assert_eq!(environment.hugging_face_cache(), None);
        environment.home = Some("/home/ada".into());
        let mut check = |change: fn(&mut Environment), expected: &str| {
            change(&mut environment);
            assert_eq!(environment.hugging_face_cache(), Some(expected.into()));
        };
        check(|_| {}, "/home/ada/.cache/huggingface/hub");
        check(
            |one| one.xdg_cache_home = Some("/caches".into()),
            "/caches/huggingface/hub",
        );
        check(|one| one.hf_home = Some("/hf".into()), "/hf/hub");
        check(|one| one.hf_hub_cache = Some("/models".into()), "/models");
    }
}
