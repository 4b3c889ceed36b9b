//! How a model divides between tensor ranks.

use crate::error::LoadError;
use crate::load::Held;

/// How a model's layers divide between tensor ranks, and what of them a token needs.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Heads and columns, which the number of ranks divides.
    pub(crate) divided: Vec<i32>,
    /// Matrices of a layer that are cut by their columns, with the number of these: it may be quantization groups that are
    /// divided.
    pub(crate) by_columns: Vec<(&'static str, i32)>,
    /// How the names of tensors begin that every rank holds whole.
    pub(crate) whole: Vec<&'static str>,
    pub(crate) experts: Option<ExpertsUse>,
}

/// How much of a layer's experts a token needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExpertsUse {
    /// How the names of their tensors begin.
    pub(crate) names: [&'static str; 2],
    pub(crate) count: i32,
    /// Of each token.
    pub(crate) each: i32,
}

impl Layout {
    /// With norms of queries and keys over all heads, of which each rank has its part.
    pub(crate) fn with_norms_across(mut self) -> Self {
        let across = ["self_attn.q_norm.", "self_attn.k_norm."];
        self.whole.retain(|name| !across.contains(name));
        self
    }

    /// The numbers of ranks by which a model can be divided.
    pub(super) fn tensor_degrees(
        &self,
        held: &Held<'_>,
        layers: i32,
    ) -> Result<Vec<u32>, LoadError> {
        let mut sizes = self.divided.clone();
        for (name, columns) in &self.by_columns {
            for layer in 0..layers {
                let path = format!("model.layers.{layer}.{name}");
                let stored = held.folder.config.quantization(&path)?;
                if let Some(how) = stored.or_else(|| held.on_load(&path, *columns)) {
                    sizes.push(columns / how.group_size);
                }
            }
        }
        Ok(common_degrees(&sizes))
    }
}

/// The numbers of ranks by which all of `sizes` divide.
fn common_degrees(sizes: &[i32]) -> Vec<u32> {
    let largest = sizes.iter().copied().min().unwrap_or(1).max(1);
    (1..=largest)
        .filter(|degree| sizes.iter().all(|size| size % degree == 0))
        .map(|degree| degree as u32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_divide_everything() {
        assert_eq!(common_degrees(&[12, 6, 528]), [1, 2, 3, 6]);
        assert_eq!(common_degrees(&[8, 2, 1000]), [1, 2]);
    }
}
