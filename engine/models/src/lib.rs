//! The models: the only crate that links MLX, and the only one with `unsafe` code.
//!
//! One file for each [`family`], on what they share: [`decoder`], and the [`layers`] it is made of; [`load`] reads the byte
//! ranges that a rank needs; [`distributed`] is the group of ranks; [`MlxBackend`] runs `infer`'s step plans. MLX arrays never leave
//! the thread that made them, and no name of a user, a request or a node is known here.

#![expect(
    unsafe_code,
    reason = "mlx-c is C: every call says in a SAFETY comment why it is sound"
)]

mod ahead;
pub mod backend;
mod chunks;
mod decoder;
pub mod distributed;
mod end;
pub mod error;
mod family;
mod layers;
pub mod load;
pub mod memory;
mod ops;
mod outputs;
mod prefixes;

pub use backend::{MlxBackend, load};
pub use distributed::Group;
pub use end::end_process;
pub use error::{GroupError, LoadError};
pub use family::{inspect, supported};
pub use ops::kernels::pretend as pretend_kernels;
pub use prefixes::PrefixFolder;
