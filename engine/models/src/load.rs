//! Reads models' files: only what a rank needs, and nothing that was not checked.

mod direct;
mod folder;
mod fp8;
mod header;
mod held;
mod names;
mod python_json;
mod weights;
mod wrapped;

pub(crate) use folder::{Config, Folder, Quantization, QuantizationMode};
pub(crate) use header::ElementType;
pub(crate) use held::{Exceptions, Held, Kind, OnLoad};
pub(crate) use weights::{Along, Arranged, Part, Piece, Weights};
