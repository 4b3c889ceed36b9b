//! Why a model cannot be placed, with the numbers that say so.

use base::{ErrorCode, Failure, NodeId};

/// Why there is no placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// No candidate at all.
    #[error("no node can take part in running the model")]
    NoNodes,
    /// Nodes asked for by id are not here.
    #[error("{} of the nodes asked for {} not here: {}", .missing.len(), if .missing.len() == 1 { "is" } else { "are" }, ids(.missing))]
    NodesMissing {
        /// Those.
        missing: Vec<NodeId>,
    },
    /// The same node was asked for twice.
    #[error("node {} is asked for twice, but holds one shard at most", .node.short())]
    NodeTwice {
        /// That node.
        node: NodeId,
    },
    /// Fewer nodes are here, linked with each other, than asked for.
    #[error(
        "{wanted} nodes were asked for, but only {linked} that are linked with each other can take part"
    )]
    TooFewNodes {
        /// How many were asked for.
        wanted: u32,
        /// How many there are.
        linked: u32,
    },
    /// More nodes than the planner divides a model over, or none.
    #[error("a model can be divided over 1 to {max} nodes, not {wanted}")]
    NodeCountOutOfRange {
        /// How many were asked for.
        wanted: u32,
        /// At most.
        max: u32,
    },
    /// A pipeline needs a layer for every node.
    #[error("{wanted} nodes can't divide {layers} layers: each needs at least one")]
    TooFewLayers {
        /// How many nodes were asked for.
        wanted: u32,
        /// How many layers the model has.
        layers: u32,
    },
    /// The model's heads do not divide by the number of ranks.
    #[error("{wanted} ranks can't split this model's heads evenly; possible: {}", numbers(.possible))]
    TensorDegree {
        /// How many ranks were asked for.
        wanted: u32,
        /// The numbers of ranks that work.
        possible: Vec<u32>,
    },
    /// It does not fit.
    #[error(
        "the model needs {} as {shards} shard(s), but the {nodes} usable node(s) lend {} in all, the largest {}",
        size(*.needed_bytes), size(*.available_bytes), size(*.largest_bytes)
    )]
    NotEnoughMemory {
        /// What all shards together need, in bytes.
        needed_bytes: u64,
        /// Into how many shards.
        shards: u32,
        /// How many nodes can be used.
        nodes: u32,
        /// What they lend in all, in bytes.
        available_bytes: u64,
        /// What the one that lends most lends, in bytes.
        largest_bytes: u64,
    },
}

impl PlacementError {
    /// Whether no change of the cluster can help: what was asked for contradicts the model.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NodeTwice { .. }
            | Self::NodeCountOutOfRange { .. }
            | Self::TooFewLayers { .. }
            | Self::TensorDegree { .. } => true,
            Self::NoNodes
            | Self::NodesMissing { .. }
            | Self::TooFewNodes { .. }
            | Self::NotEnoughMemory { .. } => false,
        }
    }

    /// For a user: what happened and what to do next.
    pub fn failure(&self) -> Failure {
        let (code, hint) = match self {
            Self::NoNodes => (
                ErrorCode::PlacementImpossible,
                "look at /admin/state for the nodes that are online".to_owned(),
            ),
            Self::NodesMissing { .. } => (
                ErrorCode::PlacementImpossible,
                "start them, or leave node_ids out to let the planner choose".to_owned(),
            ),
            Self::NodeTwice { .. } => (
                ErrorCode::PlacementImpossible,
                "name every node once".to_owned(),
            ),
            Self::TooFewNodes { linked, .. } => (
                ErrorCode::PlacementImpossible,
                format!("start more nodes, or ask for node_count {linked}"),
            ),
            Self::NodeCountOutOfRange { max, .. } => (
                ErrorCode::PlacementImpossible,
                format!("ask for a node_count from 1 to {max}"),
            ),
            Self::TooFewLayers { layers, .. } => (
                ErrorCode::PlacementImpossible,
                format!("ask for at most {layers} nodes"),
            ),
            Self::TensorDegree { .. } => (
                ErrorCode::PlacementImpossible,
                "ask for one of those numbers of nodes, or for a pipeline".to_owned(),
            ),
            Self::NotEnoughMemory { .. } => (
                ErrorCode::NotEnoughMemory,
                "add a node, close other instances or programs, or choose a smaller or more quantized model"
                    .to_owned(),
            ),
        };
        Failure::new(code, self.to_string()).hint(hint)
    }
}

fn ids(nodes: &[NodeId]) -> String {
    let short: Vec<String> = nodes.iter().map(NodeId::short).collect();
    short.join(", ")
}

fn numbers(values: &[u32]) -> String {
    let words: Vec<String> = values.iter().map(u32::to_string).collect();
    words.join(", ")
}

/// Bytes in words, for people: `1.5 GB`.
fn size(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        format!("{:.1} MB", bytes as f64 / 1e6)
    } else {
        format!("{:.1} GB", bytes as f64 / 1e9)
    }
}
