//! Inputs that each layer has of its own, made of the tokens before the first layer (Gemma 3n and the small Gemma 4). They go
//! from layer to layer beside the hidden state.

use mlx_rs::Array;
use mlx_rs::ops;

use super::ends::scaled;
use super::linear::Projection;
use super::{Activation, BlockParts, Cut, Embedding, Linear, NormKind, RmsNorm, StepLayer};
use crate::error::LoadError;
use crate::family::Computed;
use crate::load::Weights;

/// What they look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerInputsShape {
    /// Rows of the table.
    pub(crate) vocabulary: i32,
    pub(crate) layers: i32,
    /// Elements for one layer.
    pub(crate) width: i32,
}

impl LayerInputsShape {
    /// Elements for all layers.
    pub(crate) const fn all(&self) -> i32 {
        self.layers * self.width
    }
}

/// Makes them: from a table of their own, and from the embeddings.
#[derive(Debug)]
pub(crate) struct LayerInputs {
    table: Embedding,
    projection: Linear,
    norm: RmsNorm,
    shape: LayerInputsShape,
    hidden: i32,
}

impl LayerInputs {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        shape: LayerInputsShape,
        hidden: i32,
        norms: NormKind,
    ) -> Result<Self, LoadError> {
        let table = "model.embed_tokens_per_layer";
        let projection = Projection {
            path: "model.per_layer_model_projection",
            experts: None,
            outputs: shape.all(),
            inputs: hidden,
            bias: false,
            cut: Cut::Whole,
        };
        Ok(Self {
            table: Embedding::load(weights, table, shape.vocabulary, shape.all())?,
            projection: Linear::load(weights, &projection)?,
            norm: RmsNorm::load(
                weights,
                "model.per_layer_projection_norm",
                shape.width,
                norms,
            )?,
            shape,
            hidden,
        })
    }

    /// Of `[tokens]` and their embeddings `[tokens, hidden]`: `[tokens, layers * width]`.
    pub(super) fn of(&self, tokens: &Array, embedded: &Array) -> Computed {
        let LayerInputsShape { layers, width, .. } = self.shape;
        let known = scaled(self.table.embed(tokens)?, Some((width as f32).sqrt()))?;
        let made = self.projection.forward(embedded)?;
        let made = scaled(made, Some((self.hidden as f32).powf(-0.5)))?;
        let made = self.norm.forward(&made.reshape(&[-1, layers, width])?)?;
        let both = made.reshape(&[-1, self.shape.all()])?.add(known)?;
        scaled(both, Some(0.5_f32.sqrt()))
    }
}

/// What a layer does with its own.
#[derive(Debug)]
pub(crate) struct LayerInputGate {
    gate: Linear,
    projection: Linear,
    norm: RmsNorm,
    width: i32,
    /// Where it is beside the hidden state.
    column: i32,
}

impl LayerInputGate {
    pub(crate) fn load(parts: &mut BlockParts<'_, '_>, width: i32) -> Result<Self, LoadError> {
        let hidden = parts.hidden;
        Ok(Self {
            gate: parts.whole("per_layer_input_gate", [width, hidden], false)?,
            projection: parts.whole("per_layer_projection", [hidden, width], false)?,
            norm: parts.norm("post_per_layer_input_norm")?,
            width,
            column: parts.layer as i32 * width,
        })
    }

    /// `[tokens, hidden]` to the same.
    pub(super) fn forward(&self, x: &Array, cache: &StepLayer<'_>) -> Computed {
        let input = cache.beside(self.column..self.column + self.width)?;
        let gate = self.gate.forward(x)?;
        let gated = Activation::GeluTanh.gated(&gate, &input)?;
        let said = self.norm.forward(&self.projection.forward(&gated)?)?;
        ops::add(x, said)
    }
}
