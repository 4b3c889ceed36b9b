//! A layer: attention or what stands in its place, then a feed-forward part, each added to what came in.

use std::rc::Rc;

use base::TensorSlice;
use mlx_rs::Array;

use super::linear::{PartWeights, Projection};
use super::{Cut, LayerInputGate, Linear, NormKind, RmsNorm, Rope, StepLayer};
use crate::distributed::Group;
use crate::error::LoadError;
use crate::family::Computed;
use crate::load::Weights;
use crate::ops::slice;

/// Mixes the tokens of each sequence: `[tokens, hidden]` to the same, or to this rank's part of a sum.
pub(crate) trait Mixer {
    fn forward(&self, x: &Array, onto: Onto<'_>, cache: &mut StepLayer<'_>) -> Computed;
}

/// Works on each token alone: `[tokens, hidden]` to the same, or to this rank's part of a sum.
pub(crate) trait FeedForward {
    fn forward(&self, x: &Array, onto: Onto<'_>) -> Computed;
}

/// What a part adds its result to, if to anything: a matrix does it as it multiplies.
pub(crate) type Onto<'a> = Option<&'a Array>;

/// The same for a result that is there.
pub(crate) fn added(said: Array, onto: Onto<'_>) -> Computed {
    match onto {
        Some(onto) => onto.add(said),
        None => Ok(said),
    }
}

/// A feed-forward part in the place of attention.
pub(crate) struct Unmixed<P>(pub(crate) P);

impl<P: FeedForward> Mixer for Unmixed<P> {
    fn forward(&self, x: &Array, onto: Onto<'_>, _cache: &mut StepLayer<'_>) -> Computed {
        self.0.forward(x, onto)
    }
}

/// A layer.
pub(crate) struct Block {
    pub(crate) mixer: Residual<Box<dyn Mixer>>,
    pub(crate) feed_forward: Option<Residual<Box<dyn FeedForward>>>,
    /// Takes the layer's own input in.
    pub(crate) gate: Option<LayerInputGate>,
    /// `[1]`, multiplies what comes out.
    pub(crate) scale: Option<Array>,
}

/// A part whose result is added to what it was given.
pub(crate) struct Residual<P> {
    /// Of what the part sees.
    pub(crate) before: Option<RmsNorm>,
    pub(crate) part: P,
    /// Of what it says.
    pub(crate) after: Option<After>,
    /// By which it is multiplied before it is added.
    pub(crate) scale: Option<f32>,
}

/// What is done to what the ranks' parts say together.
pub(crate) enum After {
    Norm(RmsNorm),
    /// There are two parts, whose words stand side by side: each has its norm, and their sum another.
    Both {
        each: [RmsNorm; 2],
        sum: RmsNorm,
    },
}

impl Block {
    /// With a norm before each part, by the usual names.
    pub(crate) fn usual(
        parts: &mut BlockParts<'_, '_>,
        mixer: impl Mixer + 'static,
        feed_forward: impl FeedForward + 'static,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            mixer: Residual::new(parts.norm("input_layernorm")?, Box::new(mixer)),
            feed_forward: Some(Residual::new(
                parts.norm("post_attention_layernorm")?,
                Box::new(feed_forward),
            )),
            gate: None,
            scale: None,
        })
    }

    /// Of one part.
    pub(crate) fn single(norm: RmsNorm, part: impl Mixer + 'static) -> Self {
        Self {
            mixer: Residual::new(norm, Box::new(part)),
            feed_forward: None,
            gate: None,
            scale: None,
        }
    }

    pub(crate) fn forward(&self, x: &Array, group: &Group, cache: &mut StepLayer<'_>) -> Computed {
        let x = self
            .mixer
            .forward(x, group, |part, x, onto| part.forward(x, onto, cache))?;
        let mut x = match &self.feed_forward {
            Some(part) => part.forward(&x, group, |part, x, onto| part.forward(x, onto))?,
            None => x,
        };
        if let Some(gate) = &self.gate {
            x = gate.forward(&x, cache)?;
        }
        match &self.scale {
            Some(scale) => x.multiply(scale),
            None => Ok(x),
        }
    }
}

impl<P> Residual<P> {
    /// With a norm before it alone.
    pub(crate) fn new(before: RmsNorm, part: P) -> Self {
        Self {
            before: Some(before),
            part,
            after: None,
            scale: None,
        }
    }

    /// With a norm after it.
    pub(crate) fn with_after(before: Option<RmsNorm>, part: P, after: RmsNorm) -> Self {
        Self {
            before,
            part,
            after: Some(After::Norm(after)),
            scale: None,
        }
    }

    fn forward(
        &self,
        x: &Array,
        group: &Group,
        run: impl FnOnce(&P, &Array, Onto<'_>) -> Computed,
    ) -> Computed {
        let seen = match &self.before {
            Some(norm) => norm.forward(x)?,
            None => x.clone(),
        };
        if group.size() == 1 && self.after.is_none() && self.scale.is_none() {
            return run(&self.part, &seen, Some(x));
        }
        let mut said = group.all_sum(&run(&self.part, &seen, None)?)?;
        if let Some(after) = &self.after {
            said = after.forward(&said)?;
        }
        if let Some(scale) = self.scale {
            said = said.multiply(Array::from_f32(scale).as_dtype(said.dtype())?)?;
        }
        x.add(said)
    }
}

impl After {
    fn forward(&self, said: &Array) -> Computed {
        match self {
            Self::Norm(norm) => norm.forward(said),
            Self::Both { each, sum } => {
                let (last, width) = (said.ndim() - 1, said.dim(-1) / 2);
                let first = each[0].forward(&slice(said, &[(last, 0..width)])?)?;
                let second = each[1].forward(&slice(said, &[(last, width..2 * width)])?)?;
                sum.forward(&first.add(second)?)
            }
        }
    }
}

/// Loads the parts of one block.
pub(crate) struct BlockParts<'a, 'folder> {
    pub(crate) weights: &'a mut Weights<'folder>,
    pub(crate) layer: u32,
    /// Width of what goes from layer to layer.
    pub(crate) hidden: i32,
    pub(crate) norms: NormKind,
    /// This rank's slice of each matrix.
    pub(crate) slice: TensorSlice,
    /// The ranks that share them.
    pub(crate) group: &'a Rc<Group>,
    /// Of all layers.
    pub(crate) ropes: &'a [Rc<Rope>],
    /// Whether it is the first layer of this rank that attends to its keys: usually they are its own.
    pub(crate) begins_cache: bool,
}

impl<'folder> BlockParts<'_, 'folder> {
    /// The same for parts that see so many elements.
    pub(super) fn of_width(&mut self, hidden: i32) -> BlockParts<'_, 'folder> {
        BlockParts {
            weights: self.weights,
            hidden,
            ..*self
        }
    }

    /// The full name of a part: `mlp` is `model.layers.0.mlp`.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("model.layers.{}.{name}", self.layer)
    }

    /// Whether the block has such a tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.weights.has(&self.path(name))
    }

    /// Whole heads, or columns of the MLP: rows of the first matrix of a pair.
    pub(crate) fn rows(&self) -> Cut {
        match self.slice {
            TensorSlice::WHOLE => Cut::Whole,
            slice => Cut::Rows(slice),
        }
    }

    /// The columns of the second matrix of a pair that belong to those rows.
    pub(crate) fn columns(&self) -> Cut {
        match self.slice {
            TensorSlice::WHOLE => Cut::Whole,
            slice => Cut::Columns(slice),
        }
    }

    /// This rank's share of `count` heads.
    pub(crate) fn share(&self, count: i32) -> i32 {
        count / self.slice.of as i32
    }

    /// Where this rank's share of each of some segments is, which lie one behind the other.
    pub(crate) fn of_segments(&self, segments: &[i32]) -> Vec<(i32, i32)> {
        let mut before = 0;
        let own = segments.iter().map(|&length| {
            let share = self.share(length);
            let from = before + share * self.slice.index as i32;
            before += length;
            (from, from + share)
        });
        own.collect()
    }

    /// This rank's part of a tensor with a number for each of so many heads.
    pub(crate) fn of_heads(&mut self, name: &str, heads: i32) -> Result<Array, LoadError> {
        let (name, along) = (self.path(name), self.rows().along(0, 0));
        self.weights.take(&name, &[heads], along)
    }

    /// The matrices of a part, whose names begin alike.
    pub(crate) fn part(&mut self, name: &str, bias: bool) -> PartWeights<'_, 'folder> {
        PartWeights {
            path: self.path(name),
            weights: self.weights,
            bias,
            experts: None,
        }
    }

    /// A norm of the block.
    pub(crate) fn norm(&mut self, name: &str) -> Result<RmsNorm, LoadError> {
        self.norm_of(name, self.hidden)
    }

    /// A norm over so many elements.
    pub(crate) fn norm_of(&mut self, name: &str, width: i32) -> Result<RmsNorm, LoadError> {
        RmsNorm::load(self.weights, &self.path(name), width, self.norms)
    }

    /// A matrix that every rank holds whole.
    pub(crate) fn whole(
        &mut self,
        name: &str,
        [outputs, inputs]: [i32; 2],
        bias: bool,
    ) -> Result<Linear, LoadError> {
        let path = self.path(name);
        let projection = Projection {
            path: &path,
            experts: None,
            outputs,
            inputs,
            bias,
            cut: Cut::Whole,
        };
        Linear::load(self.weights, &projection)
    }
}
