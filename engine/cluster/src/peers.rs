//! What this node knows of the others: who can take part, what they lend, how far their shards are.

use base::{
    ErrorCode, Fingerprint, InstanceId, InstancePhase, NodeId, NodeRecord, Shard, ShardStatus,
};

use crate::event::Wish;
use crate::placement::{Candidate, NodeCount, Pair, Problem, bandwidth_or_guess, cache_tokens};
use crate::state::{Care, Instance, State};
use crate::{ShardKey, limits, placement};

impl State {
    /// The problem of placing a model now, for this node's own questions (`espalier plan`, a preview).
    pub fn problem(&self, wish: &Wish) -> Problem {
        self.problem_without(wish, &[])
    }

    /// The same if these instances were closed.
    pub(crate) fn problem_without(&self, wish: &Wish, closed: &[InstanceId]) -> Problem {
        let nodes = match (wish.node_count, wish.node_ids.len() as u32) {
            (None, 0) => NodeCount::Any,
            (Some(count), 0) => NodeCount::Exactly(count),
            (_, named) => NodeCount::Exactly(named),
        };
        let candidate = |record: &NodeRecord| self.candidate(record, wish.fingerprint, closed);
        Problem {
            card: wish.card.clone(),
            cache_tokens: cache_tokens(&wish.card),
            sharding: wish.sharding,
            nodes,
            node_ids: wish.node_ids.clone(),
            opener: self.me.id,
            copies: self.holders(wish.fingerprint, closed),
            candidates: self.live_records().map(candidate).collect(),
            links: self.pairs(),
        }
    }

    /// The problem of placing an instance that this node owns. Once it has run it takes fewer nodes than were asked
    /// for rather than none.
    pub(crate) fn problem_of(&self, instance: &Instance, care: &Care) -> Problem {
        let record = &instance.record;
        let wish = Wish {
            card: record.card.clone(),
            fingerprint: record.fingerprint,
            sharding: record.sharding,
            node_count: record.node_count,
            node_ids: record.node_ids.clone(),
        };
        let itself = [record.id];
        let fresh = self.problem_without(&wish, &itself);
        let nodes = match fresh.nodes {
            NodeCount::Exactly(count) if record.generation > 0 => NodeCount::Wanted(count),
            count @ (NodeCount::Any | NodeCount::Exactly(_) | NodeCount::Wanted(_)) => count,
        };
        let usable = |other: &Candidate| {
            self.live_record(other.node)
                .is_some_and(|it| !is_excluded(care, it))
        };
        let holds_a_part = |other: &Candidate| {
            let plan = record.plan.as_ref();
            plan.is_some_and(|plan| plan.rank_of(other.node).is_some())
        };
        let mut candidates = fresh.candidates;
        candidates.retain(usable);
        for candidate in &mut candidates {
            candidate.has_model |= holds_a_part(candidate);
        }
        Problem {
            nodes,
            candidates,
            ..fresh
        }
    }

    /// The record of a node that can be worked with: this one, or one that is linked and has spoken since.
    pub(crate) fn live_record(&self, node: NodeId) -> Option<&NodeRecord> {
        if node == self.me.id {
            return Some(&self.me);
        }
        self.peers.get(&node)?.live_record()
    }

    pub(crate) fn is_live(&self, node: NodeId) -> bool {
        self.live_record(node).is_some()
    }

    /// This node first, then the others by id.
    pub(crate) fn live_records(&self) -> impl Iterator<Item = &NodeRecord> {
        let others = self.peers.values().filter_map(|peer| peer.live_record());
        std::iter::once(&self.me).chain(others)
    }

    /// What a node says of a shard.
    pub(crate) fn shard_status(
        &self,
        node: NodeId,
        key: ShardKey,
        rank: u32,
    ) -> Option<&ShardStatus> {
        let shards = &self.live_record(node)?.shards;
        let shard = shards
            .iter()
            .find(|shard| ShardKey::of(shard) == key && shard.rank == rank)?;
        Some(&shard.status)
    }

    /// Whether a node has a session with another, as far as this node can know.
    pub(crate) fn claims_link(&self, node: NodeId, other: NodeId) -> bool {
        let names = |record: &NodeRecord| record.links.iter().any(|link| link.node == other);
        self.live_record(node).is_some_and(names)
    }

    /// Pairs of live nodes that are linked: this node's own links, and those that both ends name.
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        let records: Vec<&NodeRecord> = self.live_records().collect();
        let mut pairs = Vec::new();
        for (index, a) in records.iter().enumerate() {
            for b in &records[index + 1..] {
                let Some(link) = a.links.iter().find(|link| link.node == b.id) else {
                    continue;
                };
                if a.id == self.me.id || self.claims_link(b.id, a.id) {
                    pairs.push(Pair {
                        a: a.id,
                        b: b.id,
                        round_trip_us: link.round_trip_us,
                    });
                }
            }
        }
        pairs
    }

    /// The nodes of all plans in force for a model, but for those of some instances.
    fn holders(&self, fingerprint: Fingerprint, without: &[InstanceId]) -> Vec<NodeId> {
        let same = self.instances.values().filter(|instance| {
            let record = &instance.record;
            record.fingerprint == fingerprint
                && record.phase == InstancePhase::Placed
                && !without.contains(&record.id)
        });
        let plans = same.filter_map(|instance| instance.record.plan.as_ref());
        plans
            .flat_map(|plan| plan.shards.iter().map(|shard| shard.node))
            .collect()
    }

    fn candidate(
        &self,
        record: &NodeRecord,
        fingerprint: Fingerprint,
        closed: &[InstanceId],
    ) -> Candidate {
        Candidate {
            node: record.id,
            memory_bytes: self.lendable_bytes(record, closed),
            memory_total_bytes: record.memory_total_bytes,
            bandwidth_bytes_per_s: bandwidth_or_guess(record),
            has_model: record.models.contains(&fingerprint),
        }
    }

    /// What a node says it lends, less what is promised to shards that do not hold it yet, and with what instances
    /// give back that are closed, or placed anew.
    fn lendable_bytes(&self, record: &NodeRecord, closed: &[InstanceId]) -> u64 {
        let mut lendable = record.memory_available_bytes;
        for instance in self.instances.values() {
            if instance.record.phase != InstancePhase::Placed {
                continue;
            }
            let Some((rank, shard)) = shard_on(instance, record.id) else {
                continue;
            };
            let status = self.shard_status(record.id, instance.shard_key(), rank);
            if closed.contains(&instance.record.id) {
                lendable += held_bytes(instance, shard, status);
            } else {
                let held = match status {
                    // Measured by the node, its cache not yet filled but allowed for by what it keeps back.
                    Some(ShardStatus::Ready) => shard.bytes,
                    Some(ShardStatus::Loading { bytes_done, .. }) => *bytes_done,
                    Some(
                        ShardStatus::Fetching { .. }
                        | ShardStatus::Reserved { .. }
                        | ShardStatus::Failed(_),
                    )
                    | None => 0,
                };
                lendable = lendable.saturating_sub(shard.bytes.saturating_sub(held));
            }
        }
        lendable
            .min(record.memory_total_bytes)
            .min(self.left_of_limit(record, closed))
    }

    /// What a node's own limit leaves, if it has one, when every shard placed there takes all that it was promised
    /// but for those of closed instances.
    pub(crate) fn left_of_limit(&self, record: &NodeRecord, closed: &[InstanceId]) -> u64 {
        let Some(limit_bytes) = record.memory_lent_bytes_max else {
            return u64::MAX;
        };
        let others = self.instances.values().filter(|instance| {
            instance.record.phase == InstancePhase::Placed && !closed.contains(&instance.record.id)
        });
        let promised_bytes: u64 = others
            .filter_map(|instance| shard_on(instance, record.id))
            .map(|(_, shard)| shard.bytes)
            .sum();
        limit_bytes.saturating_sub(promised_bytes)
    }

    /// The owner of a record as far as it still is: linked here and owning it by its own word, or, if it is not
    /// linked here, at least linked with someone who is.
    pub(crate) fn has_owner(&self, id: InstanceId, owner: NodeId) -> bool {
        if owner == self.me.id {
            return true;
        }
        match self.live_record(owner) {
            Some(record) => record.owns.binary_search(&id).is_ok(),
            None => {
                // Linked and about to speak: it is coming, not gone.
                self.peers
                    .get(&owner)
                    .is_some_and(|peer| peer.link.is_some())
                    || self.peers.keys().any(|peer| self.claims_link(*peer, owner))
            }
        }
    }
}

fn shard_on(instance: &Instance, node: NodeId) -> Option<(u32, &Shard)> {
    let plan = instance.record.plan.as_ref()?;
    let rank = plan.rank_of(node)?;
    Some((rank, &plan.shards[rank as usize]))
}

/// What a running shard gives back when it is stopped. Only weights count: its cache may never have been filled.
fn held_bytes(instance: &Instance, shard: &Shard, status: Option<&ShardStatus>) -> u64 {
    match status {
        Some(ShardStatus::Ready) => placement::held_weights_bytes(&instance.record.card, shard),
        Some(ShardStatus::Loading { bytes_done, .. }) => *bytes_done,
        Some(
            ShardStatus::Fetching { .. } | ShardStatus::Reserved { .. } | ShardStatus::Failed(_),
        )
        | None => 0,
    }
}

/// Whether a node is left out for what it failed, until it restarts or, if memory was short, has clearly more.
pub(crate) fn is_excluded(care: &Care, record: &NodeRecord) -> bool {
    care.strikes.get(&record.id).is_some_and(|strikes| {
        let relief = record.memory_total_bytes / limits::MEMORY_RELIEF;
        let relieved = strikes.last.code == ErrorCode::NotEnoughMemory
            && record.memory_available_bytes > strikes.available_bytes.saturating_add(relief);
        strikes.epoch_ms == record.epoch_ms && strikes.count >= limits::STRIKES_MAX && !relieved
    })
}
