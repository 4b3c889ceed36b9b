//! Decisions of the cluster: who is here, who computes what, what this node does next.
//!
//! [`State`] is a value. Facts go in by [`State::apply`]; what to do comes out of [`State::advance`]; the time is
//! always an argument. Never: async, a clock, randomness, a socket, the name of a model family.
//!
//! How to drive it: apply an event, call `advance`, carry out every action, apply what came of them as events, and
//! call `advance` again; also call it when [`State::next_deadline`] has passed.

mod action;
mod adopt;
mod apply;
mod decide;
mod event;
mod hostfile;
mod lease;
pub mod limits;
mod local;
mod observe;
mod peers;
pub mod placement;
mod plan;
mod room;
mod secret;
mod state;
pub mod view;

pub use action::{Action, PrepareShard, Record, ShardKey, StartShard};
pub use event::{Event, OpenInstance, Sighting, Wish};
pub use placement::{
    Candidate, NodeCount, Placement, PlacementError, Problem, cache_tokens, solve,
};
pub use room::{Asker, NoRoom};
pub use state::{NodeSeed, State};
pub use view::{
    ClusterView, InstanceState, InstanceView, LinkView, NodeState, NodeView, ShardView,
};
