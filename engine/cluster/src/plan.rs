//! What this node should do next, and handing it out once.

use base::{InstancePhase, NodeId, ShardPlan, ShardSpec, ShardStatus};

use crate::apply;
use crate::decide::{self, Next};
use crate::state::{Instance, Peer, Stage, State, Unsent, Worker};
use crate::{Action, PrepareShard, Record, ShardKey, StartShard, placement};

/// One decision leads to at most a few more (taken over, placed, refused, given up) and every turn starts at most one
/// worker. More turns than this would be a defect; what is left then waits for the next event.
const TURNS_MAX: usize = 64;

impl State {
    /// Decides what is due, and gives out what is to be done. Call it after every event and when `next_deadline` has
    /// passed; with nothing new it gives nothing.
    pub fn advance(&mut self, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        for _ in 0..TURNS_MAX {
            self.settle(now_ms);
            let rulings = self.rulings(now_ms);
            let decided = !rulings.is_empty();
            for ruling in rulings {
                self.write_ruling(ruling, now_ms);
            }
            self.settle(now_ms);
            let more = plan(self);
            if !decided && more.is_empty() {
                break;
            }
            for action in &more {
                self.note(action);
            }
            actions.extend(more);
        }
        actions
    }

    /// When `advance` would do something new though nothing happened. In the clock of `apply`.
    pub fn next_deadline(&self, now_ms: u64) -> Option<u64> {
        let next = |instance: &Instance| match decide::next(self, instance, now_ms) {
            Next::Now(_) => Some(now_ms),
            Next::At(at_ms) => Some(at_ms),
            Next::Never => None,
        };
        let decisions = self.instances.values().filter_map(next);
        let instances = self.instances.values();
        let forgotten = instances.filter_map(apply::forget_instance_ms);
        let lost = self.peers.values().filter_map(Peer::forget_ms);
        decisions.chain(forgotten).chain(lost).min()
    }

    fn rulings(&self, now_ms: u64) -> Vec<decide::Ruling> {
        let ruling = |instance: &Instance| match decide::next(self, instance, now_ms) {
            Next::Now(ruling) => Some(*ruling),
            Next::At(_) | Next::Never => None,
        };
        self.instances.values().filter_map(ruling).collect()
    }

    fn write_ruling(&mut self, ruling: decide::Ruling, now_ms: u64) {
        match ruling.record {
            Some(record) => self.write(record, ruling.care, now_ms),
            None => {
                if let Some(instance) = self.instances.get_mut(&ruling.instance) {
                    instance.care = ruling.care;
                }
            }
        }
    }

    /// Remembers that an action was given out.
    fn note(&mut self, action: &Action) {
        match action {
            Action::Send { to, record } => {
                let unsent = match record {
                    Record::Node(_) => Unsent::Node,
                    Record::Instance(record) => Unsent::Instance(record.id),
                };
                if let Some(peer) = self.peers.get_mut(to) {
                    peer.unsent.remove(&unsent);
                }
            }
            Action::Prepare(prepare) => {
                let (shard, rank) = (prepare.shard, prepare.spec.rank);
                let instance = self.instances.get(&shard.instance);
                let plan = instance.and_then(|instance| instance.record.plan.as_ref());
                let planned = plan.and_then(|plan| plan.shards.get(rank as usize));
                let worker = Worker {
                    rank,
                    bytes: planned.map_or(0, |planned| planned.bytes),
                    stage: Stage::Preparing {
                        bytes_done: 0,
                        bytes_total: 0,
                    },
                };
                self.workers.insert(shard, worker);
            }
            Action::Reserve { shard, .. } => {
                if let Some(worker) = self.workers.get_mut(shard) {
                    worker.stage = Stage::Reserving;
                }
            }
            Action::Start(start) => {
                if let Some(worker) = self.workers.get_mut(&start.shard)
                    && let Stage::Reserved(ports) = worker.stage
                {
                    worker.stage = Stage::Starting(ports);
                }
            }
            Action::Stop { shard } => {
                if let Some(worker) = self.workers.get_mut(shard) {
                    worker.stage = Stage::Stopping;
                }
            }
        }
    }
}

/// What should be done now. Pure; `advance` calls it and remembers what was given out.
fn plan(state: &State) -> Vec<Action> {
    let mut actions = Vec::new();
    for (key, worker) in &state.workers {
        let ended = matches!(worker.stage, Stage::Stopping | Stage::Failed(_));
        if !ended && !state.is_wanted(*key) {
            actions.push(Action::Stop { shard: *key });
        }
    }
    let mut starts = 0;
    for instance in state.instances.values() {
        if let (Some((key, rank)), Some(plan)) =
            (state.wanted_here(instance), &instance.record.plan)
            && let Some(step) = next_step(state, instance, plan, key, rank)
        {
            let start = matches!(step, Action::Start(_));
            if !start || starts == 0 {
                actions.push(step);
            }
            starts += u32::from(start);
        }
    }
    for (node, peer) in &state.peers {
        // Stopping a worker changes this node's record only once it has stopped, so what is sent now is final.
        actions.extend(
            peer.unsent
                .iter()
                .filter_map(|item| send(state, *node, *item)),
        );
    }
    actions
}

fn next_step(
    state: &State,
    instance: &Instance,
    plan: &ShardPlan,
    key: ShardKey,
    rank: u32,
) -> Option<Action> {
    let Some(worker) = state.workers.get(&key) else {
        // What is fetched for a plan that its links do not allow would be fetched for nothing.
        let may_begin = state.is_alone(key) && state.own_addresses(plan, rank).is_some();
        return may_begin.then(|| prepare(instance, plan, key, rank));
    };
    if worker.stage == Stage::Prepared {
        let own = state.own_addresses(plan, rank)?;
        return Some(Action::Reserve {
            shard: key,
            rank,
            ring_ip: own.ring,
            plan_ip: own.plan,
        });
    }
    if worker.bytes > state.unpromised_bytes() || !state.is_turn_to_start(key) {
        return None;
    }
    let addresses = state.addresses(plan, rank, key)?;
    let shard = &plan.shards[rank as usize];
    let record = &instance.record;
    Some(Action::Start(Box::new(StartShard {
        shard: key,
        model: record.model.clone(),
        folder: record.folder.clone(),
        fingerprint: record.fingerprint,
        origin: record.origin.clone(),
        rank,
        world: plan.world(),
        sharding: plan.sharding,
        layers: shard.layers.clone(),
        tensor: shard.tensor,
        quantize: record.card.quantize,
        kv_bits: record.card.kv_bits,
        ring: addresses.ring,
        plan_address: addresses.plan,
        secret: record.secret,
        memory_bytes: shard.bytes,
        cache_tokens: placement::planned_cache_tokens(&record.card, plan),
        sequences_max: placement::sequences_max(&record.card),
        draft: record.draft.clone().filter(|_| rank == 0),
    })))
}

fn prepare(instance: &Instance, plan: &ShardPlan, key: ShardKey, rank: u32) -> Action {
    let shard = &plan.shards[rank as usize];
    let record = &instance.record;
    Action::Prepare(Box::new(PrepareShard {
        shard: key,
        model: record.model.clone(),
        folder: record.folder.clone(),
        fingerprint: record.fingerprint,
        origin: record.origin.clone(),
        spec: ShardSpec {
            rank,
            world: plan.world(),
            sharding: plan.sharding,
            layers: shard.layers.clone(),
            tensor: shard.tensor,
            quantize: record.card.quantize,
            kv_bits: record.card.kv_bits,
        },
    }))
}

/// Ranks start together: one that waits in the ring for a rank that has no ports yet would only time out.
pub(crate) fn all_ranks_reserved(state: &State, plan: &ShardPlan, key: ShardKey) -> bool {
    plan.shards.iter().zip(0..).all(|(shard, rank)| {
        match state.shard_status(shard.node, key, rank) {
            Some(
                ShardStatus::Reserved { .. } | ShardStatus::Loading { .. } | ShardStatus::Ready,
            ) => true,
            Some(ShardStatus::Fetching { .. } | ShardStatus::Failed(_)) | None => false,
        }
    })
}

fn send(state: &State, to: NodeId, item: Unsent) -> Option<Action> {
    let record = match item {
        Unsent::Node => Record::Node(Box::new(state.me.clone())),
        Unsent::Instance(id) => {
            let instance = state.instances.get(&id)?;
            let mine = instance.record.owner == state.me.id;
            // One that waits only because it was opened in this very moment has nothing to say yet.
            let said = instance.record.generation > 0
                || instance.record.phase != InstancePhase::Waiting(decide::not_placed_yet());
            if !mine || !said {
                return None;
            }
            Record::Instance(Box::new(instance.record.clone()))
        }
    };
    Some(Action::Send { to, record })
}
