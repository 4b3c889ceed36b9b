//! Who belongs to the cluster and who would like to, as the gateway has it.

use base::{Failure, NodeId};

/// Everything there is to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Whether nodes prove themselves with a shared key, and there is nothing to pair.
    pub by_key: bool,
    /// The members, this node among them; empty if it is in no cluster.
    pub members: Vec<Member>,
    /// Other nodes that are seen.
    pub nearby: Vec<Nearby>,
    /// The pairing under way, or how the last one ended.
    pub pairing: Option<Pairing>,
    /// What happened to this node's membership that was not done here.
    pub notice: Option<String>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub node: NodeId,
    /// Its name when it was added.
    pub name: String,
    /// Who added it; the founder itself.
    pub added_by: NodeId,
}

/// A node that is seen; all of it is its own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearby {
    /// Who.
    pub node: NodeId,
    /// What it is called.
    pub name: String,
    /// What its cluster is called; empty if unknown.
    pub cluster_name: String,
    /// What it is to this node.
    pub belongs: Belonging,
}

/// What a node is to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belonging {
    /// Not known yet.
    Unknown,
    /// It waits to be paired.
    Newcomer,
    /// A member of the same cluster.
    Ours,
    /// A member of another.
    Elsewhere,
}

/// A pairing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairing {
    /// With whom.
    pub node: NodeId,
    /// What it is called, by its own word.
    pub name: String,
    /// Whether it was started here; otherwise the other one asks.
    pub started_here: bool,
    /// How far it is.
    pub stage: Stage,
}

/// How far a pairing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// The other one is being called.
    Calling,
    /// People compare the digits.
    Compare {
        /// Six digits.
        digits: String,
        /// Whether they were confirmed here.
        confirmed_here: bool,
        /// Whether they were confirmed there.
        confirmed_there: bool,
    },
    /// Both are in one cluster now.
    Done,
    /// It ended without that: why, and what to do.
    Ended(Failure),
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Pair with a node.
    Start(NodeId),
    /// The digits are the same.
    Confirm(NodeId),
    /// They are not, or never mind.
    Cancel(NodeId),
    /// Remove a member; this node itself leaves.
    Remove(NodeId),
}
