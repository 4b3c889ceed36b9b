//! How a model's tensors are held in memory, where that is not as they lie in its files: matrices that are quantized while
//! they are loaded, and floats of 8 bits, which are multiplied out.
//!
//! What is quantized, and how, is what `mlx_lm.convert -q` does (mlx-lm's `utils.quantize_model`, and each model's
//! `quant_predicate`): all matrices whose columns divide into groups, but for what a family excepts.

use base::QuantizedBits;

use super::folder::{Folder, Quantization, QuantizationMode};
use super::fp8;
use super::header::TensorEntry;
use crate::error::LoadError;

/// Elements that share a scale.
const GROUP_SIZE: i32 = 64;

/// How the names of a matrix's tensors end that are not its numbers.
const BESIDE: [&str; 3] = ["bias", "biases", "scales"];

/// What a family's matrices are where they are not quantized like the others. Matrices are told by how their names end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exceptions {
    /// Those of 8 bits.
    pub(crate) eight_bits: Vec<&'static str>,
    /// Those that stay as they are.
    pub(crate) dense: Vec<&'static str>,
    /// Those that become others as they are loaded, which are quantized then, and rows and columns of all of these.
    pub(crate) apart: Vec<(&'static str, Vec<[u64; 2]>)>,
    /// Those that lie in the files with columns before rows.
    pub(crate) turned: Vec<&'static str>,
}

/// How matrices are quantized that are not yet.
#[derive(Debug, Clone)]
pub(crate) struct OnLoad {
    bits: QuantizedBits,
    exceptions: Exceptions,
}

/// What becomes of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Dense,
    /// It is quantized in the files.
    Stored(Quantization),
    /// It is quantized as it is loaded.
    OnLoad(Quantization),
}

/// A folder, and how its tensors are held.
#[derive(Debug, Clone)]
pub(crate) struct Held<'a> {
    pub(crate) folder: &'a Folder,
    on_load: Option<OnLoad>,
}

impl OnLoad {
    pub(crate) const fn new(bits: QuantizedBits, exceptions: Exceptions) -> Self {
        Self { bits, exceptions }
    }

    /// Of the matrix at `path` with so many columns.
    fn how(&self, path: &str, columns: i32) -> Option<Quantization> {
        let Exceptions {
            eight_bits, dense, ..
        } = &self.exceptions;
        if columns % GROUP_SIZE != 0 || ends_with(path, dense) || self.apart(path).is_some() {
            return None;
        }
        let bits = if ends_with(path, eight_bits) {
            QuantizedBits::EIGHT
        } else {
            self.bits
        };
        Some(Quantization {
            mode: QuantizationMode::Affine,
            group_size: GROUP_SIZE,
            bits: i32::from(bits.get()),
        })
    }

    /// Rows and columns of what becomes of the matrix at `path`, if that is others.
    fn apart(&self, path: &str) -> Option<&[[u64; 2]]> {
        let apart = &self.exceptions.apart;
        let found = apart.iter().find(|(name, _)| path.ends_with(name));
        found.map(|(_, parts)| parts.as_slice())
    }

    /// Bytes of a dense tensor once it is loaded, whose elements take so many before.
    fn bytes(&self, name: &str, shape: &[u64], element_bytes: u64) -> u64 {
        let elements: u64 = shape.iter().product();
        let dense = elements * element_bytes;
        let &[.., rows, columns] = shape else {
            return dense;
        };
        if ends_with(name, &BESIDE) {
            return dense;
        }
        let path = path_of(name);
        let of = |path: &str, elements: u64, columns: u64| match self.how(path, columns as i32) {
            Some(how) => {
                let groups = elements / how.group_size as u64;
                elements * how.bits as u64 / 8 + 2 * groups * element_bytes
            }
            None => elements * element_bytes,
        };
        if let Some(parts) = self.apart(path) {
            let parts = parts.iter();
            return parts
                .map(|[rows, columns]| of("", rows * columns, *columns))
                .sum();
        }
        let is_turned = ends_with(name, &self.exceptions.turned);
        of(path, elements, if is_turned { rows } else { columns })
    }
}

/// Whether a name ends with one of some.
fn ends_with(name: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| name.ends_with(end))
}

/// The path of the matrix that a tensor is the numbers of.
fn path_of(name: &str) -> &str {
    name.strip_suffix(".weight").unwrap_or(name)
}

impl<'a> Held<'a> {
    /// As they lie in the files, or as `on_load` says.
    pub(crate) const fn new(folder: &'a Folder, on_load: Option<OnLoad>) -> Self {
        Self { folder, on_load }
    }

    /// What becomes of the matrix at `path` (`model.layers.0.mlp.up_proj`) with so many columns, as it lies in the files.
    pub(crate) fn kind(&self, path: &str, columns: i32) -> Result<Kind, LoadError> {
        if self.has_scales(path)
            && let Some(how) = self.folder.config.quantization(path)?
        {
            return Ok(Kind::Stored(how));
        }
        Ok(self
            .on_load(path, columns)
            .map_or(Kind::Dense, Kind::OnLoad))
    }

    /// How a matrix at `path` is quantized as it is loaded, whatever it lies there as.
    pub(crate) fn on_load(&self, path: &str, columns: i32) -> Option<Quantization> {
        self.on_load.as_ref()?.how(path, columns)
    }

    /// All tensors whose name begins with `prefix`: the rest of the name, and the bytes that they take in memory.
    pub(crate) fn under<'b>(
        &'b self,
        prefix: &'b str,
    ) -> impl Iterator<Item = (&'b str, u64)> + use<'a, 'b> {
        let from = self.folder.tensors.range(prefix.to_string()..);
        from.map_while(move |(name, (_, entry))| {
            Some((name.strip_prefix(prefix)?, self.bytes(name, entry)))
        })
    }

    /// Bytes of all of them.
    pub(crate) fn bytes_under(&self, prefix: &str) -> u64 {
        self.under(prefix).map(|(_, bytes)| bytes).sum()
    }

    fn bytes(&self, name: &str, entry: &TensorEntry) -> u64 {
        let Ok(element) = entry.element else {
            return entry.bytes;
        };
        if fp8::is_beside(self.folder, name) {
            return 0;
        }
        let element_bytes = element.held().bytes();
        match &self.on_load {
            Some(on_load) if element.is_float() && !self.has_scales(path_of(name)) => {
                on_load.bytes(name, &entry.shape, element_bytes)
            }
            _ => entry.shape.iter().product::<u64>() * element_bytes,
        }
    }

    /// Whether the matrix at `path` is quantized in the files.
    fn has_scales(&self, path: &str) -> bool {
        self.folder.tensors.contains_key(&format!("{path}.scales"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_load() -> OnLoad {
        let exceptions = Exceptions {
            eight_bits: vec!["mlp.gate"],
            dense: vec!["router"],
            apart: vec![("kv_b_proj", vec![[256, 64], [128, 32]])],
            turned: vec!["experts.down_proj"],
        };
        OnLoad::new(QuantizedBits::new(4).unwrap(), exceptions)
    }

    fn bytes(name: &str, shape: &[u64]) -> u64 {
        on_load().bytes(name, shape, 2)
    }

    #[test]
    fn bits_are_those_of_the_matrix() {
        let bits = |path, columns| on_load().how(path, columns).map(|how| how.bits);
        assert_eq!(bits("model.layers.0.mlp.up_proj", 128), Some(4));
        assert_eq!(bits("model.layers.0.mlp.up_proj", 96), None);
        assert_eq!(bits("model.layers.0.mlp.gate", 64), Some(8));
        assert_eq!(bits("model.layers.0.router", 64), None);
        assert_eq!(bits("model.layers.0.kv_b_proj", 64), None);
    }

    #[test]
    fn bytes_are_those_of_packed_numbers_scales_and_biases() {
        // 4 bits, and 2 * 16 for each group of 64.
        assert_eq!(bytes("mlp.up_proj.weight", &[32, 128]), 32 * 128 * 9 / 16);
        assert_eq!(bytes("mlp.gate.weight", &[8, 64]), 8 * 64 * 17 / 16);
        assert_eq!(bytes("mlp.up_proj.weight", &[32, 96]), 32 * 96 * 2);
        assert_eq!(bytes("mlp.up_proj.bias", &[8, 128]), 8 * 128 * 2);
        assert_eq!(bytes("norm.weight", &[128]), 256);
        assert_eq!(bytes("experts.down_proj", &[4, 64, 8]), 4 * 64 * 8 * 9 / 16);
        // As mlx-lm saves them, they are not turned.
        let stacked = bytes("experts.down_proj.weight", &[4, 64, 8]);
        assert_eq!(stacked, 4 * 64 * 8 * 2);
        let apart = 256 * 64 * 9 / 16 + 128 * 32 * 2;
        assert_eq!(bytes("kv_b_proj.weight", &[448, 32]), apart);
    }
}
