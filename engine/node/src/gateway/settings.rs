//! The node's switches in the words of the HTTP server, and back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serve::settings::{self as served, Lend, ModelFolder};
use store::download::free_bytes;

use crate::control::Switches;
use crate::settings::{self, LEND_WHAT_IS_FREE, SomeSettings};

/// Asks the system what there is off the runtime's threads: a network disk may not answer.
pub(super) async fn shown(switches: Arc<Switches>) -> served::Settings {
    let asked = Arc::clone(&switches);
    let asking = tokio::task::spawn_blocking(move || {
        let addresses = network_addresses(&asked);
        (model_folders(&asked.settings.model_folders), addresses)
    });
    // Only a panic ends here, and it is logged where it happens.
    let (model_folders, api_network_addresses) = asking.await.unwrap_or_default();
    let settings = &switches.settings;
    served::Settings {
        name: settings.name.clone(),
        join: settings.join,
        peer_address: switches.peers,
        api: settings.api,
        api_port: settings.api_port,
        api_address: switches.api,
        api_network: settings.api_network,
        api_network_addresses,
        ollama_port: settings.ollama_port,
        ollama_address: switches.ollama,
        lend_memory_bytes_max: settings.lend_memory_bytes_max,
        idle_minutes: settings.idle_minutes,
        download_bytes_per_s_max: settings.download_bytes_per_s_max,
        allowed_origins: settings.allowed_origins.clone(),
        model_folders,
        welcomed: settings.welcomed,
    }
}

fn model_folders(folders: &[settings::ModelFolder]) -> Vec<ModelFolder> {
    let shown = folders.iter().map(|folder| ModelFolder {
        path: folder.path.clone(),
        writable: folder.writable,
        available: folder.path.is_dir(),
        free_bytes: free_bytes(&folder.path).ok(),
    });
    shown.collect()
}

/// Where other computers reach the API; none while they cannot.
fn network_addresses(switches: &Switches) -> Vec<SocketAddr> {
    let Some(here) = switches.api.filter(|_| switches.settings.api_network) else {
        return Vec::new();
    };
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let addresses = interfaces.iter().map(if_addrs::Interface::ip);
    let reached = addresses.filter(|ip| matches!(ip, IpAddr::V4(ip) if !ip.is_loopback()));
    reached.map(|ip| SocketAddr::new(ip, here.port())).collect()
}

pub(super) fn asked(change: served::SettingsChange) -> SomeSettings {
    let lend = change.lend_memory.map(|lend| match lend {
        Lend::WhatIsFree => LEND_WHAT_IS_FREE,
        Lend::AtMost(bytes) => bytes,
    });
    SomeSettings {
        name: change.name,
        join: change.join,
        api: change.api,
        api_port: change.api_port,
        lend_memory_bytes_max: lend,
        idle_minutes: change.idle_minutes,
        prefix_disk_bytes_max: None,
        download_bytes_per_s_max: change.download_bytes_per_s_max,
        speculation: None,
        api_network: change.api_network,
        ollama_port: change.ollama_port,
        allowed_origins: change.allowed_origins,
        model_folders: change.model_folders.map(|folders| {
            let folders = folders.into_iter();
            let wanted =
                folders.map(
                    |served::WantedFolder { path, writable }| settings::ModelFolder {
                        path,
                        writable,
                    },
                );
            wanted.collect()
        }),
        welcomed: change.welcomed,
    }
}
