//! The two ends of a causal language model, on the ranks that hold them: the embedding, the final norm and the head.

use std::rc::Rc;

use base::ShardSpec;
use mlx_rs::error::Exception;
use mlx_rs::{Array, ops};

use super::{Embedding, LayerInputs, LayerInputsShape, NormKind, RmsNorm};
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
    /// What logits are kept below, by a tanh.
    pub(crate) cap: Option<f32>,
    /// What layers get of their own.
    pub(crate) inputs: Option<LayerInputsShape>,
    /// Columns beside the hidden state, those inputs first.
    pub(crate) beside: i32,
}

/// Whichever ends this rank holds.
#[derive(Debug)]
pub(crate) struct Ends {
    embedding: Option<Rc<Embedding>>,
    inputs: Option<LayerInputs>,
    beside: i32,
    head: Option<(RmsNorm, Rc<Embedding>)>,
    scales: [Option<f32>; 2],
    cap: Option<f32>,
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
        let mut head = None;
        if spec.rank == 0 {
            let matrix = match &embedding {
                Some(embedding) if table.tied => Rc::clone(embedding),
                _ if table.tied => read("model.embed_tokens")?,
                _ => read("lm_head")?,
            };
            let norm = RmsNorm::load(weights, "model.norm", table.hidden, table.norms)?;
            head = Some((norm, matrix));
        }
        let inputs = table.inputs.filter(|_| embedding.is_some());
        let inputs =
            inputs.map(|shape| LayerInputs::load(weights, shape, table.hidden, table.norms));
        Ok(Self {
            embedding,
            inputs: inputs.transpose()?,
            beside: table.beside,
            head,
            scales: table.scales,
            cap: table.cap,
        })
    }

    /// `[tokens]` to `[tokens, hidden + beside]`. Only on the rank with the first layer.
    pub(crate) fn embed(&self, tokens: &Array) -> Computed {
        let Some(embedding) = &self.embedding else {
            return Err("this rank does not hold the embedding".into());
        };
        let embedded = scaled(embedding.embed(tokens)?, self.scales[0])?;
        let mut all = vec![embedded.clone()];
        let mut rest = self.beside;
        if let Some(inputs) = &self.inputs {
            let inputs = inputs.of(tokens, &embedded)?;
            rest -= inputs.dim(1);
            all.push(inputs);
        }
        if rest > 0 {
            all.push(ops::zeros_dtype(&[tokens.dim(0), rest], embedded.dtype())?);
        }
        match all.as_slice() {
            [only] => Ok(only.clone()),
            several => ops::concatenate(several, 1),
        }
    }

    /// The final norm, `[positions, hidden]` to the same. Only on rank 0.
    pub(crate) fn normed(&self, hidden: &Array) -> Computed {
        self.head()?.0.forward(hidden)
    }

    /// Norm and head, `[positions, hidden]` to `[positions, vocabulary]`. Only on rank 0.
    pub(crate) fn logits(&self, hidden: &Array) -> Computed {
        let (norm, head) = self.head()?;
        let logits = scaled(head.logits(&norm.forward(hidden)?)?, self.scales[1])?;
        match self.cap {
            Some(cap) => capped(&logits, cap),
            None => Ok(logits),
        }
    }

    fn head(&self) -> Result<&(RmsNorm, Rc<Embedding>), Exception> {
        let head = self.head.as_ref();
        head.ok_or_else(|| "this rank does not hold the output head".into())
    }
}

/// Multiplied, if by anything.
pub(super) fn scaled(array: Array, scale: Option<f32>) -> Computed {
    match scale {
        Some(scale) => array.multiply(Array::from_f32(scale).as_dtype(array.dtype())?),
        None => Ok(array),
    }
}

fn capped(logits: &Array, cap: f32) -> Computed {
    let cap = Array::from_f32(cap).as_dtype(logits.dtype())?;
    ops::tanh(logits.divide(&cap)?)?.multiply(cap)
}
