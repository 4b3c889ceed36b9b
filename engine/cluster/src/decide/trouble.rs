//! Whether a placed instance runs as planned, and whose fault it is if not.

use base::{ErrorCode, Failure, NodeId, ShardPlan, ShardStatus};

use crate::limits;
use crate::state::{Care, Instance, State, Strikes, Watched};

/// What is wrong with a plan.
pub(crate) enum Trouble {
    None,
    /// Nothing yet; look again then.
    Perhaps {
        at_ms: u64,
    },
    /// A node of the plan is gone, which is nobody's failure.
    NodeLost,
    Failed(Failed),
}

/// A plan that failed by itself.
pub(crate) struct Failed {
    pub(crate) at_ms: u64,
    /// What to tell the user.
    pub(crate) failure: Failure,
    /// Nodes that failed for a reason of their own.
    pub(crate) at_fault: Vec<(NodeId, Failure)>,
}

/// One rank's trouble.
struct RankFailure {
    node: NodeId,
    at_ms: u64,
    failure: Failure,
    /// Not only a consequence of another rank's end.
    own: bool,
}

enum RankState {
    Fine,
    FineUntil(u64),
    Failed(RankFailure),
}

pub(crate) fn find(state: &State, instance: &Instance, now_ms: u64) -> Trouble {
    let Some(plan) = &instance.record.plan else {
        return Trouble::None;
    };
    if !plan.shards.iter().all(|shard| state.is_live(shard.node)) {
        return Trouble::NodeLost;
    }
    let mut failures = Vec::new();
    let mut look_again_ms: Option<u64> = None;
    for (shard, watched) in plan.shards.iter().zip(&instance.care.ranks) {
        match rank_state(shard.node, watched, instance.care.reserved_ms, now_ms) {
            RankState::Fine => {}
            RankState::FineUntil(at_ms) => {
                look_again_ms = Some(look_again_ms.map_or(at_ms, |earlier| earlier.min(at_ms)));
            }
            RankState::Failed(failure) => failures.push(failure),
        }
    }
    let Some(at_ms) = failures.iter().map(|failure| failure.at_ms).min() else {
        return look_again_ms.map_or(Trouble::None, |at_ms| Trouble::Perhaps { at_ms });
    };
    let explained = failures.iter().any(|failure| failure.own);
    let patience_ms = at_ms + limits::LOST_GROUP_PATIENCE_MS;
    if !explained && failures.len() < plan.shards.len() && now_ms < patience_ms {
        return Trouble::Perhaps { at_ms: patience_ms };
    }
    Trouble::Failed(summary(state, plan, failures, at_ms))
}

/// How a rank is, where all ranks have their ports since `reserved_ms`.
fn rank_state(node: NodeId, watched: &Watched, reserved_ms: Option<u64>, now_ms: u64) -> RankState {
    let failed = |failure: Failure, at_ms: u64, own: bool| {
        RankState::Failed(RankFailure {
            node,
            at_ms,
            failure,
            own,
        })
    };
    let limited = |since_ms: u64, limit_ms: u64, what: &str, own: bool| {
        let until_ms = since_ms + limit_ms;
        if now_ms < until_ms {
            return RankState::FineUntil(until_ms);
        }
        let seconds = limit_ms / 1_000;
        let failure = Failure::new(ErrorCode::TimedOut, format!("{what} within {seconds} s"));
        failed(failure, until_ms, own)
    };
    match &watched.status {
        Some(ShardStatus::Fetching { bytes_total: 0, .. }) => limited(
            watched.since_ms,
            limits::LOOK_LIMIT_MS,
            "the node did not find out which files it lacks",
            true,
        ),
        Some(ShardStatus::Fetching { .. } | ShardStatus::Ready) => RankState::Fine,
        Some(ShardStatus::Failed(failure)) => {
            let own = failure.code != ErrorCode::WorkerLost;
            failed(failure.clone(), watched.since_ms, own)
        }
        None if watched.seen => {
            let failure = Failure::new(ErrorCode::WorkerLost, "the node dropped its shard");
            failed(failure, watched.since_ms, false)
        }
        None => limited(
            watched.since_ms,
            limits::RESERVE_LIMIT_MS,
            "the node took no ports",
            true,
        ),
        // Ranks wait for each other here, so silence says nothing about whose fault it is; and however long others
        // still fetch, it is no silence.
        Some(ShardStatus::Reserved { .. }) => match reserved_ms {
            None => RankState::Fine,
            Some(all_ms) => limited(
                watched.since_ms.max(all_ms),
                limits::LOAD_SILENCE_LIMIT_MS,
                "the worker did not start",
                false,
            ),
        },
        Some(ShardStatus::Loading { .. }) => limited(
            watched.since_ms,
            limits::LOAD_SILENCE_LIMIT_MS,
            "loading made no progress",
            false,
        ),
    }
}

fn summary(state: &State, plan: &ShardPlan, failures: Vec<RankFailure>, at_ms: u64) -> Failed {
    let told = failures
        .iter()
        .find(|failure| failure.own)
        .or_else(|| failures.first())
        .map(|failure| named(state, plan, failure));
    let own = failures.into_iter().filter(|failure| failure.own);
    let at_fault = own.map(|failure| (failure.node, failure.failure)).collect();
    Failed {
        at_ms,
        failure: told.unwrap_or_else(|| Failure::new(ErrorCode::WorkerLost, "a worker was lost")),
        at_fault,
    }
}

/// The failure with the name of the node it happened on.
fn named(state: &State, plan: &ShardPlan, failed: &RankFailure) -> Failure {
    let mut failure = failed.failure.clone();
    if let (Some(record), Some(rank)) = (state.live_record(failed.node), plan.rank_of(failed.node))
    {
        failure.message = format!("rank {rank} on {}: {}", record.name, failure.message);
    }
    failure
}

/// Holds failures against the nodes they happened on.
pub(super) fn strike(state: &State, care: &mut Care, at_fault: &[(NodeId, Failure)]) {
    for (node, failure) in at_fault {
        let Some(record) = state.live_record(*node) else {
            continue;
        };
        let known = care.strikes.get(node);
        let before = known
            .filter(|strikes| strikes.epoch_ms == record.epoch_ms)
            .map_or(0, |strikes| strikes.count);
        let weight = if cannot_hold(failure.code) {
            limits::STRIKES_MAX
        } else {
            1
        };
        let strikes = Strikes {
            epoch_ms: record.epoch_ms,
            available_bytes: record.memory_available_bytes,
            count: (before + weight).min(limits::STRIKES_MAX),
            last: failure.clone(),
        };
        care.strikes.insert(*node, strikes);
    }
}

/// Whether trying again on the same node is pointless until something changes there.
fn cannot_hold(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ModelNotFound
            | ErrorCode::ModelDamaged
            | ErrorCode::ModelUnsupported
            | ErrorCode::NotEnoughMemory
    )
}
