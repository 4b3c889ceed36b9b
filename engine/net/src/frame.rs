//! Stands in for `wire::peer` until that lands.

use base::{InstanceId, InstanceRecord, NodeRecord, TokenRequest};

/// What members say to each other on the control stream.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerFrame {
    /// A node's word about itself.
    Node(NodeRecord),
    /// An owner's word about an instance.
    Instance(InstanceRecord),
    /// Heartbeat.
    Ping(u64),
    /// Its answer.
    Pong(u64),
    /// The sender is about to go.
    Leaving,
}

/// A generation asked of the node of rank 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    /// Of which instance.
    pub instance: InstanceId,
    /// Of which plan.
    pub generation: u32,
    /// What to generate.
    pub request: TokenRequest,
}
