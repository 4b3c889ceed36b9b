//! Memory of this node as promised to its own shards.
//!
//! Two owners may plan on the same memory before they hear of each other. The node itself has the last word: it
//! starts a worker only if what it lends now, less what workers that still load have yet to take, is enough.

use base::{ErrorCode, Failure, ShardStatus};

use crate::ShardKey;
use crate::plan::all_ranks_reserved;
use crate::state::{Stage, State};

impl State {
    /// Whether a reserved shard could start as far as others are concerned: all ranks have their ports, and no worker
    /// of an earlier plan of the instance is left here, which would still hold its memory.
    pub(crate) fn is_turn_to_start(&self, key: ShardKey) -> bool {
        let reserved = self
            .workers
            .get(&key)
            .is_some_and(|worker| matches!(worker.stage, Stage::Reserved(_)));
        let instance = self.instances.get(&key.instance);
        let plan = instance.and_then(|instance| instance.record.plan.as_ref());
        reserved
            && self.is_alone(key)
            && plan.is_some_and(|plan| all_ranks_reserved(self, plan, key))
    }

    /// Whether nothing is left here of other plans of the instance.
    pub(crate) fn is_alone(&self, key: ShardKey) -> bool {
        let mut others = self.workers.keys().filter(|other| **other != key);
        others.all(|other| other.instance != key.instance)
    }

    /// Bytes that a further worker may take now.
    pub(crate) fn unpromised_bytes(&self) -> u64 {
        let yet_to_take = self.workers.values().map(|worker| match worker.status() {
            Some(ShardStatus::Reserved { .. }) if !matches!(worker.stage, Stage::Reserved(_)) => {
                worker.bytes
            }
            Some(ShardStatus::Loading { bytes_done, .. }) => {
                worker.bytes.saturating_sub(bytes_done)
            }
            Some(
                ShardStatus::Fetching { .. }
                | ShardStatus::Reserved { .. }
                | ShardStatus::Ready
                | ShardStatus::Failed(_),
            )
            | None => 0,
        });
        let free_bytes = self.measured_bytes.saturating_sub(yet_to_take.sum());
        match self.me.memory_lent_bytes_max {
            Some(limit_bytes) => free_bytes.min(limit_bytes.saturating_sub(self.lent_bytes())),
            None => free_bytes,
        }
    }

    /// Bytes promised to the workers that run here.
    fn lent_bytes(&self) -> u64 {
        let running = self.workers.values().filter(|worker| match worker.stage {
            Stage::Starting(_) | Stage::Loading { .. } | Stage::Ready | Stage::Stopping => true,
            Stage::Preparing { .. }
            | Stage::Prepared
            | Stage::Reserving
            | Stage::Reserved(_)
            | Stage::Failed(_)
            | Stage::Refused(_) => false,
        });
        running.map(|worker| worker.bytes).sum()
    }

    /// Fails the shards that no memory is left for. While a worker is still being stopped, or what one that ended gave
    /// back has not been measured, there may yet be some.
    pub(crate) fn refuse_unaffordable(&mut self) {
        if self.is_measure_old || self.workers.keys().any(|key| !self.is_wanted(*key)) {
            return;
        }
        let unpromised_bytes = self.unpromised_bytes();
        let refused: Vec<ShardKey> = self
            .workers
            .iter()
            .filter(|(key, worker)| worker.bytes > unpromised_bytes && self.is_turn_to_start(**key))
            .map(|(key, _)| *key)
            .collect();
        for key in refused {
            if let Some(worker) = self.workers.get_mut(&key) {
                let failure = Failure::new(
                    ErrorCode::NotEnoughMemory,
                    format!(
                        "the shard needs {} MB, and {} MB are left",
                        worker.bytes / 1_000_000,
                        unpromised_bytes / 1_000_000
                    ),
                );
                let hint = "close other instances or programs on that node, or add a node";
                worker.stage = Stage::Refused(failure.hint(hint));
            }
        }
    }
}
