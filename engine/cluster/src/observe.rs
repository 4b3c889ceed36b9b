//! What only time tells: since when a rank says the same, an instance is ready, an owner is gone.

use base::{InstanceId, InstancePhase, ShardStatus};

use crate::state::State;

impl State {
    pub(crate) fn observe(&mut self, now_ms: u64) {
        let ids: Vec<InstanceId> = self.instances.keys().copied().collect();
        for id in ids {
            self.observe_owner(id, now_ms);
            self.observe_ranks(id, now_ms);
            self.observe_memory(id);
        }
    }

    fn observe_owner(&mut self, id: InstanceId, now_ms: u64) {
        let owned = self.has_owner(id, self.instances[&id].record.owner);
        if let Some(instance) = self.instances.get_mut(&id) {
            instance.ownerless_ms = match instance.ownerless_ms {
                _ if owned || instance.closed_ms.is_some() => None,
                Some(since_ms) => Some(since_ms),
                None => Some(now_ms),
            };
        }
    }

    /// A node that ran out of memory is asked again when it lends clearly more than the least it lent since.
    fn observe_memory(&mut self, id: InstanceId) {
        let Some(mut strikes) = self
            .instances
            .get_mut(&id)
            .map(|instance| std::mem::take(&mut instance.care.strikes))
        else {
            return;
        };
        for (node, held) in &mut strikes {
            if let Some(record) = self.live_record(*node) {
                held.available_bytes = held.available_bytes.min(record.memory_available_bytes);
            }
        }
        if let Some(instance) = self.instances.get_mut(&id) {
            instance.care.strikes = strikes;
        }
    }

    /// Every node watches every instance: who takes one over then knows already how long a rank has been silent.
    fn observe_ranks(&mut self, id: InstanceId, now_ms: u64) {
        let instance = &self.instances[&id];
        let statuses: Vec<Option<ShardStatus>> = match &instance.record.plan {
            Some(plan) if instance.record.phase == InstancePhase::Placed => {
                let key = instance.shard_key();
                let ranks = plan.shards.iter().zip(0..);
                ranks
                    .map(|(shard, rank)| self.shard_status(shard.node, key, rank).cloned())
                    .collect()
            }
            Some(_) | None => return,
        };
        let all = |test: fn(&ShardStatus) -> bool| {
            let mut each = statuses.iter();
            each.all(|status| status.as_ref().is_some_and(test))
        };
        let ready = all(|status| matches!(status, ShardStatus::Ready));
        let reserved = all(has_had_ports);
        let Some(instance) = self.instances.get_mut(&id) else {
            return;
        };
        let care = &mut instance.care;
        for (watched, status) in care.ranks.iter_mut().zip(statuses) {
            if watched.status != status {
                watched.seen |= status.as_ref().is_some_and(has_had_ports);
                watched.status = status;
                watched.since_ms = now_ms;
            }
        }
        care.reserved_ms = care.reserved_ms.or(reserved.then_some(now_ms));
        care.ready_ms = care.ready_ms.or(ready.then_some(now_ms));
    }
}

/// Whether a rank has its ports, or had them.
fn has_had_ports(status: &ShardStatus) -> bool {
    match status {
        ShardStatus::Fetching { .. } => false,
        ShardStatus::Reserved { .. }
        | ShardStatus::Loading { .. }
        | ShardStatus::Ready
        | ShardStatus::Failed(_) => true,
    }
}
