//! A few nodes, records delivered at once, workers moved by hand, time by hand.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use base::{Failure, InstanceId, InstanceRecord, NodeId, NodeRecord};
use cluster::{
    Action, Asker, Event, InstanceState, InstanceView, NoRoom, NodeSeed, NodeState, PrepareShard,
    Record, ShardKey, State, Wish,
};

use super::super::make::{GB, node_id};

pub struct Cluster {
    pub now_ms: u64,
    nodes: Vec<Option<State>>,
    /// Shards whose files nobody has looked for yet, those whose ports were asked for, and those whose worker was started.
    preparing: Vec<(usize, ShardKey)>,
    reserving: Vec<(usize, ShardKey)>,
    starting: Vec<(usize, ShardKey)>,
    ready: Vec<(usize, ShardKey)>,
    /// Files are there only when a test says so.
    pub fetches: bool,
    log: String,
}

/// The address of `node` on its way to `other`.
fn ip(node: usize, other: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, node as u8, other as u8, 1))
}

impl Cluster {
    /// Nodes with so many GB each, all linked.
    pub fn new(nodes_gb: &[u64]) -> Self {
        Self::lending(nodes_gb, None)
    }

    /// The same, whose users lend so many bytes at most.
    pub fn lending(nodes_gb: &[u64], memory_lent_bytes_max: Option<u64>) -> Self {
        let seed = |(index, gb): (usize, &u64)| NodeSeed {
            id: node_id(index as u8),
            epoch_ms: 1,
            name: format!("node {index}"),
            chip: "test".to_owned(),
            memory_total_bytes: gb * GB,
            memory_available_bytes: gb * GB,
            memory_lent_bytes_max,
            memory_bandwidth_bytes_per_s: Some(100 * GB),
        };
        let states = nodes_gb.iter().enumerate().map(seed).map(State::new);
        let mut cluster = Self {
            now_ms: 1_000,
            nodes: states.map(Some).collect(),
            preparing: Vec::new(),
            reserving: Vec::new(),
            starting: Vec::new(),
            ready: Vec::new(),
            fetches: false,
            log: String::new(),
        };
        for a in 0..nodes_gb.len() {
            for b in a + 1..nodes_gb.len() {
                cluster.link(a, b);
            }
        }
        cluster
    }

    fn link(&mut self, a: usize, b: usize) {
        for (end, other) in [(a, b), (b, a)] {
            self.tell(end, up(end, other));
        }
    }

    pub fn tell(&mut self, node: usize, event: Event) {
        let now_ms = self.now_ms;
        if let Some(state) = &mut self.nodes[node] {
            state.apply(event, now_ms);
            self.advance(node);
        }
    }

    fn advance(&mut self, node: usize) {
        let Some(state) = &mut self.nodes[node] else {
            return;
        };
        for action in state.advance(self.now_ms) {
            self.act(node, action);
        }
    }

    fn act(&mut self, node: usize, action: Action) {
        match action {
            Action::Send { to, record } => {
                let from = node_id(node as u8);
                let event = match record {
                    Record::Node(record) => Event::Node { from, record },
                    Record::Instance(record) => Event::Instance { from, record },
                };
                self.tell(index(to), event);
            }
            Action::Prepare(prepare) if self.fetches => {
                let PrepareShard { shard, spec, .. } = *prepare;
                let (generation, rank) = (shard.generation, spec.rank);
                let line = format!(
                    "prepare #{generation} rank {rank}, layers {:?}",
                    spec.layers
                );
                self.note(node, &line);
                self.preparing.push((node, shard));
            }
            Action::Prepare(prepare) => {
                let shard = prepare.shard;
                self.tell(node, Event::Prepared { shard });
            }
            Action::Reserve {
                shard,
                rank,
                ring_ip,
                plan_ip,
            } => {
                let generation = shard.generation;
                let line = format!("reserve #{generation} rank {rank} on {ring_ip}, {plan_ip}");
                self.note(node, &line);
                self.reserving.push((node, shard));
            }
            Action::Start(start) => {
                let line = format!(
                    "start #{} rank {} of {}, layers {:?}, ring {:?}, plan {:?}",
                    start.shard.generation,
                    start.rank,
                    start.world,
                    start.layers,
                    start.ring,
                    start.plan_address
                );
                self.note(node, &line);
                self.starting.push((node, start.shard));
            }
            Action::Stop { shard } => {
                self.note(node, &format!("stop #{}", shard.generation));
                self.starting.retain(|held| *held != (node, shard));
                self.ready.retain(|held| *held != (node, shard));
                self.reserving.retain(|held| *held != (node, shard));
                self.preparing.retain(|held| *held != (node, shard));
                self.tell(node, Event::Stopped { shard });
            }
        }
    }

    fn note(&mut self, node: usize, line: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.log, "node {node}: {line}");
    }

    /// What was done since the last call, records aside.
    pub fn take_log(&mut self) -> String {
        std::mem::take(&mut self.log)
    }

    /// Bytes come in on a node that prepares.
    pub fn fetch(&mut self, node: usize, bytes_done: u64, bytes_total: u64) {
        let shard = self.preparing_on(node);
        let fetching = Event::Fetching {
            shard,
            bytes_done,
            bytes_total,
        };
        self.tell(node, fetching);
    }

    /// A node has all that it needs.
    pub fn prepared(&mut self, node: usize) {
        let shard = self.preparing_on(node);
        self.preparing.retain(|held| *held != (node, shard));
        self.tell(node, Event::Prepared { shard });
    }

    /// A node cannot get what it needs.
    pub fn fail_to_prepare(&mut self, node: usize, failure: Failure) {
        let shard = self.preparing_on(node);
        self.preparing.retain(|held| *held != (node, shard));
        self.tell(node, Event::WorkerFailed { shard, failure });
    }

    fn preparing_on(&self, node: usize) -> ShardKey {
        let found = self.preparing.iter().find(|(at, _)| *at == node);
        found.unwrap().1
    }

    pub fn all_reserved(&mut self) {
        for (node, shard) in std::mem::take(&mut self.reserving) {
            let reserved = Event::Reserved {
                shard,
                ring_port: 5_000 + node as u16,
                plan_port: 6_000 + node as u16,
            };
            self.tell(node, reserved);
        }
    }

    pub fn all_ready(&mut self) {
        for (node, shard) in std::mem::take(&mut self.starting) {
            self.tell(node, Event::WorkerStarted { shard });
            self.tell(node, Event::WorkerReady { shard });
            self.ready.push((node, shard));
        }
    }

    /// Carries out everything until nothing is left to do now.
    pub fn run(&mut self) {
        while !self.reserving.is_empty() || !self.starting.is_empty() {
            self.all_reserved();
            self.all_ready();
        }
    }

    pub fn fail_worker(&mut self, node: usize, failure: Failure) {
        let position = self.starting.iter().position(|(at, _)| *at == node);
        let (_, shard) = self.starting.remove(position.unwrap());
        self.tell(node, Event::WorkerFailed { shard, failure });
    }

    /// Ends a worker that was ready.
    pub fn crash(&mut self, node: usize, failure: Failure) {
        let position = self.ready.iter().position(|(at, _)| *at == node);
        let (_, shard) = self.ready.remove(position.unwrap());
        self.tell(node, Event::WorkerFailed { shard, failure });
    }

    /// How many workers were started since the last call.
    pub fn take_starts(&mut self) -> usize {
        std::mem::take(&mut self.starting).len()
    }

    /// Goes on to the next deadline of any node.
    pub fn pass_time(&mut self) {
        let states = self.nodes.iter().flatten();
        let next = states.filter_map(|state| state.next_deadline(self.now_ms));
        if let Some(at_ms) = next.min() {
            self.now_ms = at_ms;
        }
        for node in 0..self.nodes.len() {
            self.advance(node);
        }
    }

    /// Kills a node; the others notice at once.
    pub fn lose(&mut self, node: usize) {
        self.nodes[node] = None;
        self.preparing.retain(|(at, _)| *at != node);
        self.reserving.retain(|(at, _)| *at != node);
        self.starting.retain(|(at, _)| *at != node);
        for other in 0..self.nodes.len() {
            let node = node_id(node as u8);
            self.tell(other, Event::LinkDown { node });
        }
    }

    /// A node leaves the network and goes on alone.
    pub fn part(&mut self, node: usize) {
        self.tell(node, Event::Parted);
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let node = node_id(node as u8);
            self.tell(other, Event::LinkDown { node });
        }
    }

    /// Starts a node again, linked with all that are left.
    pub fn rejoin(&mut self, node: usize, gb: u64) {
        self.start_again(node, gb);
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if self.nodes[other].is_some() {
                self.link(node, other);
            }
        }
    }

    /// Starts a node again; its first record comes before the others know of the link.
    pub fn rejoin_late(&mut self, node: usize, gb: u64) {
        self.start_again(node, gb);
        self.tell(node, up(node, 0));
        assert_eq!(self.online(0), 1, "not linked yet");
        self.tell(0, up(0, node));
    }

    fn start_again(&mut self, node: usize, gb: u64) {
        let state = State::new(NodeSeed {
            id: node_id(node as u8),
            epoch_ms: 2,
            name: "back".to_owned(),
            chip: "test".to_owned(),
            memory_total_bytes: gb * GB,
            memory_available_bytes: gb * GB,
            memory_lent_bytes_max: None,
            memory_bandwidth_bytes_per_s: None,
        });
        self.nodes[node] = Some(state);
    }

    pub fn online(&self, node: usize) -> usize {
        let view = self.nodes[node].as_ref().unwrap().view();
        let online = view.nodes.iter().filter(|n| n.state == NodeState::Online);
        online.count()
    }

    pub fn find(&self, node: usize, id: InstanceId) -> Option<InstanceView> {
        let view = self.nodes[node].as_ref().unwrap().view();
        view.instances.into_iter().find(|view| view.id == id)
    }

    pub fn view(&self, node: usize, id: InstanceId) -> InstanceView {
        self.find(node, id).unwrap()
    }

    /// How every node that is left sees an instance.
    pub fn states(&self, id: InstanceId) -> Vec<InstanceState> {
        let left = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some());
        left.map(|node| self.view(node, id).state).collect()
    }

    /// What would have to be closed for a model.
    pub fn room_for(
        &self,
        node: usize,
        wish: &Wish,
        asker: Asker,
    ) -> Result<Vec<InstanceId>, NoRoom> {
        self.nodes[node].as_ref().unwrap().room_for(wish, asker)
    }

    pub fn instance_record(&self, node: usize, id: InstanceId) -> InstanceRecord {
        self.nodes[node]
            .as_ref()
            .unwrap()
            .instance(id)
            .unwrap()
            .clone()
    }

    pub fn node_record(&self, node: usize) -> NodeRecord {
        self.nodes[node].as_ref().unwrap().node_record().clone()
    }
}

fn up(end: usize, other: usize) -> Event {
    Event::LinkUp {
        node: node_id(other as u8),
        local_ip: ip(end, other),
        remote_ip: ip(other, end),
        kind: None,
    }
}

fn index(node: NodeId) -> usize {
    usize::from(node.0[0])
}
