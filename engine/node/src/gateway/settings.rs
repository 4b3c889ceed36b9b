//! The node's switches in the words of the HTTP server, and back. Pure.

use serve::settings::{self as served, Lend};

use crate::control::Switches;
use crate::settings::{LEND_WHAT_IS_FREE, SomeSettings};

pub(super) fn shown(switches: &Switches) -> served::Settings {
    let settings = &switches.settings;
    served::Settings {
        name: settings.name.clone(),
        join: settings.join,
        peer_address: switches.peers,
        api: settings.api,
        api_port: settings.api_port,
        api_address: switches.api,
        lend_memory_bytes_max: settings.lend_memory_bytes_max,
        idle_minutes: settings.idle_minutes,
    }
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
    }
}
