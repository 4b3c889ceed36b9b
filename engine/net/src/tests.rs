//! Whole networks of two or three nodes in one process, on 127.0.0.1.

mod files;
mod generation;
mod identity;
mod links;
mod mdns;
#[cfg(target_os = "linux")]
mod namespaces;
mod pairing;
mod roster;
mod strangers;
mod support;
