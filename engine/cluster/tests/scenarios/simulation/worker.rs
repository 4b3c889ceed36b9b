//! Workers that only pretend to compute, but insist on what a real group needs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use base::{ErrorCode, Failure};
use cluster::{Action, Event, PrepareShard, ShardKey, StartShard};

use super::world::{World, ip};

/// Everything that holds ports or memory somewhere, by node and shard.
#[derive(Default)]
pub struct Workers {
    pub held: BTreeMap<(usize, ShardKey), Worker>,
    /// Shards that fetch their files, and those that have them or had them.
    pub preparing: BTreeSet<(usize, ShardKey)>,
    prepared: BTreeSet<(usize, ShardKey)>,
    next_port: u16,
    /// Percent of workers that fail by themselves while they load, and of shards whose files are not to be had.
    pub flaky_percent: u64,
    /// Percent of shards that fetch for a long time.
    pub fetching_percent: u64,
}

pub struct Worker {
    pub ports: (u16, u16),
    pub started: Option<StartShard>,
    /// Bytes it holds from then on.
    loaded: Vec<(u64, u64)>,
}

impl World {
    pub fn worker_action(&mut self, node: usize, action: Action) {
        match action {
            Action::Prepare(prepare) => self.prepare(node, &prepare),
            Action::Reserve { shard, .. } => self.reserve(node, shard),
            Action::Start(start) => self.start_worker(node, &start),
            Action::Stop { shard } => {
                self.workers.preparing.remove(&(node, shard));
                if self.workers.held.remove(&(node, shard)).is_some() {
                    self.break_group(shard);
                }
                self.tell_memory(node);
                let delay_ms = self.random.between(1, 100);
                self.tell_later(node, delay_ms, Event::Stopped { shard });
            }
            Action::Send { .. } => unreachable!("records are the network's"),
        }
    }

    /// Files that are there take a moment, others long, and some are not to be had.
    fn prepare(&mut self, node: usize, prepare: &PrepareShard) {
        const TOTAL: u64 = 1_000;
        let shard = prepare.shard;
        let other_plan =
            |(at, key): &&(usize, ShardKey)| *at == node && key.instance == shard.instance;
        let held = self.workers.held.keys();
        let before = held.chain(&self.workers.preparing).find(other_plan);
        assert_eq!(before, None, "two plans of an instance at the same files");
        self.workers.preparing.insert((node, shard));
        let mut at_ms = self.random.between(1, 50);
        if self.random.chance(self.workers.fetching_percent) {
            for part in 0..4 {
                at_ms += self.random.between(100, 20_000);
                let fetching = Event::Fetching {
                    shard,
                    bytes_done: TOTAL / 4 * part,
                    bytes_total: TOTAL,
                };
                self.tell_later(node, at_ms, fetching);
            }
        }
        at_ms += 1;
        if self.random.chance(self.workers.flaky_percent) {
            let codes = [ErrorCode::ModelNotFound, ErrorCode::TimedOut];
            let code = codes[self.random.between(0, 2) as usize];
            let failure = Failure::new(code, "simulated");
            self.tell_later(node, at_ms, Event::WorkerFailed { shard, failure });
        } else {
            self.tell_later(node, at_ms, Event::Prepared { shard });
        }
    }

    /// The task that prepared a shard has ended. One that was told to leave off meanwhile did.
    pub fn heard(&mut self, node: usize, event: &Event) {
        let (Event::Prepared { shard } | Event::WorkerFailed { shard, .. }) = event else {
            return;
        };
        let prepared = matches!(event, Event::Prepared { .. });
        if self.workers.preparing.remove(&(node, *shard)) && prepared {
            self.workers.prepared.insert((node, *shard));
        }
    }

    fn reserve(&mut self, node: usize, shard: ShardKey) {
        let prepared = self.workers.prepared.contains(&(node, shard));
        assert!(prepared, "ports for a shard without its files");
        let port = self.workers.next_port;
        self.workers.next_port = port.wrapping_add(2);
        let worker = Worker {
            ports: (port, port.wrapping_add(1)),
            started: None,
            loaded: Vec::new(),
        };
        let twice = self.workers.held.insert((node, shard), worker);
        assert!(twice.is_none(), "a shard was reserved twice");
        let delay_ms = self.random.between(1, 20);
        let reserved = Event::Reserved {
            shard,
            ring_port: port,
            plan_port: port.wrapping_add(1),
        };
        self.tell_later(node, delay_ms, reserved);
    }

    fn start_worker(&mut self, node: usize, start: &StartShard) {
        let shard = start.shard;
        self.check_start(node, start);
        let Some(worker) = self.workers.held.get_mut(&(node, shard)) else {
            return; // killed since; its failure is on its way
        };
        worker.started = Some(start.clone());
        let delay_ms = self.random.between(1, 50);
        self.tell_later(node, delay_ms, Event::WorkerStarted { shard });
        let flaky = self.workers.flaky_percent;
        if self.random.chance(flaky) {
            self.fail_worker(node, shard, ErrorCode::Internal, 60);
            return;
        }
        self.join_group(shard, start.world);
    }

    /// The ring is up when all its ranks run: then all of them load.
    fn join_group(&mut self, shard: ShardKey, world: u32) {
        let ranks: Vec<usize> = self.started(shard).map(|(node, _)| node).collect();
        if ranks.len() != world as usize {
            return;
        }
        for node in ranks {
            let total = self.workers.held[&(node, shard)]
                .started
                .as_ref()
                .map_or(0, |start| start.memory_bytes);
            let mut at_ms = 60;
            for part in 1..=4 {
                at_ms += self.random.between(10, 200);
                let progress = Event::Progress {
                    shard,
                    bytes_done: total / 4 * part,
                    bytes_total: total,
                };
                let now_ms = self.now_ms;
                if let Some(worker) = self.workers.held.get_mut(&(node, shard)) {
                    worker.loaded.push((now_ms + at_ms, total / 4 * part));
                }
                self.measure_later(node, at_ms);
                self.tell_later(node, at_ms, progress);
            }
            self.tell_later(node, at_ms + 5, Event::WorkerReady { shard });
        }
    }

    /// What a real group needs: addresses that meet, memory that is there, one plan.
    fn check_start(&mut self, node: usize, start: &StartShard) {
        let world = start.world as usize;
        let rank = start.rank as usize;
        let on_node = |((at, _), _): &(&(usize, ShardKey), &Worker)| *at == node;
        let same_instance = self
            .workers
            .held
            .iter()
            .filter(on_node)
            .filter(|((_, key), worker)| {
                key.instance == start.shard.instance && worker.started.is_some()
            })
            .count();
        assert_eq!(
            same_instance, 0,
            "started beside a worker of the same instance"
        );
        let prepared = self.workers.prepared.iter();
        let prepared = prepared.filter(|(_, key)| *key == start.shard).count();
        assert_eq!(prepared, world, "started before all have their files");
        if world == 1 {
            assert!(start.ring.is_empty() && start.plan_address.is_none());
            return;
        }
        assert_eq!(start.ring.len(), world);
        let peers: BTreeMap<usize, (usize, StartShard)> = self
            .started(start.shard)
            .map(|(node, start)| (start.rank as usize, (node, start.clone())))
            .collect();
        let own = self
            .workers
            .held
            .get(&(node, start.shard))
            .map(|worker| worker.ports);
        if let Some((ring_port, _)) = own {
            assert_eq!(start.ring[rank].port(), ring_port);
        }
        let next = (rank + 1) % world;
        if let Some((at, other)) = peers.get(&next) {
            assert_eq!(
                start.ring[next], other.ring[next],
                "connects where nobody listens"
            );
            assert_eq!(start.ring[next].ip(), ip(*at, node));
        }
        if let Some((_, driver)) = peers.get(&0) {
            let listens: SocketAddr = driver.plan_address.unwrap();
            let connects = start.plan_address.unwrap();
            assert_eq!(listens.port(), connects.port());
            assert!(listens.ip().is_unspecified() || listens.ip() == connects.ip());
            assert_eq!(driver.secret, start.secret);
        }
    }

    fn started(&self, shard: ShardKey) -> impl Iterator<Item = (usize, &StartShard)> {
        let held = self.workers.held.iter();
        held.filter(move |((_, key), _)| *key == shard)
            .filter_map(|((node, _), worker)| Some((*node, worker.started.as_ref()?)))
    }

    /// A worker ends by itself; its group notices.
    pub fn fail_worker(&mut self, node: usize, shard: ShardKey, code: ErrorCode, delay_ms: u64) {
        if self.workers.held.remove(&(node, shard)).is_none() {
            return;
        }
        let failure = Failure::new(code, "simulated");
        self.tell_memory(node);
        self.tell_later(node, delay_ms, Event::WorkerFailed { shard, failure });
        self.break_group(shard);
    }

    fn break_group(&mut self, shard: ShardKey) {
        let rest: Vec<usize> = self.started(shard).map(|(node, _)| node).collect();
        for node in rest {
            self.workers.held.remove(&(node, shard));
            self.tell_memory(node);
            let failure = Failure::new(ErrorCode::WorkerLost, "the group was lost");
            // After whatever it was about to say: a late word of a dead worker must do no harm.
            let delay_ms = self.random.between(1, 40);
            self.tell_later(node, delay_ms, Event::WorkerFailed { shard, failure });
        }
    }

    pub fn workers_of_dead_node(&mut self, node: usize) {
        self.workers.preparing.retain(|(at, _)| *at != node);
        let shards: Vec<ShardKey> = self
            .workers
            .held
            .keys()
            .filter(|(at, _)| *at == node)
            .map(|(_, shard)| *shard)
            .collect();
        for shard in shards {
            self.workers.held.remove(&(node, shard));
            self.break_group(shard);
        }
    }

    /// A measurement sees what workers hold by now; what they were promised must never be more than there is.
    pub fn tell_memory(&mut self, node: usize) {
        let total_bytes = self.nodes[node].memory_total_bytes;
        let now_ms = self.now_ms;
        let (mut promised, mut held) = (0, 0);
        for ((at, _), worker) in &self.workers.held {
            if let (true, Some(start)) = (*at == node, &worker.started) {
                promised += start.memory_bytes;
                let loaded = worker.loaded.iter().filter(|(at_ms, _)| *at_ms <= now_ms);
                held += loaded.map(|(_, bytes)| *bytes).max().unwrap_or(0);
            }
        }
        assert!(promised <= total_bytes, "a node holds more than it has");
        let available_bytes = total_bytes - held;
        self.tell(
            node,
            Event::Memory {
                total_bytes,
                available_bytes,
            },
        );
    }
}
