//! From built programs to what a person downloads: a signed `Espalier.app`, a disk image and a signed update feed.
//!
//! Works the same on macOS and Linux, in plain Rust. It never builds Espalier itself (`cargo xtask dist` does, on a Mac),
//! and nothing of it is part of the product. Heavy dependencies live here so that `cargo xtask` stays light.

pub mod appcast;
pub mod artwork;
pub mod bundle;
pub mod disk_image;
pub mod inputs;
pub mod keys;
pub mod make;
pub mod names;
mod notarize;
pub mod plists;
mod progress;
pub mod releases;
pub mod sign;
pub mod trial;
pub mod verify;
pub mod version;
