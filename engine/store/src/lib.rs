//! The model folders on this disk: which there are, whether they are whole, and the embedded Sprout.
//!
//! Everything here blocks on files, so `node` calls it on its own thread. Never: what an architecture means, the network,
//! a file trusted before it is checked.

mod about;
mod catalogue;
mod close_names;
mod fingerprint;
mod folder;
mod sprout;
mod weights;

pub use about::About;
pub use catalogue::{Catalogue, Model, ResolveError};
pub use folder::{FolderError, ModelFolder};
pub use sprout::{SPROUT, SproutError};
