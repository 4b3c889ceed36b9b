//! Which of two records of an instance counts, and keeping those that do.

use base::{InstancePhase, InstanceRecord, NodeId, ShardPlan};

use crate::state::{Care, Instance, State, Unsent, Watched};
use crate::{limits, secret};

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
        let newer = match self.instances.get(&record.id) {
            Some(known) => precedence(&record) > precedence(&known.record),
            None => self.instances.len() < limits::INSTANCES_MAX,
        };
        if newer {
            self.keep(record, Care::default(), now_ms);
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

    fn keep(&mut self, record: InstanceRecord, mut care: Care, now_ms: u64) {
        let plan_tag = secret::plan_tag(&record.secret);
        let known = self.instances.get(&record.id);
        let same_plan = known.is_some_and(|known| {
            known.plan_tag == plan_tag && known.record.generation == record.generation
        });
        if !same_plan || care.ranks.is_empty() {
            let world = record.plan.as_ref().map_or(0, ShardPlan::world);
            let unheard = Watched {
                status: None,
                seen: false,
                since_ms: now_ms,
            };
            care.ranks = vec![unheard; world as usize];
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
        self.instances.insert(instance.record.id, instance);
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
