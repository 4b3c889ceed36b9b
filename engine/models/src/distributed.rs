//! The group of ranks: MLX's distributed collectives, safe, with Rust errors.
//!
//! MLX reads where the ranks are from its environment (`MLX_HOSTFILE`, `MLX_RANK`), which the node sets for the
//! worker. Operations are lazy: they run, and fail, when what depends on them is evaluated. Every rank must issue the
//! same ones in the same order. They run on the CPU stream, where MLX's ring lives. When a neighbour is gone, the operation
//! that waits for it fails, but one that was queued behind it may wait for ever: whoever owns the ranks must notice a loss
//! by other means too, as the worker does with its plan link.

use mlx_rs::error::Result;
use mlx_rs::{Array, Dtype, Stream};

use crate::error::{GroupError, said};
use crate::ops::call;

#[cfg(target_os = "linux")]
mod waiting;

/// MLX's backend over TCP, between neighbours of a ring.
const RING: &std::ffi::CStr = c"ring";

/// A group of ranks. Not sent between threads.
#[derive(Debug)]
pub struct Group {
    /// `None` is a group of one, which needs no MLX group.
    handle: Option<mlx_sys::mlx_distributed_group>,
    rank: u32,
    size: u32,
    stream: Stream,
}

impl Group {
    /// A group of one rank.
    pub fn single() -> Self {
        Self {
            handle: None,
            rank: 0,
            size: 1,
            stream: Stream::cpu(),
        }
    }

    /// Joins the ring that MLX's environment describes. Blocks until the neighbours are there, so whoever starts the
    /// process limits the time. Once in a process's life.
    pub fn join() -> std::result::Result<Self, GroupError> {
        // mlx-rs sets its error handler with its first operation; mlx-c's own ends the process.
        Array::from_int(0)
            .eval()
            .map_err(|error| GroupError(said(&error).to_string()))?;
        // SAFETY: makes an empty handle that the next call sets.
        let mut handle = unsafe { mlx_sys::mlx_distributed_group_new() };
        #[cfg(target_os = "linux")]
        let sockets = waiting::Sockets::open();
        // SAFETY: both pointers are valid for the call.
        let status = unsafe { mlx_sys::mlx_distributed_init(&raw mut handle, true, RING.as_ptr()) };
        if status != 0 {
            return Err(GroupError(
                "MLX could not connect the ring (are the other ranks up?)".into(),
            ));
        }
        #[cfg(target_os = "linux")]
        sockets.let_newer_sleep();
        // SAFETY: the handle was set by a successful call.
        let (rank, size) = unsafe {
            (
                mlx_sys::mlx_distributed_group_rank(handle),
                mlx_sys::mlx_distributed_group_size(handle),
            )
        };
        match (u32::try_from(rank), u32::try_from(size)) {
            (Ok(rank), Ok(size)) if rank < size => Ok(Self {
                handle: Some(handle),
                rank,
                size,
                stream: Stream::cpu(),
            }),
            _ => Err(GroupError(format!(
                "MLX says that this is rank {rank} of {size}"
            ))),
        }
    }

    /// This rank, from 0.
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// Number of ranks.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The sum over all ranks of `array`, which has the same shape and dtype on each.
    pub fn all_sum(&self, array: &Array) -> Result<Array> {
        let Some(group) = self.handle else {
            return Ok(array.clone());
        };
        // SAFETY: array, group and stream live through the call.
        call("all_sum", |result| unsafe {
            mlx_sys::mlx_distributed_all_sum(result, array.as_ptr(), group, self.stream.as_ptr())
        })
    }

    /// All ranks' arrays, concatenated along the first axis by rank.
    pub fn all_gather(&self, array: &Array) -> Result<Array> {
        let Some(group) = self.handle else {
            return Ok(array.clone());
        };
        // SAFETY: as in `all_sum`.
        call("all_gather", |result| unsafe {
            mlx_sys::mlx_distributed_all_gather(result, array.as_ptr(), group, self.stream.as_ptr())
        })
    }

    /// Sends `array` to a neighbour in the ring. The sending happens when the returned array is evaluated.
    pub fn send(&self, array: &Array, to: u32) -> Result<Array> {
        let group = self.peer_group(to)?;
        // SAFETY: as in `all_sum`.
        call("send", |result| unsafe {
            mlx_sys::mlx_distributed_send(
                result,
                array.as_ptr(),
                to as i32,
                group,
                self.stream.as_ptr(),
            )
        })
    }

    /// What a neighbour in the ring sends; both sides must agree on shape and dtype.
    pub fn recv(&self, shape: &[i32], dtype: Dtype, from: u32) -> Result<Array> {
        let group = self.peer_group(from)?;
        // SAFETY: as in `all_sum`; the shape outlives the call.
        call("recv", |result| unsafe {
            mlx_sys::mlx_distributed_recv(
                result,
                shape.as_ptr(),
                shape.len(),
                dtype.into(),
                from as i32,
                group,
                self.stream.as_ptr(),
            )
        })
    }

    /// The group, if `peer` is another rank of it.
    fn peer_group(&self, peer: u32) -> Result<mlx_sys::mlx_distributed_group> {
        match self.handle {
            Some(group) if peer < self.size && peer != self.rank => Ok(group),
            _ => Err(
                format!("rank {} has no peer {peer} among {}", self.rank, self.size)
                    .as_str()
                    .into(),
            ),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.handle {
            // SAFETY: the handle is ours and not used again. A failure leaves nothing to do.
            let _ = unsafe { mlx_sys::mlx_distributed_group_free(group) };
        }
    }
}
