//! Whether MLX has kernels here for what it takes apart on a processor: norms, rotations, and what `compile` fuses.
//!
//! There a step of float32 issues other operations than on a GPU: fewer of the small ones, and what is the same in all layers
//! once. In half precision it issues the same, which MLX rounds as on a GPU.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use mlx_rs::error::Result;
use mlx_rs::{Array, Device, DeviceType, Dtype, ops};

static ARE_HERE: OnceLock<bool> = OnceLock::new();
static PRETENDED: AtomicBool = AtomicBool::new(false);

/// Whether there are: on a GPU, or where [`pretend`] was called before.
pub(crate) fn are_here() -> bool {
    *ARE_HERE.get_or_init(|| {
        let kind = Device::try_default().and_then(|device| device.get_type());
        kind.is_ok_and(|kind| matches!(kind, DeviceType::Gpu))
    })
}

/// Whether kernels of ours, which are written for Metal, can be: on a Mac's GPU, or where [`pretend`] was called before.
pub(crate) fn are_metal() -> bool {
    are_here() && (cfg!(target_os = "macos") || PRETENDED.load(Ordering::Relaxed))
}

/// Has the operations of a GPU issued on a processor too, which takes them apart: to count them. Before any model is loaded.
pub fn pretend() {
    PRETENDED.store(ARE_HERE.set(true).is_ok(), Ordering::Relaxed);
}

/// Whether arrays of this type are computed by fewer operations here than mlx-lm has: by kernels, or in float32.
pub(crate) fn may_differ(dtype: Dtype) -> bool {
    are_here() || dtype == Dtype::Float32
}

/// `x @ matrix + onto`. With CUDA a single row's product is cheap by itself alone: MLX hands a sum of the two to cuBLAS, which
/// costs more than both.
pub(crate) fn product_onto(onto: &Array, x: &Array, matrix: &Array) -> Result<Array> {
    let is_row = x.size() == x.dim(-1) as usize;
    let is_cheaper_apart = is_row && are_here() && !are_metal();
    if may_differ(x.dtype()) && !is_cheaper_apart {
        return ops::addmm(onto, x, matrix, None, None);
    }
    onto.add(ops::matmul(x, matrix)?)
}
