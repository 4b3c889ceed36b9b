//! The actor that owns what this node knows of the network: who was seen, who is called, which sessions are open,
//! and which pairs of them make a link. The only place that emits [`NetEvent`]s, so their order is right.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};

use base::NodeId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::discovery::{Announcement, Discovering, DiscoveryEvent};
use crate::limits::{CALL_BACKS_MAX, HELD_MAX, LEAVE_TIMEOUT};
use crate::proof::{self, ProofError};
use crate::session::call::{CallError, Target};
use crate::session::greeting::Greeting;
use crate::session::outbound::Outbound;
use crate::session::{Context, SessionId};
use crate::{NetEvent, PeerFrame, Sighting};

mod calls;
mod links;
mod message;
mod sightings;

use calls::Calls;
use links::{Change, Links};
pub(crate) use message::{HubMessage, Proven};
use sightings::Sightings;

/// The links of this node, as its handles use them.
pub(crate) type Registry = Arc<RwLock<HashMap<NodeId, Outbound>>>;

/// What is known of the other end of a link in the making.
#[derive(Default)]
struct Peer {
    outbound: Option<(Outbound, IpAddr, IpAddr)>,
    /// Frames that came before the link was up in both directions.
    held: Vec<PeerFrame>,
}

pub(crate) struct Hub {
    context: Arc<Context>,
    inbox: mpsc::Receiver<HubMessage>,
    events: mpsc::Sender<NetEvent>,
    registry: Registry,
    discovering: Discovering,
    sightings: Sightings,
    calls: Calls,
    links: Links,
    peers: HashMap<NodeId, Peer>,
    sessions: HashMap<SessionId, CancellationToken>,
    /// Nodes that discovery has lost while there still was a session with them.
    departing: HashSet<NodeId>,
}

impl Hub {
    pub(crate) fn new(
        context: Arc<Context>,
        inbox: mpsc::Receiver<HubMessage>,
        events: mpsc::Sender<NetEvent>,
        registry: Registry,
        discovering: Discovering,
    ) -> Self {
        Self {
            calls: Calls::new(context.clone()),
            context,
            inbox,
            events,
            registry,
            discovering,
            sightings: Sightings::default(),
            links: Links::default(),
            peers: HashMap::new(),
            sessions: HashMap::new(),
            departing: HashSet::new(),
        }
    }

    /// Runs until this node leaves or its last handle is dropped.
    pub(crate) async fn run(mut self, given: Vec<String>) {
        let stop = self.context.stop.clone();
        let goodbye = stop.run_until_cancelled(self.work(given)).await;
        if let Some(Some(done)) = goodbye {
            self.leave().await;
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
        stop.cancel();
        self.registry_mut(HashMap::clear);
    }

    /// Handles messages until one asks to leave; gives where to say that it is done.
    async fn work(&mut self, given: Vec<String>) -> Option<oneshot::Sender<()>> {
        for host in given {
            self.give(host).await;
        }
        while let Some(message) = self.inbox.recv().await {
            match message {
                HubMessage::Leave(done) => return Some(done),
                message => self.handle(message).await,
            }
        }
        None
    }

    async fn handle(&mut self, message: HubMessage) {
        match message {
            HubMessage::Discovered(DiscoveryEvent::Found(found)) => self.found(found).await,
            HubMessage::Discovered(DiscoveryEvent::Lost(node)) => self.lost(node).await,
            HubMessage::Proven(proven) => self.proven(proven).await,
            HubMessage::Ended { node, id } => {
                self.sessions.remove(&id);
                let changes = self.links.ended(node, id);
                self.carry_out(changes).await;
            }
            HubMessage::Frame { node, id, frame } => self.frame(node, id, frame).await,
            HubMessage::Measured {
                node,
                round_trip_us,
            } => {
                if self.links.is_up(node) {
                    // The next measurement comes in half a second.
                    let _ = self.events.try_send(NetEvent::LinkMeasured {
                        node,
                        round_trip_us,
                    });
                }
            }
            HubMessage::CallFailed { target, error } => self.call_failed(target, &error).await,
            HubMessage::Itself(target) => {
                self.calls.forget(&target);
                self.unsee(&target).await;
            }
            HubMessage::Refused { node, refusal } => {
                if !self.links.is_up(node) {
                    self.lock(&Target::Node(node), refusal.to_string()).await;
                }
            }
            HubMessage::Leave(_) => {}
        }
    }

    /// An address from the settings.
    async fn give(&mut self, host: String) {
        let target = Target::Given(host.clone());
        let sighting = Sighting {
            node: None,
            name: host.clone(),
            cluster_name: String::new(),
            address: host,
            locked: self.own_lock(),
        };
        self.see(&target, sighting).await;
        self.calls.to(target, Vec::new());
    }

    async fn found(&mut self, found: Announcement) {
        if found.node == self.context.own.node || found.addresses.is_empty() {
            return;
        }
        self.departing.remove(&found.node);
        let target = Target::Node(found.node);
        let other_version = found.protocol != proof::VERSION;
        let locked = if other_version {
            Some(ProofError::OtherVersion.to_string())
        } else {
            self.own_lock().or_else(|| self.sightings.lock_of(&target))
        };
        let sighting = Sighting {
            node: Some(found.node),
            name: found.name,
            cluster_name: found.cluster_name,
            address: found.addresses[0].to_string(),
            locked,
        };
        let shown = self.see(&target, sighting).await;
        if shown && !other_version {
            self.calls.to(target, found.addresses);
        }
    }

    async fn lost(&mut self, node: NodeId) {
        // While there is a session with it, it is there, whatever discovery says.
        if self.links.knows(node) {
            self.departing.insert(node);
            return;
        }
        let target = Target::Node(node);
        self.calls.forget(&target);
        self.unsee(&target).await;
    }

    async fn proven(&mut self, proven: Proven) {
        let node = proven.node;
        if proven.stop.is_cancelled() {
            // Its end has overtaken its beginning.
            return;
        }
        self.sessions.insert(proven.id, proven.stop.clone());
        if !self.links.has_room_for(node) {
            tracing::warn!(node = %node.short(), "too many linked nodes; one was turned away");
            proven.stop.cancel();
            return;
        }
        let address = self.learn(&proven).await;
        let peer = self.peers.entry(node).or_default();
        if let Some(outbound) = proven.outbound {
            peer.outbound = Some((outbound, proven.local_ip, proven.remote_ip));
        }
        let changes = self.links.proven(node, proven.direction, proven.id);
        self.carry_out(changes).await;
        if let Some(address) = address {
            self.calls.also_to(Target::Node(node), address);
        }
    }

    /// Takes from a proven session what it says about who is there; gives where to call it back.
    async fn learn(&mut self, proven: &Proven) -> Option<SocketAddr> {
        if let Some(given) = &proven.given {
            self.unsee(&Target::Given(given.clone())).await;
        }
        let target = Target::Node(proven.node);
        let address = proven
            .port
            .map(|port| SocketAddr::new(proven.remote_ip, port));
        let known = self
            .sightings
            .get(&target)
            .map(|sighting| sighting.address.clone());
        let address_text = known
            .or_else(|| proven.given.clone())
            .or_else(|| address.map(|address| address.to_string()));
        let sighting = Sighting {
            node: Some(proven.node),
            name: proven.name.clone(),
            cluster_name: proven.cluster_name.clone(),
            address: address_text.unwrap_or_else(|| proven.remote_ip.to_string()),
            locked: None,
        };
        self.see(&target, sighting).await;
        address
    }

    async fn frame(&mut self, node: NodeId, id: SessionId, frame: PeerFrame) {
        if !self.links.is_inbound(node, id) {
            return;
        }
        if self.links.is_up(node) {
            self.emit(NetEvent::Frame { from: node, frame }).await;
            return;
        }
        let peer = self.peers.entry(node).or_default();
        if peer.held.len() < HELD_MAX {
            peer.held.push(frame);
        } else if let Some(stop) = self.sessions.get(&id) {
            stop.cancel();
        }
    }

    async fn call_failed(&mut self, target: Target, error: &CallError) {
        let reason = error.to_string();
        let covered = matches!(error, CallError::Covered(_));
        match (&target, error.answered()) {
            (Target::Given(host), Some(node)) => {
                self.unsee(&target).await;
                if !covered {
                    let greeting = error.greeting().cloned();
                    self.show_locked(Some(node), greeting, host, reason).await;
                }
            }
            (Target::Given(host), None) => self.show_locked(None, None, host, reason).await,
            (Target::Node(_), _) if covered => {}
            (Target::Node(_), _) => {
                self.lock(&target, reason).await;
                let failures = self.calls.failed(&target);
                if failures >= CALL_BACKS_MAX && !self.calls.is_announced(&target) {
                    self.calls.forget(&target);
                    self.unsee(&target).await;
                }
            }
        }
    }

    /// Shows why whoever is at an address from the settings is not linked.
    async fn show_locked(
        &mut self,
        node: Option<NodeId>,
        greeting: Option<Greeting>,
        host: &str,
        reason: String,
    ) {
        let target = node.map_or_else(|| Target::Given(host.to_owned()), Target::Node);
        let known = self.sightings.get(&target);
        let (name, cluster_name) = match (greeting, known) {
            (Some(greeting), _) => (greeting.name, greeting.cluster_name),
            (None, Some(known)) => (known.name.clone(), known.cluster_name.clone()),
            (None, None) => (host.to_owned(), String::new()),
        };
        let address = known.map_or_else(|| host.to_owned(), |known| known.address.clone());
        let sighting = Sighting {
            node,
            name,
            cluster_name,
            address,
            locked: Some(reason),
        };
        self.see(&target, sighting).await;
    }

    async fn carry_out(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Close(id) => {
                    if let Some(stop) = self.sessions.get(&id) {
                        stop.cancel();
                    }
                }
                Change::Up(node) => self.up(node).await,
                Change::Down(node) => {
                    self.registry_mut(|links| links.remove(&node));
                    self.emit(NetEvent::LinkDown { node }).await;
                }
                Change::Forget(node) => {
                    self.peers.remove(&node);
                    if self.departing.remove(&node) {
                        self.calls.forget(&Target::Node(node));
                        self.unsee(&Target::Node(node)).await;
                    }
                }
            }
        }
    }

    async fn up(&mut self, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let Some((outbound, local_ip, remote_ip)) = peer.outbound.clone() else {
            return;
        };
        let held = std::mem::take(&mut peer.held);
        let name = self
            .sightings
            .get(&Target::Node(node))
            .map(|sighting| sighting.name.clone());
        // First the way to send, then the news: whoever reads it may send at once.
        self.registry_mut(|links| links.insert(node, outbound));
        let name = name.unwrap_or_else(|| node.short());
        self.emit(NetEvent::LinkUp {
            node,
            name,
            local_ip,
            remote_ip,
        })
        .await;
        for frame in held {
            self.emit(NetEvent::Frame { from: node, frame }).await;
        }
    }

    /// Says goodbye on every link and in discovery; ends when the peers have hung up, or after a moment.
    async fn leave(&mut self) {
        self.context.leaving.cancel();
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        if let Ok(goodbye) = wire::encode(&PeerFrame::Leaving).map(bytes::Bytes::from) {
            self.registry_mut(|links| {
                for link in links.values() {
                    // A full queue means that this peer finds out by itself.
                    let _ = link.control.try_send(goodbye.clone());
                }
            });
        }
        let discovering = std::mem::take(&mut self.discovering);
        let goodbye = tokio::time::timeout_at(deadline, discovering.goodbye());
        let hung_up = async {
            while !self.sessions.is_empty() {
                tokio::select! {
                    () = sleep_until(deadline) => return,
                    message = self.inbox.recv() => match message {
                        Some(HubMessage::Ended { id, .. }) => { self.sessions.remove(&id); }
                        Some(_) => {}
                        None => return,
                    }
                }
            }
        };
        // Discovery's own thread sends the goodbye whether or not it reports in time.
        let _ = tokio::join!(goodbye, hung_up);
    }

    /// Why nobody can be linked, if the reason is here.
    fn own_lock(&self) -> Option<String> {
        self.context
            .key
            .is_none()
            .then(|| ProofError::NoKeyHere.to_string())
    }

    /// Shows a sighting if it is news; whether it is shown at all.
    async fn see(&mut self, target: &Target, sighting: Sighting) -> bool {
        match self.sightings.see(target, sighting) {
            Ok(Some(news)) => {
                self.emit(NetEvent::Seen(news)).await;
                true
            }
            Ok(None) => true,
            Err(sightings::Full) => false,
        }
    }

    async fn lock(&mut self, target: &Target, reason: String) {
        if let Some(news) = self.sightings.lock(target, reason) {
            self.emit(NetEvent::Seen(news)).await;
        }
    }

    async fn unsee(&mut self, target: &Target) {
        if let Some(last) = self.sightings.remove(target) {
            self.emit(NetEvent::Unseen(last)).await;
        }
    }

    async fn emit(&self, event: NetEvent) {
        // If nobody reads events any more, this node is about to stop.
        let _ = self.events.send(event).await;
    }

    fn registry_mut<T>(&self, change: impl FnOnce(&mut HashMap<NodeId, Outbound>) -> T) -> T {
        // The table is whole between any two statements, so a panic elsewhere does not spoil it.
        let mut links = self
            .registry
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut links)
    }
}
