//! Who belongs to this node's cluster, who is near, and the pairing under way: as people see it, and kept on disk.
//! Decides nothing: the network does, and says so in events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::NodeId;
use net::event::{Belonging, PairingStage, PairingView, RosterChange};
use net::{NetEvent, Roster, Sighting};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::files::replace;
use crate::settings::SettingsFileError;

/// Nodes that are shown; a network with more has a stranger who makes them up.
const NEARBY_MAX: usize = 64;

/// Everything there is to see.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Membership {
    /// Whether nodes prove themselves with a shared key, and there is nothing to pair.
    pub by_key: bool,
    /// The members, if this node is one by pairing.
    pub roster: Option<Roster>,
    /// Nodes that are seen, this one not.
    pub nearby: BTreeMap<NodeId, Nearby>,
    /// The pairing under way, or how the last one ended.
    pub pairing: Option<PairingView>,
    /// What happened to this node's membership that its user has not done here.
    pub notice: Option<String>,
}

/// A node that is seen. All of it is its own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearby {
    /// What it is called.
    pub name: String,
    /// What its cluster is called; empty if unknown.
    pub cluster_name: String,
    /// What it is to this node.
    pub belongs: Belonging,
}

impl Membership {
    /// Computers that wait to be let in; none while one is, since there is one pairing at a time, and none where a key
    /// lets them in.
    pub fn asking(&self) -> impl Iterator<Item = (NodeId, &Nearby)> {
        let open = !self.by_key && self.pairing_with().is_none();
        let nearby = self.nearby.iter().filter(move |_| open);
        let newcomers = nearby.filter(|(_, near)| near.belongs == Belonging::Newcomer);
        newcomers.map(|(node, near)| (*node, near))
    }

    /// What the computer is called that this one is being paired with now.
    pub fn pairing_with(&self) -> Option<&str> {
        let pairing = self.pairing.as_ref()?;
        match pairing.stage {
            PairingStage::Calling | PairingStage::Compare { .. } => Some(&pairing.name),
            PairingStage::Done | PairingStage::Ended(_) => None,
        }
    }

    /// Takes in what the network says, if it is about this.
    fn hear(&mut self, event: &NetEvent) {
        match event {
            NetEvent::Seen(sighting) => self.seen(sighting),
            NetEvent::Unseen(sighting) => {
                if let Some(node) = sighting.node {
                    self.nearby.remove(&node);
                }
            }
            NetEvent::Pairing(pairing) => {
                if pairing.stage == PairingStage::Done {
                    self.notice = None;
                }
                self.pairing = Some(pairing.clone());
            }
            NetEvent::RosterChanged(change) => self.change(change),
            NetEvent::LinkUp { .. }
            | NetEvent::LinkDown { .. }
            | NetEvent::Frame { .. }
            | NetEvent::LinkMeasured { .. }
            | NetEvent::LinkBandwidth { .. } => {}
        }
    }

    fn seen(&mut self, sighting: &Sighting) {
        let Some(node) = sighting.node else {
            return;
        };
        if self.nearby.len() < NEARBY_MAX || self.nearby.contains_key(&node) {
            let near = Nearby {
                name: sighting.name.clone(),
                cluster_name: sighting.cluster_name.clone(),
                belongs: sighting.belongs,
            };
            self.nearby.insert(node, near);
        }
    }

    fn change(&mut self, change: &RosterChange) {
        self.roster = match change {
            RosterChange::Member(roster) => Some(roster.clone()),
            RosterChange::Removed { by } => {
                let by = by.as_deref().unwrap_or("a member");
                self.notice = Some(format!("{by} removed this computer from the cluster"));
                None
            }
            RosterChange::Left => None,
        };
    }
}

/// The one owner of a [`Membership`].
pub(crate) struct Keeper {
    shown: watch::Sender<Arc<Membership>>,
    saving: JoinHandle<()>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.saving.abort();
    }
}

impl Keeper {
    /// Reads the roster of earlier runs.
    pub(crate) fn open(path: PathBuf, by_key: bool) -> Result<Self, SettingsFileError> {
        let membership = Membership {
            by_key,
            roster: read(&path)?,
            ..Membership::default()
        };
        let (shown, changes) = watch::channel(Arc::new(membership));
        let saving = tokio::spawn(save(path, changes));
        Ok(Self { shown, saving })
    }

    /// Follows it.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Membership>> {
        self.shown.subscribe()
    }

    /// Takes in what the network says, if it is about this.
    pub(crate) fn hear(&self, event: &NetEvent) {
        self.shown.send_if_modified(|shown| {
            let mut new = (**shown).clone();
            new.hear(event);
            let changed = new != **shown;
            if changed {
                *shown = Arc::new(new);
            }
            changed
        });
    }

    /// This node has left the network: nobody is near.
    pub(crate) fn parted(&self) {
        self.shown.send_modify(|shown| {
            let mut new = (**shown).clone();
            new.nearby.clear();
            new.pairing = None;
            *shown = Arc::new(new);
        });
    }
}

fn read(path: &Path) -> Result<Option<Roster>, SettingsFileError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.to_owned();
            return Err(SettingsFileError::Io { path, source });
        }
    };
    let roster = Roster::from_bytes(&bytes).map_err(|error| SettingsFileError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Some(roster))
}

/// Keeps the roster as it changes. What changes while it writes is written next; nothing waits for the disk.
async fn save(path: PathBuf, mut changes: watch::Receiver<Arc<Membership>>) {
    let mut saved = changes.borrow_and_update().roster.clone();
    while changes.changed().await.is_ok() {
        let roster = changes.borrow_and_update().roster.clone();
        if roster == saved {
            continue;
        }
        let bytes = roster.as_ref().map(Roster::to_bytes);
        let file = path.clone();
        let written = tokio::task::spawn_blocking(move || write(&file, bytes.as_deref())).await;
        match written {
            Ok(Ok(())) => saved = roster,
            Ok(Err(error)) => {
                tracing::error!(%error, path = %path.display(), "the cluster's roster is not kept: this node must be paired again after a restart");
            }
            Err(error) => tracing::error!(%error, "the cluster's roster is not kept"),
        }
    }
}

fn write(path: &Path, bytes: Option<&[u8]>) -> std::io::Result<()> {
    match bytes {
        Some(bytes) => replace(path, bytes),
        None => match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}
