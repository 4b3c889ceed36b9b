//! Which of two records of an instance counts, and keeping those that do.

use base::{InstancePhase, InstanceRecord, NodeId, ShardPlan};

use crate::state::{Care, Instance, State, Unsent, Watched};
use crate::{decide, limits, secret};

/// Orders the records of one instance; the greatest counts, on every node. A close is final. A later plan beats an
/// earlier one. What is left are two owners after a partition: who said more, then the greater id.
fn precedence(record: &InstanceRecord) -> (bool, u32, u64, NodeId) {
    let closed = record.phase == InstancePhase::Closed;
    (closed, record.generation, record.version, record.owner)
}

impl State {
    /// A record came in. Only its owner may send it, and only after its own record.
    pub(crate) fn adopt(&mut self, from: NodeId, record: InstanceRecord, now_ms: u64) {
        let heard = self.peers.get(&from).is_some_and(|peer| peer.heard);
        if from == self.me.id || from != record.owner || !heard || !is_sound(&record) {
            return;
        }
        let key = (record.id, from);
        self.rivals.remove(&key);
        match self.instances.get(&record.id) {
            Some(known) if precedence(&record) <= precedence(&known.record) => {
                if known.record.owner != from && self.rivals.len() < limits::INSTANCES_MAX {
                    self.rivals.insert(key, record);
                }
            }
            None if self.is_full() => {}
            Some(_) | None => self.keep(record, Care::default(), now_ms),
        }
    }

    /// Records that did not count may have to, once the one that did has lost its owner: its close must still reach
    /// everyone, and a plan that nobody can take over must not hide one that runs.
    pub(crate) fn settle_rivals(&mut self, now_ms: u64) {
        let mut rivals = std::mem::take(&mut self.rivals);
        rivals.retain(|(id, owner), _| self.is_live(*owner) && self.has_owner(*id, *owner));
        for ((id, owner), rival) in rivals {
            let Some(known) = self.instances.get(&id) else {
                self.keep(rival, Care::default(), now_ms);
                continue;
            };
            if self.has_owner(id, known.record.owner) {
                self.rivals.insert((id, owner), rival);
            } else if known.closed_ms.is_some() {
                let mut record = known.record.clone();
                record.owner = self.me.id;
                record.version += 1;
                self.write(record, Care::default(), now_ms);
                self.rivals.insert((id, owner), rival);
            } else if decide::successors(self, known).next().is_none() {
                self.keep(rival, Care::default(), now_ms);
            } else {
                self.rivals.insert((id, owner), rival);
            }
        }
    }

    /// This node says something about an instance it owns, or makes its own by saying it.
    pub(crate) fn write(&mut self, record: InstanceRecord, care: Care, now_ms: u64) {
        let id = record.id;
        self.keep(record, care, now_ms);
        for peer in self.peers.values_mut().filter(|peer| peer.link.is_some()) {
            peer.unsent.insert(Unsent::Instance(id));
        }
    }

    /// Whether there is no room for a further instance.
    pub(crate) fn is_full(&self) -> bool {
        let open = self
            .instances
            .values()
            .filter(|kept| kept.closed_ms.is_none());
        open.count() >= limits::INSTANCES_MAX
    }

    fn keep(&mut self, record: InstanceRecord, mut care: Care, now_ms: u64) {
        let plan_tag = secret::plan_tag(&record.secret);
        let known = self.instances.get(&record.id);
        let same_plan = known.is_some_and(|known| {
            known.plan_tag == plan_tag && known.record.generation == record.generation
        });
        if let Some(known) = known.filter(|_| same_plan) {
            // Whoever owns it, what was seen of the ranks stays true.
            care.ranks.clone_from(&known.care.ranks);
            care.reserved_ms = known.care.reserved_ms;
            care.ready_ms = known.care.ready_ms;
        } else {
            let world = record.plan.as_ref().map_or(0, ShardPlan::world);
            let unheard = Watched {
                status: None,
                seen: false,
                since_ms: now_ms,
            };
            care.ranks = vec![unheard; world as usize];
            care.reserved_ms = None;
            care.ready_ms = None;
        }
        let closed_ms = (record.phase == InstancePhase::Closed).then_some(now_ms);
        let instance = Instance {
            plan_tag,
            ownerless_ms: None,
            closed_ms,
            care,
            record,
        };
        let (id, owner) = (instance.record.id, instance.record.owner);
        let replaced = self.instances.insert(id, instance);
        if let Some(old) = replaced.filter(|old| old.record.owner != owner)
            && old.record.owner != self.me.id
            && self.rivals.len() < limits::INSTANCES_MAX
        {
            self.rivals.insert((id, old.record.owner), old.record);
        }
    }
}

/// Whether a record from outside can be reasoned about at all. Its numbers were checked where it was parsed.
fn is_sound(record: &InstanceRecord) -> bool {
    let layers = record.card.layer_count();
    match &record.plan {
        None => record.phase != InstancePhase::Placed,
        Some(plan) => {
            let once = |shard: &base::Shard| {
                plan.shards
                    .iter()
                    .filter(|other| other.node == shard.node)
                    .count()
                    == 1
            };
            let sound = |shard: &base::Shard| {
                shard.layers.start < shard.layers.end
                    && shard.layers.end <= layers
                    && shard.tensor.index < shard.tensor.of
                    && once(shard)
            };
            !plan.shards.is_empty()
                && plan.shards.len() <= limits::NODES_MAX
                && plan.shards.iter().all(sound)
        }
    }
}
