//! How nodes find, prove and talk to each other: discovery, identity, mutual TLS sessions, peer frames in and out.
//!
//! Entry points: [`Identity::load_or_create`], [`start`]. Owned by `node`, which gives it a [`NetConfig`] and a
//! [`PeerHandler`] and reads [`NetEvent`]s. Never: what a record means, a clock of the cluster, a file besides the key.

mod admission;
pub mod config;
pub mod discovery;
pub mod event;
pub mod handle;
mod home;
mod hub;
pub mod identity;
mod introduction;
mod limits;
mod name;
pub mod pairing;
mod proof;
pub mod roster;
mod session;
mod tls;

pub use config::{ClusterKey, ClusterKeyError, Discovery, NetConfig};
pub use event::{
    Belonging, NetEvent, PairingStage, PairingView, PeerHandler, RosterChange, Sighting,
};
pub use handle::{BytesError, NetHandle, SendError, StartError, start};
pub use identity::{FileKeyStore, Identity, IdentityError, KeyStore, KeyStoreError};
pub use pairing::{Digits, PairingEnd};
pub use roster::{ClusterId, Member, Roster, RosterError, Standing};
pub use wire::peer::{Generate, PeerFrame};

#[cfg(test)]
mod tests;
