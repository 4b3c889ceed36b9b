//! Between the gateway's types and the admin API's JSON. Pure.

use base::{CacheBits, ErrorCode, Failure, InstanceId, NodeId, QuantizedBits, ShardingChoice};

use super::model::{
    Activity, ErrorOut, Fetching, Instance, InstanceState, Level, Link, LinkKind, Loading, Model,
    Node, NodeState, Placement, Shard, Sharding, ShardingWish, State, Wish,
};
use crate::gateway::{ModelInfo, OpenInstance, RankedPlacement};
use crate::view::{self, ClusterView, InstanceView, LinkView, NodeView, ShardView};

/// A cluster has dozens of nodes, not more.
const NODE_IDS_MAX: usize = 256;
/// One for each node of a large cluster.
const REPLICAS_MAX: u32 = 64;

impl From<&ClusterView> for State {
    fn from(view: &ClusterView) -> Self {
        Self {
            node_id: view.node_id.to_string(),
            nodes: view.nodes.iter().map(Node::from).collect(),
            links: view.links.iter().map(Link::from).collect(),
            instances: view.instances.iter().map(Instance::from).collect(),
        }
    }
}

impl From<&NodeView> for Node {
    fn from(node: &NodeView) -> Self {
        let (state, reason) = match &node.state {
            view::NodeState::Online => (NodeState::Online, None),
            view::NodeState::Locked(reason) => (NodeState::Locked, Some(reason.clone())),
            view::NodeState::Lost => (NodeState::Lost, None),
        };
        Self {
            id: node.id.to_string(),
            name: node.name.clone(),
            chip: node.chip.clone(),
            state,
            reason,
            memory_total_bytes: node.memory_total_bytes,
            memory_available_bytes: node.memory_available_bytes,
            thermal: node.pressure.thermal.map(Level::from),
            memory_pressure: node.pressure.memory.map(Level::from),
        }
    }
}

impl From<&LinkView> for Link {
    fn from(link: &LinkView) -> Self {
        Self {
            a: link.a.to_string(),
            b: link.b.to_string(),
            round_trip_us: link.round_trip_us,
            bandwidth_bytes_per_s: link.bandwidth_bytes_per_s,
            kind: link.kind.map(LinkKind::from),
        }
    }
}

impl From<base::Level> for Level {
    fn from(level: base::Level) -> Self {
        match level {
            base::Level::Normal => Self::Normal,
            base::Level::Elevated => Self::Elevated,
            base::Level::Critical => Self::Critical,
        }
    }
}

impl From<base::LinkKind> for LinkKind {
    fn from(kind: base::LinkKind) -> Self {
        match kind {
            base::LinkKind::Loopback => Self::Loopback,
            base::LinkKind::Ethernet => Self::Ethernet,
            base::LinkKind::Wifi => Self::Wifi,
            base::LinkKind::Thunderbolt => Self::Thunderbolt,
            base::LinkKind::Other => Self::Other,
        }
    }
}

impl From<base::InstanceActivity> for Activity {
    fn from(activity: base::InstanceActivity) -> Self {
        Self {
            reading: activity.reading,
            answering: activity.answering,
            waiting: activity.waiting,
            tokens_per_s: activity.tokens_per_1000_s as f64 / 1000.0,
        }
    }
}

impl From<&InstanceView> for Instance {
    fn from(instance: &InstanceView) -> Self {
        let (bytes_done, bytes_total) = instance.loading_bytes;
        Self {
            id: instance.id.to_string(),
            model: instance.model.to_string(),
            sharding: instance.sharding.map(Sharding::from),
            state: instance.state.into(),
            error: instance.failure.clone().map(ErrorOut::from),
            fetching: instance.shards.iter().filter_map(fetching).collect(),
            loading: (bytes_total > 0).then_some(Loading {
                bytes_done,
                bytes_total,
            }),
            owner: instance.owner.to_string(),
            generation: instance.generation,
            shards: instance.shards.iter().map(Shard::from).collect(),
            activity: instance
                .activity
                .filter(|activity| activity.requests() > 0)
                .map(Activity::from),
            on_demand: instance.on_demand,
            expires_unix_ms: instance.expires_unix_ms,
            quantize: instance.quantize.map(QuantizedBits::get),
            kv_bits: instance.kv_bits.map(CacheBits::get),
            draft: instance.draft.as_ref().map(|model| model.0.clone()),
        }
    }
}

fn fetching(shard: &ShardView) -> Option<Fetching> {
    let (bytes_done, bytes_total) = shard.fetching_bytes?;
    Some(Fetching {
        node_id: shard.node.to_string(),
        bytes_done,
        bytes_total,
    })
}

impl From<&ShardView> for Shard {
    fn from(shard: &ShardView) -> Self {
        Self {
            node_id: shard.node.to_string(),
            rank: shard.rank,
            layers: [shard.layers.start, shard.layers.end],
            tensor: [shard.tensor.index, shard.tensor.of],
            bytes: shard.bytes,
        }
    }
}

impl From<view::InstanceState> for InstanceState {
    fn from(state: view::InstanceState) -> Self {
        match state {
            view::InstanceState::Placing => Self::Placing,
            view::InstanceState::Downloading => Self::Downloading,
            view::InstanceState::Loading => Self::Loading,
            view::InstanceState::Ready => Self::Ready,
            view::InstanceState::Mending => Self::Mending,
            view::InstanceState::Failed => Self::Failed,
        }
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

impl From<RankedPlacement> for Placement {
    fn from(ranked: RankedPlacement) -> Self {
        let shards = ranked.plan.shards.into_iter().zip(0..);
        Self {
            sharding: ranked.plan.sharding.into(),
            tokens_per_s: ranked.tokens_per_s,
            shards: shards
                .map(|(shard, rank)| Shard {
                    node_id: shard.node.to_string(),
                    rank,
                    layers: [shard.layers.start, shard.layers.end],
                    tensor: [shard.tensor.index, shard.tensor.of],
                    bytes: shard.bytes,
                })
                .collect(),
        }
    }
}

/// The models whose files are here; others cannot be opened from here.
pub(super) fn models_here(models: Vec<ModelInfo>) -> Vec<Model> {
    let here = models.into_iter().filter_map(|model| {
        let on_disk = model.on_disk?;
        Some(Model {
            id: model.id,
            weights_bytes: on_disk.weights_bytes,
            family: on_disk.family,
            weights_format: on_disk.weights_format,
            licence: (!on_disk.licence.is_empty()).then_some(on_disk.licence),
            folder: on_disk.folder.display().to_string(),
            is_own: on_disk.is_own,
            is_part: on_disk.is_part,
        })
    });
    here.collect()
}

impl From<Failure> for ErrorOut {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code.name(),
            message: failure.message,
            hint: failure.hint,
        }
    }
}

/// Understands the body of `POST /admin/plan`.
pub(super) fn parse_wish(body: &[u8]) -> Result<OpenInstance, Failure> {
    Ok(parse_opening(body)?.0)
}

/// Understands the body of `POST /admin/instances`: what to open, and how often.
pub(super) fn parse_opening(body: &[u8]) -> Result<(OpenInstance, u32), Failure> {
    let wish: Wish = crate::json::parse(body)?;
    let invalid = |message: String, param: &str| {
        Err(Failure::new(ErrorCode::InvalidRequest, message).param(param))
    };
    if wish.model.is_empty() {
        return invalid("model is empty".to_string(), "model");
    }
    if wish.node_count == Some(0) {
        return invalid("node_count must be at least 1".to_string(), "node_count");
    }
    let names = wish.node_ids.unwrap_or_default();
    if names.len() > NODE_IDS_MAX {
        return invalid(
            format!("node_ids has more than {NODE_IDS_MAX} entries"),
            "node_ids",
        );
    }
    let mut node_ids: Vec<NodeId> = Vec::with_capacity(names.len());
    for (name, index) in names.iter().zip(0..) {
        let param = format!("node_ids[{index}]");
        match name.parse() {
            Ok(id) if node_ids.contains(&id) => {
                return invalid(format!("{param} is there twice"), &param);
            }
            Ok(id) => node_ids.push(id),
            Err(error) => return invalid(format!("{param} is {error}"), &param),
        }
    }
    let counted = wish
        .node_count
        .is_none_or(|count| count as usize == node_ids.len());
    if !node_ids.is_empty() && !counted {
        return invalid(
            "node_count and node_ids contradict each other".to_string(),
            "node_count",
        );
    }
    let replicas = wish.replicas.unwrap_or(1);
    if !(1..=REPLICAS_MAX).contains(&replicas) {
        let message = format!("replicas is from 1 to {REPLICAS_MAX}");
        return invalid(message, "replicas");
    }
    if replicas > 1 && !node_ids.is_empty() {
        let message = "replicas go to different nodes, so node_ids can name those of one alone";
        return invalid(message.to_string(), "replicas");
    }
    let quantize = parse_bits(
        wish.quantize,
        QuantizedBits::new,
        "quantize",
        &QuantizedBits::ALL,
    )?;
    let kv_bits = parse_bits(wish.kv_bits, CacheBits::new, "kv_bits", &CacheBits::ALL)?;
    let wish = OpenInstance {
        model: wish.model,
        sharding: match wish.sharding {
            None | Some(ShardingWish::Auto) => ShardingChoice::Auto,
            Some(ShardingWish::Pipeline) => ShardingChoice::Pipeline,
            Some(ShardingWish::Tensor) => ShardingChoice::Tensor,
        },
        node_count: wish.node_count,
        node_ids,
        quantize,
        kv_bits,
        draft: wish.draft.filter(|name| !name.is_empty()),
    };
    Ok((wish, replicas))
}

/// Understands a number of bits, one of `all`.
fn parse_bits<B>(
    asked: Option<u8>,
    parse: impl Fn(u8) -> Option<B>,
    param: &str,
    all: &[u8],
) -> Result<Option<B>, Failure> {
    let Some(asked) = asked else {
        return Ok(None);
    };
    let bits = parse(asked).ok_or_else(|| {
        let message = format!("{param} is one of {all:?}");
        Failure::new(ErrorCode::InvalidRequest, message).param(param)
    })?;
    Ok(Some(bits))
}

/// Understands an instance's id in a path.
pub(super) fn parse_instance_id(text: &str) -> Result<InstanceId, Failure> {
    text.parse().map_err(|_| no_instance(text))
}

/// There is no such instance.
pub(super) fn no_instance(id: &str) -> Failure {
    let failure = Failure::new(ErrorCode::NotFound, format!("there is no instance {id}"));
    failure.hint("GET /admin/instances lists the instances there are")
}

#[cfg(test)]
mod tests;
