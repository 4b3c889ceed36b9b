//! Which instances make room for another model: pure, so that what a user loses can be foretold.
//!
//! Never one that somebody uses. Of the others those that requests brought in go before those that a user opened, and
//! in each group the one that was used longest ago goes first; no more than are needed. A user who opens a model is
//! there to be told that it does not fit, so for that only those go that come back by themselves.

use base::{ErrorCode, Failure, InstanceId, ModelId};

use crate::event::Wish;
use crate::placement::{PlacementError, solve};
use crate::state::State;
use crate::view::{InstanceState, InstanceView};

/// Instances that are weighed against each other at most: each costs two placements to try.
const WEIGHED_MAX: usize = 32;

/// Who wants room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A request for the model: every idle instance may go.
    Request,
    /// A user: idle instances that requests brought in may go.
    User,
}

/// Why there is no room for a model, whatever may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoom {
    /// Why it cannot be placed as things are.
    pub error: PlacementError,
    /// The models in whose place it would fit.
    pub held_by: Vec<ModelId>,
}

impl NoRoom {
    /// For a user: what happened and what to do next.
    pub fn failure(&self) -> Failure {
        let failure = self.error.failure();
        if self.held_by.is_empty() {
            return failure;
        }
        let names: Vec<String> = self.held_by.iter().map(ToString::to_string).collect();
        failure.hint(format!(
            "close some of these models, or add a node: {}",
            names.join(", ")
        ))
    }
}

impl State {
    /// The instances to close so that a model can be placed, in that order; none if it can be placed as things are.
    pub fn room_for(&self, wish: &Wish, asker: Asker) -> Result<Vec<InstanceId>, NoRoom> {
        let fits = |closed: &[InstanceId]| solve(&self.problem_without(wish, closed), None);
        let Err(error) = fits(&[]) else {
            return Ok(Vec::new());
        };
        let no_room = |held_by| NoRoom {
            error: error.clone(),
            held_by,
        };
        if error.failure().code != ErrorCode::NotEnoughMemory {
            return Err(no_room(Vec::new()));
        }
        let ready = self.instances.values().map(|one| self.view_instance(one));
        let ready = ready.filter(|one| one.state == InstanceState::Ready);
        let (mut idle, kept): (Vec<_>, Vec<_>) = ready.partition(|one| may_go(one, asker));
        idle.sort_by_key(|one| (!one.on_demand, idle_since(one), one.id));
        idle.truncate(WEIGHED_MAX);
        let mut closed = Vec::new();
        let enough = idle.iter().any(|one| {
            closed.push(one.id);
            fits(&closed).is_ok()
        });
        if !enough {
            let all = closed.iter().copied().chain(kept.iter().map(|one| one.id));
            let helps = fits(&all.collect::<Vec<_>>()).is_ok();
            let kept = kept.into_iter().filter(|_| helps);
            return Err(no_room(kept.map(|one| one.model).collect()));
        }
        // Some may have been too small to matter; those used last are spared first.
        for index in (0..closed.len()).rev() {
            let mut fewer = closed.clone();
            fewer.remove(index);
            if fits(&fewer).is_ok() {
                closed = fewer;
            }
        }
        Ok(closed)
    }
}

fn may_go(instance: &InstanceView, asker: Asker) -> bool {
    let back_by_itself = match asker {
        Asker::Request => true,
        Asker::User => instance.on_demand,
    };
    back_by_itself && idle_since(instance).is_some()
}

fn idle_since(instance: &InstanceView) -> Option<u64> {
    instance.activity?.idle_since_ms
}
