//! Loads one rank's shard of a model and says how long that took and what it holds.
//!
//! `load_shard FOLDER RANK WORLD SHARDING [BITS]` (`pipeline`, over equal runs of layers, or `tensor`; what is not quantized is as
//! it loads, if bits are named) prints one line of JSON: seconds,
//! bytes of the weights as the planner counts them, bytes of MLX's arrays, and the most that was resident. Where there are several ranks, MLX's variables say
//! where the others are. `measure loading` runs it beside mlx-lm.

use std::path::PathBuf;
use std::time::Instant;

use base::{QuantizedBits, ShardSpec, Sharding, TensorSlice};
use models::{Group, inspect, load};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rank, world, sharding, bits @ ..] = arguments.as_slice() else {
        return Err("load_shard FOLDER RANK WORLD SHARDING [BITS]".into());
    };
    let bits = bits.first().map(|bits| bits.parse()).transpose()?;
    let quantize = bits.and_then(QuantizedBits::new);
    let (folder, rank, world) = (PathBuf::from(folder), rank.parse()?, world.parse()?);
    let layers = inspect(&folder, quantize, None)?.layer_count();
    let group = match world {
        1 => Group::single(),
        _ => Group::join()?,
    };
    let mut spec = match sharding.as_str() {
        "pipeline" => stage(rank, world, layers),
        "tensor" => slice(rank, world, layers),
        other => return Err(format!("neither pipeline nor tensor: {other}").into()),
    };
    spec.quantize = quantize;
    let began = Instant::now();
    let mut shard_bytes = 0;
    let backend = load(&folder, &spec, group, |_, total| shard_bytes = total)?;
    let seconds = began.elapsed().as_secs_f64();
    let array_bytes = models::memory::in_arrays()?;
    drop(backend);
    let peak_bytes = peak_bytes()?;
    println!(
        "{{\"seconds\": {seconds}, \"shard_bytes\": {shard_bytes}, \"array_bytes\": {array_bytes}, \"peak_bytes\": {peak_bytes}}}"
    );
    Ok(())
}

/// The lower the rank the later its layers, and the first to have one more, as mlx-lm divides them.
fn stage(rank: u32, world: u32, layers: u32) -> ShardSpec {
    let after = |rank: u32| rank * (layers / world) + rank.min(layers % world);
    ShardSpec {
        rank,
        world,
        sharding: Sharding::Pipeline,
        layers: layers - after(rank + 1)..layers - after(rank),
        tensor: TensorSlice::WHOLE,
        quantize: None,
        kv_bits: None,
    }
}

fn slice(rank: u32, world: u32, layers: u32) -> ShardSpec {
    ShardSpec {
        rank,
        world,
        sharding: Sharding::Tensor,
        layers: 0..layers,
        tensor: TensorSlice {
            index: rank,
            of: world,
        },
        quantize: None,
        kv_bits: None,
    }
}

/// The most that was resident of this process, as Linux counts it.
fn peak_bytes() -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    Ok(1024 * kilobytes.ok_or("no VmHWM")?.parse::<u64>()?)
}
