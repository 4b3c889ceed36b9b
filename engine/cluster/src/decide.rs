//! What an owner decides about an instance, and who becomes its owner when there is none.

use base::{ErrorCode, Failure, InstancePhase, InstanceRecord, NodeId};

use crate::placement::{PlacementError, solve, with_spare_cache};
use crate::state::{Care, Instance, State};
use crate::{limits, secret};

mod trouble;

pub(crate) use trouble::Trouble;

/// When there is something to say about an instance.
pub(crate) enum Next {
    Now(Box<Ruling>),
    At(u64),
    Never,
}

/// What this node, as owner, says about an instance.
pub(crate) struct Ruling {
    pub(crate) instance: base::InstanceId,
    /// `None` changes only what the owner remembers.
    pub(crate) record: Option<InstanceRecord>,
    pub(crate) care: Care,
}

/// The reason of an instance that was opened and not looked at yet. Never leaves the node.
pub(crate) fn not_placed_yet() -> Failure {
    Failure::new(ErrorCode::Overloaded, "not placed yet")
}

/// What this node has to say about an instance, now or later.
pub(crate) fn next(state: &State, instance: &Instance, now_ms: u64) -> Next {
    if instance.record.owner != state.me.id {
        return take_over(state, instance, now_ms);
    }
    match &instance.record.phase {
        InstancePhase::Closed | InstancePhase::Failed(_) => Next::Never,
        InstancePhase::Waiting(_) => {
            place(state, instance, instance.care.clone()).map_or(Next::Never, now)
        }
        InstancePhase::Placed => mend(state, instance, now_ms),
    }
}

/// The nodes that may take over an instance, in turn: those of its last plan that are here.
pub(crate) fn successors<'a>(
    state: &'a State,
    instance: &'a Instance,
) -> impl Iterator<Item = NodeId> + 'a {
    let goes_on = match instance.record.phase {
        InstancePhase::Placed | InstancePhase::Waiting(_) => true,
        InstancePhase::Failed(_) | InstancePhase::Closed => false,
    };
    let owner = instance.record.owner;
    let plan = instance.record.plan.as_ref().filter(|_| goes_on);
    plan.into_iter()
        .flat_map(|plan| &plan.shards)
        .map(|shard| shard.node)
        .filter(move |node| *node != owner && state.is_live(*node))
}

/// Every node computes the same turn, so the first takes over at once and the others only if it does not.
fn take_over(state: &State, instance: &Instance, now_ms: u64) -> Next {
    let Some(since_ms) = instance.ownerless_ms else {
        return Next::Never;
    };
    let Some(turn) = successors(state, instance).position(|node| node == state.me.id) else {
        return Next::Never;
    };
    // An owner that is here but disowns it has most likely passed it on, and word of that is on its way.
    let passed_on = u64::from(state.is_live(instance.record.owner));
    let due_ms = since_ms + (turn as u64 + passed_on) * limits::TAKEOVER_STEP_MS;
    if now_ms < due_ms {
        return Next::At(due_ms);
    }
    let mut record = instance.record.clone();
    record.owner = state.me.id;
    record.version += 1;
    now(Ruling {
        instance: record.id,
        record: Some(record),
        care: instance.care.clone(),
    })
}

/// Replaces a plan that does not run, after a pause if it failed by itself.
fn mend(state: &State, instance: &Instance, now_ms: u64) -> Next {
    match trouble::find(state, instance, now_ms) {
        Trouble::None => Next::Never,
        Trouble::Perhaps { at_ms } => Next::At(at_ms),
        Trouble::NodeLost => place(state, instance, instance.care.clone()).map_or(Next::Never, now),
        Trouble::Failed(failed) => {
            let care = &instance.care;
            let stable = care
                .ready_ms
                .is_some_and(|ready_ms| failed.at_ms >= ready_ms + limits::STABLE_MS);
            let before = if stable { 0 } else { care.failures };
            let Some(delay_ms) = limits::RETRY_DELAYS_MS.get(before as usize) else {
                return now(give_up(instance, care.clone(), failed.failure));
            };
            let due_ms = failed.at_ms + delay_ms;
            if now_ms < due_ms {
                return Next::At(due_ms);
            }
            let mut care = care.clone();
            if stable {
                care.strikes.clear();
            }
            care.failures = before + 1;
            // What a worker that computed met by itself came with a request, which does not come a third time.
            let computed = care.ready_ms.is_some();
            let mut at_fault = failed.at_fault;
            at_fault.retain(|(_, failure)| !computed || failure.code != ErrorCode::Internal);
            trouble::strike(state, &mut care, &at_fault);
            place(state, instance, care).map_or(Next::Never, now)
        }
    }
}

/// Solves the instance's problem as it is now. `None` if it was tried before and nothing changed.
fn place(state: &State, instance: &Instance, mut care: Care) -> Option<Ruling> {
    let problem = state.problem_of(instance, &care);
    let waiting = matches!(instance.record.phase, InstancePhase::Waiting(_));
    if waiting && care.unsolved.as_deref() == Some(&problem) {
        return None;
    }
    let mut record = instance.record.clone();
    match solve(&problem, record.plan.as_ref()) {
        Ok(placements) => {
            let best = placements.into_iter().next()?;
            record.generation += 1;
            record.version = 0;
            record.secret = secret::next(&record.secret, record.generation, state.me.id);
            record.plan = Some(with_spare_cache(&problem, best.plan));
            record.phase = InstancePhase::Placed;
            care.unsolved = None;
            care.ranks.clear();
        }
        Err(error) => {
            let phase = without_placement(state, instance, &care, &error);
            care.unsolved = Some(Box::new(problem));
            if phase == record.phase {
                return Some(Ruling {
                    instance: record.id,
                    record: None,
                    care,
                });
            }
            record.phase = phase;
            record.version += 1;
        }
    }
    Some(Ruling {
        instance: record.id,
        record: Some(record),
        care,
    })
}

/// Whether to wait for the cluster to change or to give up: what contradicts the model never gets better, and nodes
/// left out for what they failed take their reason with them.
fn without_placement(
    state: &State,
    instance: &Instance,
    care: &Care,
    error: &PlacementError,
) -> InstancePhase {
    if error.is_permanent() {
        return InstancePhase::Failed(error.failure());
    }
    let forgiving = Care {
        strikes: std::collections::BTreeMap::new(),
        ..care.clone()
    };
    let excluded = state.problem_of(instance, &forgiving);
    let blocking = care
        .strikes
        .values()
        .filter(|strikes| strikes.count >= limits::STRIKES_MAX)
        .map(|strikes| &strikes.last)
        .next_back();
    let Some(failure) = blocking else {
        return InstancePhase::Waiting(error.failure());
    };
    match solve(&excluded, None) {
        // It would not help to have them back, so what is missing is something else.
        Err(error) => InstancePhase::Waiting(error.failure()),
        Ok(_) if failure.code == ErrorCode::NotEnoughMemory => {
            InstancePhase::Waiting(failure.clone())
        }
        Ok(_) => InstancePhase::Failed(failure.clone()),
    }
}

fn give_up(instance: &Instance, care: Care, failure: Failure) -> Ruling {
    let mut record = instance.record.clone();
    record.version += 1;
    record.phase = InstancePhase::Failed(failure);
    Ruling {
        instance: record.id,
        record: Some(record),
        care,
    }
}

fn now(ruling: Ruling) -> Next {
    Next::Now(Box::new(ruling))
}
