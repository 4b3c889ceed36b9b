//! Facts in. Every event leaves the state consistent: this node's own record says what is so.

use base::{
    Fingerprint, HubRevision, InstanceId, InstancePhase, InstanceRecord, LocalShard, NodeId,
    NodeRecord, ShardStatus,
};

use crate::state::{Care, Instance, LinkEnds, Peer, Ports, State, Unsent};
use crate::{Event, OpenInstance, ShardKey, Sighting, decide, limits};

impl State {
    /// Takes a fact in. `now_ms` is milliseconds of any clock that never goes back, the same for all calls.
    pub fn apply(&mut self, event: Event, now_ms: u64) {
        match event {
            Event::LinkUp {
                node,
                local_ip,
                remote_ip,
                kind,
            } => {
                let ends = LinkEnds {
                    local_ip,
                    remote_ip,
                    round_trip_us: None,
                    bandwidth_bytes_per_s: None,
                    kind,
                };
                self.link_up(node, ends, now_ms);
            }
            Event::LinkDown { node } => self.link_down(node, now_ms),
            Event::Parted => self.part(),
            Event::Changed {
                name,
                memory_lent_bytes_max,
            } => self.change(name, memory_lent_bytes_max),
            Event::LinkMeasured {
                node,
                round_trip_us,
            } => self.link_measured(node, round_trip_us),
            Event::LinkBandwidth { node, bytes_per_s } => {
                let peer = self.peers.get_mut(&node);
                if let Some(link) = peer.and_then(|peer| peer.link.as_mut()) {
                    link.bandwidth_bytes_per_s = Some(bytes_per_s);
                }
            }
            Event::Pressure(pressure) => self.say(|me| &mut me.pressure, pressure),
            Event::Activity(activity) => self.say(|me| &mut me.activity, activity),
            Event::Models(models) => self.say(|me| &mut me.models, told_of(models)),
            Event::Seen(sighting) => self.seen(sighting),
            Event::Unseen { node } => {
                self.sightings.remove(&node);
            }
            Event::Node { from, .. } | Event::Instance { from, .. } if !self.has_link(from) => {
                self.keep_early(from, event);
            }
            Event::Node { from, record } => self.node(from, *record),
            Event::Instance { from, record } => self.adopt(from, *record, now_ms),
            Event::Memory {
                total_bytes,
                available_bytes,
            } => self.memory(total_bytes, available_bytes),
            Event::Open(open) => self.open(*open, now_ms),
            Event::Close { instance } => self.close(instance, now_ms),
            Event::Fetching { .. }
            | Event::Prepared { .. }
            | Event::Reserved { .. }
            | Event::WorkerStarted { .. }
            | Event::Progress { .. }
            | Event::WorkerReady { .. }
            | Event::WorkerFailed { .. }
            | Event::Stopped { .. } => self.worker_event(event),
        }
        self.settle(now_ms);
    }

    /// Brings everything derived up to date.
    pub(crate) fn settle(&mut self, now_ms: u64) {
        self.forget(now_ms);
        self.settle_rivals(now_ms);
        self.drop_ended_workers();
        self.refresh_own_record(now_ms);
        self.refuse_unaffordable();
        self.refresh_own_record(now_ms);
        self.observe(now_ms);
    }

    fn link_up(&mut self, node: NodeId, ends: LinkEnds, now_ms: u64) {
        if node == self.me.id || !self.room_for_peer(node) {
            return;
        }
        let owned = |id: &&InstanceId| self.instances[id].record.owner == self.me.id;
        let instances = self.instances.keys().filter(owned);
        let unsent = instances.map(|id| Unsent::Instance(*id));
        let unsent = unsent.chain([Unsent::Node]).collect();
        let peer = self.peers.entry(node).or_default();
        peer.link = Some(ends);
        peer.lost_ms = None;
        peer.unsent = unsent;
        for event in std::mem::take(&mut peer.early) {
            self.apply(event, now_ms);
        }
    }

    fn has_link(&self, node: NodeId) -> bool {
        self.peers
            .get(&node)
            .is_some_and(|peer| peer.link.is_some())
    }

    /// The two ends of a link come up at slightly different times, and what the other end sent first must not be lost.
    fn keep_early(&mut self, from: NodeId, event: Event) {
        if from != self.me.id && self.room_for_peer(from) {
            let early = &mut self.peers.entry(from).or_default().early;
            if early.len() < limits::EARLY_MAX {
                early.push(event);
            }
        }
    }

    fn link_down(&mut self, node: NodeId, now_ms: u64) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.link = None;
            peer.heard = false;
            peer.lost_ms = Some(now_ms);
            peer.ports.clear();
            peer.unsent.clear();
            peer.early.clear();
        }
    }

    /// Forgets everybody. What this node owns goes on with it alone; the others do the same with what is theirs.
    fn part(&mut self) {
        self.peers.clear();
        self.sightings.clear();
        self.rivals.clear();
        let me = self.me.id;
        self.instances
            .retain(|_, instance| instance.record.owner == me);
    }

    fn change(&mut self, name: String, memory_lent_bytes_max: Option<u64>) {
        let me = &mut self.me;
        if me.name != name || me.memory_lent_bytes_max != memory_lent_bytes_max {
            me.name = name;
            me.memory_lent_bytes_max = memory_lent_bytes_max;
            self.tell_own_record();
        }
    }

    /// Says something of this node from now on.
    fn say<T: PartialEq>(&mut self, field: fn(&mut NodeRecord) -> &mut T, word: T) {
        let said = field(&mut self.me);
        if *said != word {
            *said = word;
            self.tell_own_record();
        }
    }

    fn link_measured(&mut self, node: NodeId, round_trip_us: u32) {
        let peer = self.peers.get_mut(&node);
        if let Some(link) = peer.and_then(|peer| peer.link.as_mut()) {
            // Told only when it changed by more than a quarter: it is a hint for the planner and for people.
            let moved = link
                .round_trip_us
                .is_none_or(|old| old.abs_diff(round_trip_us) > old / 4);
            if moved {
                link.round_trip_us = Some(round_trip_us);
            }
        }
    }

    fn seen(&mut self, sighting: Sighting) {
        let known = self.sightings.contains_key(&sighting.node);
        if sighting.node != self.me.id && (known || self.sightings.len() < limits::NODES_MAX) {
            self.sightings.insert(sighting.node, sighting);
        }
    }

    fn node(&mut self, from: NodeId, mut record: NodeRecord) {
        let sound = record.shards.len() <= limits::SHARDS_MAX
            && record.owns.len() <= limits::INSTANCES_MAX + limits::CLOSED_MAX
            && record.links.len() <= limits::NODES_MAX
            && record.models.len() <= NodeRecord::MODELS_MAX;
        if from != record.id || from == self.me.id || !sound || !self.room_for_peer(from) {
            return;
        }
        record.owns.sort_unstable();
        let peer = self.peers.entry(from).or_default();
        let age = |record: &NodeRecord| (record.epoch_ms, record.version);
        let old = peer.record.as_ref().map(age);
        // After a lost link the same record again is news: it still holds.
        let news = old.is_none_or(|old| age(&record) > old || (!peer.heard && age(&record) == old));
        if !news {
            return;
        }
        peer.heard = true;
        remember_ports(peer, &record);
        peer.record = Some(record);
    }

    fn memory(&mut self, total_bytes: u64, available_bytes: u64) {
        self.measured_bytes = available_bytes;
        self.is_measure_old = false;
        let me = &mut self.me;
        let grain = total_bytes / limits::MEMORY_GRAIN;
        let moved = me.memory_available_bytes.abs_diff(available_bytes) > grain;
        if moved || me.memory_total_bytes != total_bytes {
            me.memory_total_bytes = total_bytes;
            me.memory_available_bytes = available_bytes;
            self.tell_own_record();
        }
    }

    fn open(&mut self, open: OpenInstance, now_ms: u64) {
        if self.instances.contains_key(&open.id) || self.is_full() {
            return;
        }
        let record = InstanceRecord {
            id: open.id,
            owner: self.me.id,
            generation: 0,
            version: 0,
            model: open.model,
            folder: open.folder,
            fingerprint: open.fingerprint,
            origin: open.origin.filter(HubRevision::names_a_commit),
            card: open.card,
            sharding: open.sharding,
            node_count: open.node_count,
            node_ids: open.node_ids,
            plan: None,
            phase: InstancePhase::Waiting(decide::not_placed_yet()),
            secret: open.secret,
            on_demand: open.on_demand,
            draft: open.draft,
        };
        self.write(record, Care::default(), now_ms);
    }

    /// Whoever closes it becomes its owner, so that every node needs to believe only its owner.
    fn close(&mut self, id: InstanceId, now_ms: u64) {
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let mut record = instance.record.clone();
        if record.phase == InstancePhase::Closed {
            return;
        }
        record.owner = self.me.id;
        record.version += 1;
        record.phase = InstancePhase::Closed;
        self.write(record, Care::default(), now_ms);
    }

    /// Makes room by forgetting the node that has been lost the longest.
    fn room_for_peer(&mut self, node: NodeId) -> bool {
        if self.peers.contains_key(&node) || self.peers.len() < limits::NODES_MAX {
            return true;
        }
        let lost = self.peers.iter().filter(|(_, peer)| peer.link.is_none());
        let oldest = lost.min_by_key(|(_, peer)| peer.lost_ms).map(|(id, _)| *id);
        oldest.is_some_and(|id| self.peers.remove(&id).is_some())
    }

    fn forget(&mut self, now_ms: u64) {
        let passed = |due_ms: Option<u64>| due_ms.is_some_and(|due_ms| now_ms >= due_ms);
        self.peers.retain(|_, peer| !passed(peer.forget_ms()));
        let gone: Vec<InstanceId> = self
            .instances
            .values()
            .filter(|instance| passed(forget_instance_ms(instance)))
            .map(|instance| instance.record.id)
            .collect();
        for id in gone {
            self.instances.remove(&id);
        }
        let closed = self
            .instances
            .values()
            .filter_map(|kept| Some((kept.closed_ms?, kept.record.id)));
        let mut closed: Vec<(u64, InstanceId)> = closed.collect();
        closed.sort_unstable();
        for (_, id) in closed.iter().rev().skip(limits::CLOSED_MAX) {
            self.instances.remove(id);
        }
        let (me, instances) = (self.me.id, &self.instances);
        let mine = |id: &InstanceId| {
            instances
                .get(id)
                .is_some_and(|kept| kept.record.owner == me)
        };
        for peer in self.peers.values_mut() {
            peer.unsent.retain(|item| match item {
                Unsent::Node => true,
                Unsent::Instance(id) => mine(id),
            });
        }
    }

    fn refresh_own_record(&mut self, now_ms: u64) {
        let shards: Vec<_> = self
            .workers
            .iter()
            .filter_map(|(key, worker)| worker.local_shard(*key))
            .collect();
        let links: Vec<_> = self
            .peers
            .iter()
            .filter_map(|(id, peer)| Some(peer.link?.link(*id)))
            .collect();
        let owned = self
            .instances
            .values()
            .filter(|instance| instance.record.owner == self.me.id);
        let owns: Vec<_> = owned.map(|instance| instance.record.id).collect();
        let quiet = now_ms.saturating_sub(self.told_ms) < limits::PROGRESS_INTERVAL_MS
            && only_progress(&self.me.shards, &shards);
        let me = &self.me;
        if (me.shards == shards || quiet) && me.links == links && me.owns == owns {
            return;
        }
        self.me.shards = shards;
        self.me.links = links;
        self.me.owns = owns;
        self.told_ms = now_ms;
        self.tell_own_record();
    }

    fn tell_own_record(&mut self) {
        self.me.version += 1;
        for peer in self.peers.values_mut().filter(|peer| peer.link.is_some()) {
            peer.unsent.insert(Unsent::Node);
        }
    }
}

/// As many of a node's models as it tells of.
fn told_of(mut models: Vec<Fingerprint>) -> Vec<Fingerprint> {
    models.sort_unstable();
    models.dedup();
    models.truncate(NodeRecord::MODELS_MAX);
    models
}

/// Whether two lists of shards differ in nothing but bytes fetched or read.
fn only_progress(old: &[LocalShard], new: &[LocalShard]) -> bool {
    let gets_on = |old: &ShardStatus, new: &ShardStatus| match (old, new) {
        // How much is missing is news when it is found out.
        (
            ShardStatus::Fetching { bytes_total: 0, .. },
            ShardStatus::Fetching { bytes_total, .. },
        ) => *bytes_total == 0,
        (ShardStatus::Fetching { .. }, ShardStatus::Fetching { .. })
        | (ShardStatus::Loading { .. }, ShardStatus::Loading { .. }) => true,
        _ => old == new,
    };
    let same = |(old, new): (&LocalShard, &LocalShard)| {
        ShardKey::of(old) == ShardKey::of(new) && gets_on(&old.status, &new.status)
    };
    old.len() == new.len() && old.iter().zip(new).all(same)
}

fn remember_ports(peer: &mut Peer, record: &NodeRecord) {
    let reported = |key: &ShardKey| {
        record
            .shards
            .iter()
            .any(|shard| ShardKey::of(shard) == *key)
    };
    peer.ports.retain(|key, _| reported(key));
    for shard in &record.shards {
        if let ShardStatus::Reserved {
            ring_port,
            plan_port,
        } = shard.status
        {
            let ports = Ports {
                ring: ring_port,
                plan: plan_port,
            };
            peer.ports.insert(ShardKey::of(shard), ports);
        }
    }
}

/// When an instance is forgotten, as things are: some time after its close, or when nobody who could has taken it
/// over (this node would have, if it were its turn).
pub(crate) fn forget_instance_ms(instance: &Instance) -> Option<u64> {
    match instance.closed_ms {
        Some(closed_ms) => Some(closed_ms + limits::CLOSED_MS),
        None => instance
            .ownerless_ms
            .map(|since_ms| since_ms + limits::ORPHAN_MS),
    }
}
