//! Frames between a node and its worker, between the workers of a model, and between nodes.
//!
//! Owns the serialized form of base's types; each comes in through a fallible conversion, so that what is past it is
//! valid. Never: a socket, a clock, or what a frame means.

pub mod codec;
mod collection;
pub mod files;
mod mirror;
pub mod peer;
pub mod roster;
pub mod step;
pub mod worker;

pub use codec::{Decoder, Frame, FrameError, Invalid, PROTOCOL_VERSION, encode};
