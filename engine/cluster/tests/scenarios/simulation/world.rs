//! Nodes, the network between them, and time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr};

use base::NodeId;
use cluster::{Action, Event, NodeSeed, Record, State};

use super::random::Random;
use super::worker::Workers;

pub struct World {
    pub now_ms: u64,
    pub random: Random,
    pub nodes: Vec<Node>,
    pub workers: Workers,
    links: BTreeMap<(usize, usize), Wire>,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    pending: BTreeMap<u64, Happening>,
    sequence: u64,
    /// Actions given out since the last reset: a cluster at peace gives out none.
    pub actions: u64,
}

pub struct Node {
    pub id: NodeId,
    /// `None` while it is killed.
    pub state: Option<State>,
    /// Counts its runs; what was meant for an earlier one is dropped.
    pub run: u32,
    pub memory_total_bytes: u64,
    /// When its next deadline is already in the queue.
    deadline_ms: Option<u64>,
}

/// The wire between two nodes and the session over it.
#[derive(Default)]
struct Wire {
    cut: bool,
    /// Counts sessions; frames of an earlier one are lost.
    session: u32,
    /// Whether each end believes in the session.
    up: [bool; 2],
    /// Ends that still have to hear that the session came or went.
    untold: [u32; 2],
    /// When the last frame to each end arrives: frames keep their order.
    arrival_ms: [u64; 2],
}

enum Happening {
    /// For one run of a node.
    Event(usize, u32, Box<Event>),
    Frame {
        to: usize,
        from: usize,
        session: u32,
        event: Box<Event>,
    },
    Deadline(usize, u32),
    /// A node measures its memory.
    Measure(usize),
    Connect(usize, usize),
    SessionUp {
        end: usize,
        other: usize,
        session: u32,
    },
    SessionDown {
        end: usize,
        other: usize,
    },
}

pub const GIB: u64 = 1 << 30;

/// The address of `node` on its way to `other`: every pair has its own network.
pub fn ip(node: usize, other: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, node as u8, other as u8, 1))
}

impl World {
    pub fn new(seed: u64, nodes: usize) -> Self {
        let mut random = Random::new(seed);
        let node = |index: usize| Node {
            id: NodeId([index as u8 + 1; 32]),
            state: None,
            run: 0,
            memory_total_bytes: random.between(4, 12) * GIB,
            deadline_ms: None,
        };
        let mut world = Self {
            now_ms: 1_000,
            nodes: (0..nodes).map(node).collect(),
            random,
            workers: Workers::default(),
            links: BTreeMap::new(),
            queue: BinaryHeap::new(),
            pending: BTreeMap::new(),
            sequence: 0,
            actions: 0,
        };
        for a in 0..nodes {
            for b in a + 1..nodes {
                world.links.insert((a, b), Wire::default());
            }
        }
        for index in 0..nodes {
            world.start(index);
        }
        world
    }

    pub fn index(&self, id: NodeId) -> usize {
        self.nodes.iter().position(|node| node.id == id).unwrap()
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].state.is_some()
    }

    pub fn start(&mut self, index: usize) {
        if self.is_up(index) {
            return;
        }
        let epoch_ms = self.now_ms;
        let node = &mut self.nodes[index];
        node.run += 1;
        node.deadline_ms = None;
        node.state = Some(State::new(NodeSeed {
            id: node.id,
            epoch_ms,
            name: format!("node {index}"),
            chip: "simulated".to_owned(),
            memory_total_bytes: node.memory_total_bytes,
            memory_available_bytes: node.memory_total_bytes,
            memory_lent_bytes_max: None,
            memory_bandwidth_bytes_per_s: None,
        }));
        self.reconnect(index);
    }

    pub fn kill(&mut self, index: usize) {
        self.nodes[index].state = None;
        for other in 0..self.nodes.len() {
            if other != index {
                self.drop_session(index, other, 50);
            }
        }
        self.workers_of_dead_node(index);
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.wire(a, b).cut = true;
        self.drop_session(a, b, 2_000);
    }

    pub fn mend(&mut self, a: usize, b: usize) {
        self.wire(a, b).cut = false;
        self.connect_soon(a, b);
    }

    /// Ends all faults: every wire whole, every node up.
    pub fn make_peace(&mut self) {
        for index in 0..self.nodes.len() {
            self.start(index);
        }
        let pairs: Vec<_> = self.links.keys().copied().collect();
        for (a, b) in pairs {
            self.mend(a, b);
        }
    }

    pub fn run_for(&mut self, duration_ms: u64) {
        let end_ms = self.now_ms + duration_ms;
        while let Some(Reverse((at_ms, sequence))) = self.queue.peek().copied() {
            if at_ms > end_ms {
                break;
            }
            self.queue.pop();
            self.now_ms = at_ms;
            if let Some(happening) = self.pending.remove(&sequence) {
                self.happen(happening);
            }
        }
        self.now_ms = end_ms;
    }

    /// Tells a node something after a while, if it still is the same run by then.
    pub fn tell_later(&mut self, node: usize, delay_ms: u64, event: Event) {
        let run = self.nodes[node].run;
        self.later(delay_ms, Happening::Event(node, run, Box::new(event)));
    }

    pub fn measure_later(&mut self, node: usize, delay_ms: u64) {
        self.later(delay_ms, Happening::Measure(node));
    }

    pub fn tell(&mut self, index: usize, event: Event) {
        let now_ms = self.now_ms;
        if let Some(state) = &mut self.nodes[index].state {
            state.apply(event, now_ms);
            self.advance(index);
        }
    }

    fn advance(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let Some(state) = &mut self.nodes[index].state else {
            return;
        };
        let actions = state.advance(now_ms);
        self.actions += actions.len() as u64;
        assert!(
            state.advance(now_ms).is_empty(),
            "an action was given out twice"
        );
        let deadline_ms = state.next_deadline(now_ms);
        if let Some(at_ms) = deadline_ms {
            assert!(
                at_ms > now_ms,
                "a deadline that has passed: {at_ms} at {now_ms}"
            );
        }
        if let Some(at_ms) = deadline_ms
            && self.nodes[index].deadline_ms != Some(at_ms)
        {
            self.nodes[index].deadline_ms = Some(at_ms);
            let run = self.nodes[index].run;
            self.later(at_ms - now_ms, Happening::Deadline(index, run));
        }
        for action in actions {
            match action {
                Action::Send { to, record } => self.send(index, to, record),
                Action::Prepare(_)
                | Action::Reserve { .. }
                | Action::Start(_)
                | Action::Stop { .. } => {
                    self.worker_action(index, action);
                }
            }
        }
    }

    fn send(&mut self, from: usize, to: NodeId, record: Record) {
        let to = self.index(to);
        let delay_ms = self.random.between(0, 20);
        let now_ms = self.now_ms;
        let sender = self.nodes[from].id;
        let event = match record {
            Record::Node(record) => Event::Node {
                from: sender,
                record,
            },
            Record::Instance(record) => Event::Instance {
                from: sender,
                record,
            },
        };
        let side = usize::from(to > from);
        let wire = self.wire(from, to);
        let arrival_ms = wire.arrival_ms[side].max(now_ms + delay_ms);
        wire.arrival_ms[side] = arrival_ms;
        let frame = Happening::Frame {
            to,
            from,
            session: wire.session,
            event: Box::new(event),
        };
        self.later(arrival_ms - now_ms, frame);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Event(node, run, event) => {
                if self.nodes[node].run == run {
                    self.heard(node, &event);
                    self.tell(node, *event);
                }
            }
            Happening::Frame {
                to,
                from,
                session,
                event,
            } => {
                if self.wire(to, from).session == session {
                    self.tell(to, *event);
                }
            }
            Happening::Deadline(node, run) => {
                if self.nodes[node].run == run {
                    self.nodes[node].deadline_ms = None;
                    self.advance(node);
                }
            }
            Happening::Measure(node) => self.tell_memory(node),
            Happening::Connect(a, b) => self.connect(a, b),
            Happening::SessionUp {
                end,
                other,
                session,
            } => {
                let side = usize::from(end > other);
                let wire = self.wire(end, other);
                if wire.session == session {
                    wire.up[side] = true;
                    self.tell(
                        end,
                        Event::LinkUp {
                            node: self.nodes[other].id,
                            local_ip: ip(end, other),
                            remote_ip: ip(other, end),
                            kind: None,
                        },
                    );
                }
            }
            Happening::SessionDown { end, other } => {
                let side = usize::from(end > other);
                let wire = self.wire(end, other);
                wire.untold[side] -= 1;
                if std::mem::take(&mut wire.up[side]) {
                    let node = self.nodes[other].id;
                    self.tell(end, Event::LinkDown { node });
                }
                self.connect_soon(end, other);
            }
        }
    }

    fn drop_session(&mut self, a: usize, b: usize, notice_ms: u64) {
        let alive = [self.is_up(a.min(b)), self.is_up(a.max(b))];
        let wire = self.wire(a, b);
        wire.session += 1;
        for (side, (end, other)) in [(a.min(b), a.max(b)), (a.max(b), a.min(b))]
            .into_iter()
            .enumerate()
        {
            let wire = self.wire(a, b);
            if alive[side] {
                wire.untold[side] += 1;
                let delay_ms = self.random.between(0, notice_ms);
                self.later(delay_ms, Happening::SessionDown { end, other });
            } else {
                wire.up[side] = false;
            }
        }
    }

    fn reconnect(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if other != node {
                self.connect_soon(node, other);
            }
        }
    }

    fn connect_soon(&mut self, a: usize, b: usize) {
        let delay_ms = self.random.between(5, 500);
        self.later(delay_ms, Happening::Connect(a, b));
    }

    fn connect(&mut self, a: usize, b: usize) {
        let alive = self.is_up(a) && self.is_up(b);
        let now_ms = self.now_ms;
        let wire = self.wire(a, b);
        if !alive || wire.cut || wire.up != [false; 2] || wire.untold != [0; 2] {
            return;
        }
        wire.session += 1;
        wire.arrival_ms = [now_ms; 2];
        let session = wire.session;
        for (end, other) in [(a, b), (b, a)] {
            let delay_ms = self.random.between(0, 30);
            let up = Happening::SessionUp {
                end,
                other,
                session,
            };
            self.later(delay_ms, up);
        }
    }

    fn later(&mut self, delay_ms: u64, happening: Happening) {
        self.sequence += 1;
        self.pending.insert(self.sequence, happening);
        self.queue
            .push(Reverse((self.now_ms + delay_ms, self.sequence)));
    }

    fn wire(&mut self, a: usize, b: usize) -> &mut Wire {
        self.links.get_mut(&(a.min(b), a.max(b))).unwrap()
    }
}
