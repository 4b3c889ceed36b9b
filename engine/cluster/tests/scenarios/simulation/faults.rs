//! What goes wrong, and what people do meanwhile.

use base::{
    ErrorCode, Fingerprint, InstanceId, LayerCost, ModelCard, ModelId, Secret, ShardingChoice,
};
use cluster::{Event, OpenInstance, ShardKey};

use super::world::{GIB, World};

/// Weights of each kind of fault in a draw; 0 is never.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    pub nodes: usize,
    pub steps: u64,
    pub kill_node: u64,
    pub start_node: u64,
    pub cut: u64,
    pub mend: u64,
    pub partition: u64,
    pub kill_worker: u64,
    pub close: u64,
    pub flaky_percent: u64,
    pub fetching_percent: u64,
}

impl Faults {
    pub const EVERYTHING: Self = Self {
        nodes: 4,
        steps: 40,
        kill_node: 4,
        start_node: 6,
        cut: 6,
        mend: 8,
        partition: 2,
        kill_worker: 6,
        close: 2,
        flaky_percent: 10,
        fetching_percent: 20,
    };
    pub const WORKERS: Self = Self {
        nodes: 3,
        steps: 20,
        kill_node: 0,
        start_node: 0,
        cut: 0,
        mend: 0,
        partition: 0,
        kill_worker: 10,
        close: 0,
        flaky_percent: 0,
        fetching_percent: 0,
    };
    /// Much is fetched, and nodes come and go meanwhile.
    pub const FETCHES: Self = Self {
        nodes: 4,
        steps: 40,
        kill_node: 4,
        start_node: 10,
        cut: 1,
        mend: 4,
        partition: 0,
        kill_worker: 1,
        close: 1,
        flaky_percent: 15,
        fetching_percent: 80,
    };
    pub const PARTITIONS: Self = Self {
        nodes: 5,
        steps: 20,
        kill_node: 0,
        start_node: 0,
        cut: 0,
        mend: 6,
        partition: 4,
        kill_worker: 0,
        close: 1,
        flaky_percent: 0,
        fetching_percent: 30,
    };
}

/// How many instances a run opens.
pub const INSTANCES: usize = 3;

pub fn unleash(world: &mut World, faults: Faults) {
    world.workers.flaky_percent = faults.flaky_percent;
    world.workers.fetching_percent = faults.fetching_percent;
    world.run_for(1_500);
    for number in 0..INSTANCES as u64 {
        open(world, number);
    }
    let weights = [
        faults.kill_node,
        faults.start_node,
        faults.cut,
        faults.mend,
        faults.partition,
        faults.kill_worker,
        faults.close,
    ];
    for _ in 0..faults.steps {
        let pause_ms = if world.random.chance(30) {
            world.random.between(2_000, 15_000)
        } else {
            world.random.between(1, 800)
        };
        world.run_for(pause_ms);
        let mut draw = world.random.between(0, weights.iter().sum());
        let kind = weights.iter().position(|weight| {
            let hit = draw < *weight;
            draw = draw.saturating_sub(*weight);
            hit
        });
        fault(world, kind.unwrap());
    }
    world.workers.flaky_percent = 0;
}

fn fault(world: &mut World, kind: usize) {
    let nodes = world.nodes.len() as u64;
    let node = world.random.between(0, nodes) as usize;
    let other = world.random.between(0, nodes) as usize;
    match kind {
        0 => world.kill(node),
        1 => world.start(node),
        2 if node != other => world.cut(node, other),
        3 if node != other => world.mend(node, other),
        4 => partition(world),
        5 => kill_worker(world),
        6 => close(world, node),
        _ => {}
    }
}

fn partition(world: &mut World) {
    let halves = world.random.next();
    let side = |node: usize| halves & (1 << node) != 0;
    for a in 0..world.nodes.len() {
        for b in a + 1..world.nodes.len() {
            if side(a) == side(b) {
                world.mend(a, b);
            } else {
                world.cut(a, b);
            }
        }
    }
}

fn kill_worker(world: &mut World) {
    let started: Vec<(usize, ShardKey)> = world.workers.held.keys().copied().collect();
    if started.is_empty() {
        return;
    }
    let (node, shard) = started[world.random.between(0, started.len() as u64) as usize];
    world.fail_worker(node, shard, ErrorCode::WorkerLost, 5);
}

fn close(world: &mut World, node: usize) {
    let Some(state) = &world.nodes[node].state else {
        return;
    };
    let open: Vec<InstanceId> = state.view().instances.iter().map(|view| view.id).collect();
    if !open.is_empty() {
        let instance = open[world.random.between(0, open.len() as u64) as usize];
        world.tell(node, Event::Close { instance });
    }
}

fn open(world: &mut World, number: u64) {
    let nodes = world.nodes.len() as u64;
    let node = world.random.between(0, nodes) as usize;
    let sharding = match world.random.between(0, 3) {
        0 => ShardingChoice::Auto,
        1 => ShardingChoice::Pipeline,
        _ => ShardingChoice::Tensor,
    };
    let node_count = world.random.chance(60).then(|| match sharding {
        ShardingChoice::Tensor => 2,
        ShardingChoice::Auto | ShardingChoice::Pipeline => world.random.between(1, 4) as u32,
    });
    let layers = world.random.between(4, 12);
    let open = OpenInstance {
        id: InstanceId(number + 1),
        model: ModelId(format!("model {number}")),
        folder: "/models/m".to_owned(),
        fingerprint: Fingerprint([number as u8; 32]),
        origin: None,
        card: card(layers, world.random.between(1, 5) * GIB / layers),
        sharding,
        node_count,
        node_ids: Vec::new(),
        secret: Secret([number as u8; 32]),
        on_demand: false,
        draft: None,
    };
    world.tell(node, Event::Open(Box::new(open)));
}

fn card(layers: u64, layer_bytes: u64) -> ModelCard {
    let layer = LayerCost {
        weights_bytes: layer_bytes,
        active_bytes: layer_bytes,
        replicated_bytes: 0,
        cache_bytes_per_token: 1_024,
        replicated_cache_bytes_per_token: 0,
        window: None,
        state_bytes: 0,
    };
    ModelCard {
        model_type: "simulated".to_owned(),
        layers: vec![layer; layers as usize],
        embedding_bytes: 10_000_000,
        head_bytes: 10_000_000,
        tied: false,
        context_tokens_max: 4_096,
        vocabulary_size: 1_000,
        hidden_size: 64,
        activation_bytes: 2,
        tensor_degrees: vec![1, 2, 4],
        quantize: None,
        kv_bits: None,
        draft: None,
    }
}
