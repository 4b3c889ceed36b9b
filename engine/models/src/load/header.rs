//! The header of a safetensors file, read without the rest and checked before anything is believed.
//!
//! Format: `u64` little-endian length of the header, the header in JSON, the data
//! (<https://github.com/huggingface/safetensors#format>). The safetensors crate wants the whole file in memory; a rank
//! reads a few ranges of files of gigabytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mlx_rs::Dtype;
use serde::Deserialize;

use crate::error::LoadError;

/// What the reference implementation allows. The largest real headers have a few megabytes.
const HEADER_BYTES_MAX: u64 = 100_000_000;
/// MLX counts elements of a dimension in `i32`, and no model needs more dimensions.
const DIMENSIONS_MAX: usize = 8;

/// Where a tensor lies in a file, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorEntry {
    /// Type of its elements, by its name in the file. One that is not supported matters only if the tensor is needed.
    pub(crate) element: Result<ElementType, String>,
    /// Elements along each dimension.
    pub(crate) shape: Vec<u64>,
    /// First byte, from the start of the file.
    pub(crate) start: u64,
    /// Length.
    pub(crate) bytes: u64,
}

impl TensorEntry {
    /// Type of its elements; `name` is the tensor's, for the error.
    pub(crate) fn element(&self, name: &str) -> Result<ElementType, LoadError> {
        self.element.clone().map_err(|other| LoadError::Tensor {
            tensor: name.to_string(),
            problem: format!("its data type {other} is not supported"),
        })
    }
}

/// A safetensors element type that MLX models use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementType {
    F32,
    F16,
    Bf16,
    U32,
    U8,
    /// Floats of 8 bits with 4 of exponent and 3 of fraction (Micikevicius et al. 2022, arXiv 2209.05433).
    F8E4m3,
}

impl ElementType {
    fn parse(name: &str) -> Option<Self> {
        let known = [
            Self::F32,
            Self::F16,
            Self::Bf16,
            Self::U32,
            Self::U8,
            Self::F8E4m3,
        ];
        known.into_iter().find(|element| element.name() == name)
    }

    /// As files have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::U32 => "U32",
            Self::U8 => "U8",
            Self::F8E4m3 => "F8_E4M3",
        }
    }

    /// As arrays have it: those of 8 bits are read as what they stand for.
    pub(crate) const fn held(self) -> Self {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 | Self::U32 | Self::U8 => self,
            Self::F8E4m3 => Self::Bf16,
        }
    }

    /// Whether it is a number of a model, not a part of some.
    pub(crate) const fn is_float(self) -> bool {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 | Self::F8E4m3 => true,
            Self::U32 | Self::U8 => false,
        }
    }

    /// Bytes of one element in a file.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::U8 | Self::F8E4m3 => 1,
        }
    }

    /// MLX's name for it, as arrays have it.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::Float32,
            Self::F16 => Dtype::Float16,
            Self::Bf16 | Self::F8E4m3 => Dtype::Bfloat16,
            Self::U32 => Dtype::Uint32,
            Self::U8 => Dtype::Uint8,
        }
    }
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The tensors of a file.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, TensorEntry>, LoadError> {
    let damaged = |problem: String| LoadError::Damaged {
        file: path.to_path_buf(),
        problem,
    };
    let unreadable = |source| LoadError::File {
        file: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let file_bytes = file.metadata().map_err(unreadable)?.len();
    let mut length = [0; 8];
    file.read_exact_at(&mut length, 0)
        .map_err(|_| damaged(format!("truncated: {file_bytes} bytes in all")))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > HEADER_BYTES_MAX || header_bytes > file_bytes.saturating_sub(8) {
        return Err(damaged(format!(
            "its header claims {header_bytes} bytes of a file of {file_bytes}"
        )));
    }
    let mut header = vec![0; header_bytes as usize];
    file.read_exact_at(&mut header, 8).map_err(unreadable)?;
    parse(&header, file_bytes).map_err(damaged)
}

/// Checks a header against the length of its file.
fn parse(header: &[u8], file_bytes: u64) -> Result<BTreeMap<String, TensorEntry>, String> {
    let raw: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header)
        .map_err(|error| format!("its header is not JSON: {error}"))?;
    let data_start = 8 + header.len() as u64;
    let data_bytes = file_bytes - data_start;
    let mut tensors = BTreeMap::new();
    for (name, value) in raw {
        if name == "__metadata__" {
            continue;
        }
        let entry: RawEntry =
            serde_json::from_value(value).map_err(|error| format!("tensor {name}: {error}"))?;
        let entry = check(&entry, data_start, data_bytes)
            .map_err(|problem| format!("tensor {name}: {problem}"))?;
        tensors.insert(name, entry);
    }
    Ok(tensors)
}

fn check(raw: &RawEntry, data_start: u64, data_bytes: u64) -> Result<TensorEntry, String> {
    let [begin, end] = raw.data_offsets;
    let element = ElementType::parse(&raw.dtype).ok_or_else(|| raw.dtype.clone());
    if begin > end || end > data_bytes {
        return Err(format!(
            "bytes {begin} to {end} are outside of the file's {data_bytes} (is it truncated?)"
        ));
    }
    if raw.shape.len() > DIMENSIONS_MAX || raw.shape.iter().any(|&size| size > i32::MAX as u64) {
        return Err(format!("shape {:?} is impossible", raw.shape));
    }
    let elements = raw
        .shape
        .iter()
        .try_fold(1u64, |product, &size| product.checked_mul(size));
    let expected = |element: &ElementType| elements?.checked_mul(element.bytes());
    if element
        .as_ref()
        .is_ok_and(|element| expected(element) != Some(end - begin))
    {
        return Err(format!(
            "shape {:?} of {} does not take {} bytes",
            raw.shape,
            raw.dtype,
            end - begin
        ));
    }
    Ok(TensorEntry {
        element,
        shape: raw.shape.clone(),
        start: data_start + begin,
        bytes: end - begin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(entry: &str) -> Result<BTreeMap<String, TensorEntry>, String> {
        let header = format!("{{\"__metadata__\":{{}},\"w\":{entry}}}");
        parse(header.as_bytes(), 8 + header.len() as u64 + 64)
    }

    #[test]
    fn a_sound_entry_is_placed_after_the_header() {
        let tensors = one(r#"{"dtype":"F32","shape":[2,4],"data_offsets":[8,40]}"#).unwrap();
        assert_eq!(
            (tensors["w"].bytes, tensors["w"].shape.as_slice()),
            (32, &[2, 4][..])
        );
    }

    #[test]
    fn a_type_that_is_not_supported_is_an_error_only_where_it_is_needed() {
        let tensors = one(r#"{"dtype":"F8_E5M2","shape":[32],"data_offsets":[0,32]}"#).unwrap();
        let error = tensors["w"].element("w").unwrap_err();
        assert_eq!(
            error.to_string(),
            "tensor w: its data type F8_E5M2 is not supported"
        );
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_name() {
        for entry in [
            r#"{"dtype":"F32","shape":[2,4],"data_offsets":[40,8]}"#,
            r#"{"dtype":"F32","shape":[2,4],"data_offsets":[40,72]}"#,
            r#"{"dtype":"F32","shape":[2,5],"data_offsets":[0,32]}"#,
            r#"{"dtype":"F32","shape":[18446744073709551615,4],"data_offsets":[0,32]}"#,
            r#"{"dtype":"F32","shape":[65536,65536,65536,65536,1],"data_offsets":[0,0]}"#,
            r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,32]}"#,
            "7",
        ] {
            assert!(one(entry).unwrap_err().contains("tensor w"), "{entry}");
        }
        assert!(parse(b"[", 9).is_err());
    }
}
