//! Serialized forms of base's types: `From<&base>` outwards, `TryFrom` inwards.

pub mod card;
pub mod draft;
pub mod failure;
pub mod record;
pub mod shard;
pub mod tokens;

/// Nodes in one cluster that a record can name.
pub const NODES_MAX: usize = 1024;
