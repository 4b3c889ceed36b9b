//! The model folders on this disk: which there are, whether they are whole, the embedded Sprout, models derived from
//! these, and how models get here from a hub.
//!
//! Everything but the download blocks on files, so `node` calls it on its own thread. Never: what an architecture means, a
//! file trusted before it is checked.

mod about;
mod catalogue;
mod close_names;
mod derived;
pub mod download;
mod fingerprint;
mod folder;
mod hf_cache;
mod known;
mod places;
mod shape;
mod sprout;
mod usage;
mod weights;

pub use about::About;
pub use catalogue::{Catalogue, Model, RemoveError, ResolveError};
pub use derived::{Derived, DerivedError};
pub use fingerprint::of_commit as fingerprint_of_commit;
pub use folder::{FolderError, ModelFolder};
pub use known::{KnownModel, KnownRepository, known_models, known_repository};
pub use places::{Place, PlaceKind, Places};
pub use shape::{shape, tensors};
pub use sprout::{SPROUT, SproutError};
pub use usage::{
    Begun, Candidate, Fate, HeldModel, Leftover, PlaceUsage, Remains, Room, Usage, make_room,
};
