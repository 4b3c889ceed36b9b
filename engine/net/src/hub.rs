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
use crate::limits::{HELD_MAX, LEAVE_TIMEOUT};
use crate::session::call::Target;
use crate::session::outbound::Outbound;
use crate::session::{Context, ProvenBy, SessionId};
use crate::{Belonging, Identity, NetEvent, PeerFrame, Roster, Sighting};

mod calls;
mod links;
mod membership;
mod message;
mod pairing;
mod seen;
mod sightings;

use calls::Calls;
use links::{Change, Links};
pub(crate) use message::{HubMessage, Proven, Wish};
use pairing::Pairings;
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

/// An open session.
struct Session {
    node: NodeId,
    by: ProvenBy,
    stop: CancellationToken,
}

pub(crate) struct Hub {
    context: Arc<Context>,
    /// Signs what this node says about its cluster.
    identity: Identity,
    inbox: mpsc::Receiver<HubMessage>,
    events: mpsc::Sender<NetEvent>,
    registry: Registry,
    discovering: Discovering,
    /// What discovery last said of whom; as many as there are sightings.
    found: HashMap<NodeId, Announcement>,
    sightings: Sightings,
    calls: Calls,
    links: Links,
    peers: HashMap<NodeId, Peer>,
    sessions: HashMap<SessionId, Session>,
    pairings: Pairings,
    /// The roster that this node has signed for the pairing that runs, until the other side has it.
    signed_for_pairing: Option<Roster>,
    /// Nodes that discovery has lost while there still was a session with them.
    departing: HashSet<NodeId>,
}

impl Hub {
    pub(crate) fn new(
        context: Arc<Context>,
        identity: Identity,
        inbox: mpsc::Receiver<HubMessage>,
        events: mpsc::Sender<NetEvent>,
        registry: Registry,
        discovering: Discovering,
    ) -> Self {
        Self {
            calls: Calls::new(context.clone()),
            context,
            identity,
            inbox,
            events,
            registry,
            discovering,
            found: HashMap::new(),
            sightings: Sightings::default(),
            links: Links::default(),
            peers: HashMap::new(),
            sessions: HashMap::new(),
            pairings: Pairings::default(),
            signed_for_pairing: None,
            departing: HashSet::new(),
        }
    }

    /// Runs until this node leaves or its last handle is dropped.
    pub(crate) async fn run(mut self, given: Vec<String>, roster: Option<Roster>) {
        let stop = self.context.stop.clone();
        let goodbye = stop.run_until_cancelled(self.work(given, roster)).await;
        if let Some(Some(done)) = goodbye {
            self.leave().await;
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
        stop.cancel();
        self.registry_mut(HashMap::clear);
    }

    /// Handles messages until one asks to leave; gives where to say that it is done.
    async fn work(
        &mut self,
        given: Vec<String>,
        roster: Option<Roster>,
    ) -> Option<oneshot::Sender<()>> {
        self.begin(roster).await;
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
            HubMessage::Carried { node, bytes_per_s } => {
                if self.links.is_up(node) {
                    let carried = NetEvent::LinkBandwidth { node, bytes_per_s };
                    self.emit(carried).await;
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
            HubMessage::Heard {
                from,
                roster,
                reply,
            } => drop(reply.send(self.heard(from, &roster).await)),
            HubMessage::Asked {
                node,
                starter,
                reply,
            } => drop(reply.send(self.asked(node, starter))),
            HubMessage::LetIn { node, name, reply } => drop(reply.send(self.let_in(node, &name))),
            HubMessage::Pairing(view) => self.show_pairing(view).await,
            HubMessage::PairingOver { view, outcome } => self.pairing_over(view, outcome).await,
            HubMessage::Wish(wish) => self.grant(wish).await,
            HubMessage::Leave(_) => {}
        }
    }

    /// Whoever wished may have stopped waiting for the answer.
    async fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Pair(node, reply) => drop(reply.send(self.pair(node))),
            Wish::Click(node, click, reply) => drop(reply.send(self.click(node, click))),
            Wish::Remove(node, reply) => drop(reply.send(self.remove_member(node).await)),
        }
    }

    async fn proven(&mut self, proven: Proven) {
        let node = proven.node;
        if proven.stop.is_cancelled() {
            // Its end has overtaken its beginning.
            return;
        }
        let session = Session {
            node,
            by: proven.by,
            stop: proven.stop.clone(),
        };
        self.sessions.insert(proven.id, session);
        if proven.by == ProvenBy::Roster && self.context.are_members(node).is_err() {
            // It was removed between its proof and now.
            proven.stop.cancel();
            return;
        }
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
            belongs: Belonging::Ours,
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
        } else if let Some(session) = self.sessions.get(&id) {
            session.stop.cancel();
        }
    }

    async fn carry_out(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Close(id) => {
                    if let Some(session) = self.sessions.get(&id) {
                        session.stop.cancel();
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
        if self.context.are_members(node).is_ok() {
            self.tell_roster(&outbound);
        }
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
