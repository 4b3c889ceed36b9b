//! [`base::ShardPlan`] and its parts on the wire.

use std::ops::Range;

use base::NodeId;
use serde::{Deserialize, Serialize};

use super::NODES_MAX;
use super::card::{Bits, KvBits};
use crate::codec::Invalid;
use crate::collection::List;

/// How a model is divided.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Sharding {
    /// By layers.
    Pipeline,
    /// By slices of each layer.
    Tensor,
}

/// How a user asks for it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum ShardingChoice {
    /// The planner's choice.
    Auto,
    /// By layers.
    Pipeline,
    /// By slices of each layer.
    Tensor,
}

/// A model's division.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShardPlan {
    sharding: Sharding,
    shards: List<Shard, NODES_MAX>,
}

/// What one rank holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shard {
    node: [u8; 32],
    part: Part,
    bytes: u64,
}

/// What one rank's worker must know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShardSpec {
    rank: u32,
    world: u32,
    sharding: Sharding,
    part: Part,
    quantize: Bits,
    kv_bits: KvBits,
}

/// Layers and a slice of each.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Part {
    layers: (u32, u32),
    tensor: (u32, u32),
}

impl Part {
    fn new(layers: &Range<u32>, tensor: base::TensorSlice) -> Self {
        Self {
            layers: (layers.start, layers.end),
            tensor: (tensor.index, tensor.of),
        }
    }

    fn parse(self) -> Result<(Range<u32>, base::TensorSlice), Invalid> {
        let (start, end) = self.layers;
        if start >= end || end > super::card::LAYERS_MAX as u32 {
            return Err(Invalid("a shard without layers"));
        }
        let (index, of) = self.tensor;
        if index >= of {
            return Err(Invalid("a slice beyond the last"));
        }
        Ok((start..end, base::TensorSlice { index, of }))
    }
}

impl From<&base::ShardPlan> for ShardPlan {
    fn from(plan: &base::ShardPlan) -> Self {
        Self {
            sharding: plan.sharding.into(),
            shards: List::of(&plan.shards),
        }
    }
}

impl TryFrom<ShardPlan> for base::ShardPlan {
    type Error = Invalid;

    fn try_from(wire: ShardPlan) -> Result<Self, Invalid> {
        if wire.shards.0.is_empty() {
            return Err(Invalid("a plan without shards"));
        }
        Ok(Self {
            sharding: wire.sharding.into(),
            shards: wire.shards.each()?,
        })
    }
}

impl From<&base::Shard> for Shard {
    fn from(shard: &base::Shard) -> Self {
        Self {
            node: shard.node.0,
            part: Part::new(&shard.layers, shard.tensor),
            bytes: shard.bytes,
        }
    }
}

impl TryFrom<Shard> for base::Shard {
    type Error = Invalid;

    fn try_from(wire: Shard) -> Result<Self, Invalid> {
        let (layers, tensor) = wire.part.parse()?;
        Ok(Self {
            node: NodeId(wire.node),
            layers,
            tensor,
            bytes: wire.bytes,
        })
    }
}

impl From<&base::ShardSpec> for ShardSpec {
    fn from(spec: &base::ShardSpec) -> Self {
        Self {
            rank: spec.rank,
            world: spec.world,
            sharding: spec.sharding.into(),
            part: Part::new(&spec.layers, spec.tensor),
            quantize: spec.quantize.into(),
            kv_bits: spec.kv_bits.into(),
        }
    }
}

impl TryFrom<ShardSpec> for base::ShardSpec {
    type Error = Invalid;

    fn try_from(wire: ShardSpec) -> Result<Self, Invalid> {
        if wire.rank >= wire.world || wire.world > NODES_MAX as u32 {
            return Err(Invalid("a rank outside its world"));
        }
        let (layers, tensor) = wire.part.parse()?;
        Ok(Self {
            rank: wire.rank,
            world: wire.world,
            sharding: wire.sharding.into(),
            layers,
            tensor,
            quantize: wire.quantize.try_into()?,
            kv_bits: wire.kv_bits.try_into()?,
        })
    }
}

impl From<base::Sharding> for Sharding {
    fn from(sharding: base::Sharding) -> Self {
        match sharding {
            base::Sharding::Pipeline => Self::Pipeline,
            base::Sharding::Tensor => Self::Tensor,
        }
    }
}

impl From<Sharding> for base::Sharding {
    fn from(wire: Sharding) -> Self {
        match wire {
            Sharding::Pipeline => Self::Pipeline,
            Sharding::Tensor => Self::Tensor,
        }
    }
}

impl From<base::ShardingChoice> for ShardingChoice {
    fn from(choice: base::ShardingChoice) -> Self {
        match choice {
            base::ShardingChoice::Auto => Self::Auto,
            base::ShardingChoice::Pipeline => Self::Pipeline,
            base::ShardingChoice::Tensor => Self::Tensor,
        }
    }
}

impl From<ShardingChoice> for base::ShardingChoice {
    fn from(wire: ShardingChoice) -> Self {
        match wire {
            ShardingChoice::Auto => Self::Auto,
            ShardingChoice::Pipeline => Self::Pipeline,
            ShardingChoice::Tensor => Self::Tensor,
        }
    }
}
