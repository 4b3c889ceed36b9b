use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base::{
    BytesAsked, ClientId, ErrorCode, Failure, FinishReason, HeldFiles, HubRevision, InstanceId,
    NodeId, NodeRecord, Priority, RequestId, Sampling, TokenEvent, TokenRequest,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::discovery::memory::Neighbourhood;
use crate::{
    ClusterKey, Discovery, Generate, Identity, NetConfig, NetEvent, NetHandle, PeerFrame,
    PeerHandler, Roster, Sighting, start,
};

/// Longer than anything here should take on a busy machine; only a failing test waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Pieces in which files are lent.
pub(super) const PIECE_BYTES: usize = 256 << 10;

pub(super) const KEY: &str = "four random garden words";

/// What a node of a test is made of.
pub(super) struct Setup {
    pub(super) identity: Identity,
    pub(super) name: &'static str,
    pub(super) key: Option<&'static str>,
    pub(super) roster: Option<Roster>,
    pub(super) discovery: Discovery,
    pub(super) peers: Vec<String>,
    pub(super) listen: SocketAddr,
}

impl Setup {
    /// A member with no way to find others.
    pub(super) fn alone(name: &'static str) -> Self {
        Self {
            identity: Identity::generate().unwrap(),
            name,
            key: Some(KEY),
            roster: None,
            discovery: Discovery::Off,
            peers: Vec::new(),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }

    pub(super) fn among(name: &'static str, neighbourhood: &Neighbourhood) -> Self {
        Self {
            discovery: Discovery::Memory(neighbourhood.clone()),
            ..Self::alone(name)
        }
    }

    pub(super) fn calling(name: &'static str, peer: SocketAddr) -> Self {
        Self {
            peers: vec![peer.to_string()],
            ..Self::alone(name)
        }
    }

    pub(super) fn with_key(self, key: Option<&'static str>) -> Self {
        Self { key, ..self }
    }

    pub(super) async fn start(self) -> TestNode {
        let id = self.identity.node_id();
        let handler = Arc::new(Script::default());
        let config = NetConfig {
            identity: self.identity.clone(),
            name: self.name.to_owned(),
            cluster_name: "orchard".to_owned(),
            cluster_key: self.key.map(|key| ClusterKey::new(key).unwrap()),
            roster: self.roster,
            listen: self.listen,
            discovery: self.discovery,
            peers: self.peers,
        };
        let (handle, events) = start(config, handler.clone()).await.unwrap();
        TestNode {
            id,
            identity: self.identity,
            handle,
            events,
            handler,
        }
    }
}

pub(super) struct TestNode {
    pub(super) id: NodeId,
    pub(super) identity: Identity,
    pub(super) handle: NetHandle,
    pub(super) events: mpsc::Receiver<NetEvent>,
    pub(super) handler: Arc<Script>,
}

impl TestNode {
    /// The next event of which `pick` makes something.
    pub(super) async fn until<T>(&mut self, mut pick: impl FnMut(NetEvent) -> Option<T>) -> T {
        let found = timeout(PATIENCE, async {
            loop {
                let event = self.events.recv().await.expect("the network still runs");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        });
        found.await.expect("the event comes in time")
    }

    pub(super) async fn linked_with(&mut self, other: NodeId) {
        self.until(|event| {
            matches!(event, NetEvent::LinkUp { node, .. } if node == other).then_some(())
        })
        .await;
    }

    pub(super) async fn unlinked_from(&mut self, other: NodeId) {
        self.until(|event| {
            matches!(event, NetEvent::LinkDown { node } if node == other).then_some(())
        })
        .await;
    }

    pub(super) async fn frame(&mut self) -> (NodeId, PeerFrame) {
        self.until(|event| match event {
            NetEvent::Frame { from, frame } => Some((from, frame)),
            _ => None,
        })
        .await
    }

    /// The first sighting that is locked.
    pub(super) async fn locked(&mut self) -> Sighting {
        self.until(|event| match event {
            NetEvent::Seen(sighting) if sighting.locked.is_some() => Some(sighting),
            _ => None,
        })
        .await
    }

    /// Asserts that no link comes up for `time`.
    pub(super) async fn stays_unlinked(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Ok(event) = tokio::time::timeout_at(deadline, self.events.recv()).await {
            let event = event.expect("the network still runs");
            assert!(!matches!(event, NetEvent::LinkUp { .. }), "{event:?}");
        }
    }
}

/// Two members that are linked, the first called by the second.
pub(super) async fn pair() -> (TestNode, TestNode) {
    let mut a = Setup::alone("a").start().await;
    let mut b = Setup::calling("b", a.handle.address()).start().await;
    a.linked_with(b.id).await;
    b.linked_with(a.id).await;
    (a, b)
}

pub(super) fn record(id: NodeId, version: u64) -> PeerFrame {
    PeerFrame::Node(Box::new(NodeRecord {
        id,
        epoch_ms: 1,
        version,
        name: "tree".into(),
        chip: "a chip".into(),
        memory_total_bytes: 8,
        memory_available_bytes: 4,
        memory_lent_bytes_max: None,
        memory_bandwidth_bytes_per_s: None,
        links: Vec::new(),
        owns: Vec::new(),
        shards: Vec::new(),
        pressure: base::Pressure::default(),
        activity: Vec::new(),
        models: Vec::new(),
    }))
}

/// What the other node should do with a generation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish {
    /// Count up to `max_tokens` and finish.
    Count,
    /// Never end.
    Endless,
    /// Refuse.
    Refuse,
    /// End without a last event.
    Break,
    /// Never even begin.
    Hang,
}

pub(super) fn order(wish: Wish, max_tokens: u32) -> Generate {
    Generate {
        instance: InstanceId(1),
        generation: 1,
        request: TokenRequest {
            id: RequestId(1),
            client: ClientId(0),
            priority: Priority::Usual,
            prompt: vec![wish as u32],
            generated: Vec::new(),
            sampling: Sampling::GREEDY,
            max_tokens,
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            logprobs: None,
            prompt_logprobs: false,
            grammar: None,
            logit_bias: Vec::new(),
            pooling: None,
            prediction: Vec::new(),
        },
        keep_alive: None,
    }
}

/// A handler that does what it is wished for, and says how much it produced and how much runs.
pub(super) struct Script {
    pub(super) produced: watch::Sender<u64>,
    pub(super) running: watch::Sender<usize>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            produced: watch::Sender::new(0),
            running: watch::Sender::new(0),
        }
    }
}

struct Running(watch::Sender<usize>);

impl Running {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl PeerHandler for Script {
    fn generate(
        &self,
        _from: NodeId,
        generate: Generate,
    ) -> BoxFuture<'static, Result<BoxStream<'static, TokenEvent>, Failure>> {
        let running = Running::new(&self.running);
        let produced = self.produced.clone();
        let wish = generate.request.prompt[0];
        let tokens = generate.request.max_tokens;
        Box::pin(async move {
            if wish == Wish::Hang as u32 {
                std::future::pending::<()>().await;
            }
            if wish == Wish::Refuse as u32 {
                let failure = Failure::new(base::ErrorCode::ModelNotFound, "no such instance here");
                return Err(failure.hint("ask elsewhere"));
            }
            let end = if wish == Wish::Endless as u32 {
                u32::MAX
            } else {
                tokens
            };
            let finish =
                (wish == Wish::Count as u32).then_some(TokenEvent::Finished(FinishReason::Length));
            let counting = stream::iter(0..end).map(move |token| {
                let _held_while_streaming = &running;
                produced.send_modify(|count| *count += 1);
                TokenEvent::Token {
                    token,
                    logprob: None,
                }
            });
            Ok(counting.chain(stream::iter(finish)).boxed())
        })
    }

    fn files(&self, _from: NodeId, asked: HubRevision) -> BoxFuture<'static, Option<HeldFiles>> {
        let held = (asked.repository == "here/model").then(|| HeldFiles {
            commit: asked.revision,
            fetches: false,
            files: Vec::new(),
        });
        Box::pin(std::future::ready(held))
    }

    fn download(
        &self,
        _from: NodeId,
        wished: HubRevision,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        let refusal = Failure::new(ErrorCode::Overloaded, "no");
        let wished = if wished.repository == "here/model" {
            Ok(())
        } else {
            Err(refusal)
        };
        Box::pin(std::future::ready(wished))
    }

    /// Each piece is full of its number. A file that is called `silent` never comes, of one called `short` a piece is missing.
    fn bytes(
        &self,
        _from: NodeId,
        asked: BytesAsked,
    ) -> BoxFuture<'static, Option<BoxStream<'static, Bytes>>> {
        let running = Running::new(&self.running);
        let produced = self.produced.clone();
        let count = (asked.range.end - asked.range.start).div_ceil(PIECE_BYTES as u64);
        let count = count - u64::from(asked.hash == "short");
        let pieces = stream::iter(0..count).map(move |number| {
            let _held_while_streaming = &running;
            produced.send_modify(|count| *count += 1);
            Bytes::from(vec![number as u8; PIECE_BYTES])
        });
        let pieces = match asked.hash.as_str() {
            "none" => None,
            "silent" => Some(pieces.chain(stream::pending()).skip(usize::MAX).boxed()),
            _ => Some(pieces.boxed()),
        };
        Box::pin(std::future::ready(pieces))
    }
}
