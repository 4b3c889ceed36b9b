//! The two ends of a causal language model, on the ranks that hold them: the embedding, the final norm and the head.

use std::rc::Rc;

use base::ShardSpec;
use mlx_rs::Array;
use mlx_rs::error::Exception;

use super::{Embedding, NormKind, RmsNorm};
use crate::error::LoadError;
use crate::family::Computed;
use crate::load::Weights;

/// What the ends look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Rows of the table.
    pub(crate) vocabulary: i32,
    /// Columns.
    pub(crate) hidden: i32,
    pub(crate) norms: NormKind,
    /// Whether the head is the embedding.
    pub(crate) tied: bool,
    /// What multiplies the embeddings, and the logits.
    pub(crate) scales: [Option<f32>; 2],
}

/// Whichever ends this rank holds.
#[derive(Debug)]
pub(crate) struct Ends {
    embedding: Option<Rc<Embedding>>,
    head: Option<(RmsNorm, Rc<Embedding>)>,
    scales: [Option<f32>; 2],
}

impl Ends {
    /// The embedding where the first layer is, norm and head on rank 0; a tied matrix is read once.
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        spec: &ShardSpec,
        table: &Table,
    ) -> Result<Self, LoadError> {
        let mut read = |path: &str| {
            Embedding::load(weights, path, table.vocabulary, table.hidden).map(Rc::new)
        };
        let embedding = match spec.layers.start {
            0 => Some(read("model.embed_tokens")?),
            _ => None,
        };
        if spec.rank > 0 {
            return Ok(Self {
                embedding,
                head: None,
                scales: table.scales,
            });
        }
        let head = match &embedding {
            Some(embedding) if table.tied => Rc::clone(embedding),
            _ if table.tied => read("model.embed_tokens")?,
            _ => read("lm_head")?,
        };
        let norm = RmsNorm::load(weights, "model.norm", table.hidden, table.norms)?;
        Ok(Self {
            embedding,
            head: Some((norm, head)),
            scales: table.scales,
        })
    }

    /// `[tokens]` to `[tokens, hidden]`. Only on the rank with the first layer.
    pub(crate) fn embed(&self, tokens: &Array) -> Computed {
        match &self.embedding {
            Some(embedding) => scaled(embedding.embed(tokens)?, self.scales[0]),
            None => Err("this rank does not hold the embedding".into()),
        }
    }

    /// The final norm, `[positions, hidden]` to the same. Only on rank 0.
    pub(crate) fn normed(&self, hidden: &Array) -> Computed {
        self.head()?.0.forward(hidden)
    }

    /// Norm and head, `[positions, hidden]` to `[positions, vocabulary]`. Only on rank 0.
    pub(crate) fn logits(&self, hidden: &Array) -> Computed {
        let (norm, head) = self.head()?;
        scaled(head.logits(&norm.forward(hidden)?)?, self.scales[1])
    }

    fn head(&self) -> Result<&(RmsNorm, Rc<Embedding>), Exception> {
        let head = self.head.as_ref();
        head.ok_or_else(|| "this rank does not hold the output head".into())
    }
}

fn scaled(array: Array, scale: Option<f32>) -> Computed {
    match scale {
        Some(scale) => array.multiply(Array::from_f32(scale).as_dtype(array.dtype())?),
        None => Ok(array),
    }
}
