//! How experts are chosen and weighed.

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, ops};

use crate::ops::fused::fused;
use crate::ops::slice;

/// How experts are chosen and weighed.
#[derive(Debug)]
pub(crate) struct Routing {
    /// Experts of each token.
    pub(crate) each: i32,
    pub(crate) score: Score,
    /// Added to the scores for the choice alone, `[experts]` (Wang et al. 2024, arXiv 2408.15664).
    pub(crate) correction: Option<Array>,
    /// Of so many groups of experts only the best so many are chosen from: those whose two best experts score most together
    /// (DeepSeek-V3, arXiv 2412.19437).
    pub(crate) groups: Option<[i32; 2]>,
    /// Whether the matrix multiplies what comes in as float32, whatever it is.
    pub(crate) wide: bool,
    /// Whether the chosen ones' weights become 1 together.
    pub(crate) normalize: bool,
    /// Multiplies the weights in the end.
    pub(crate) scale: f32,
    /// The same for each expert, `[experts]`.
    pub(crate) scales: Option<Array>,
}

/// How what the matrix says becomes a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Score {
    /// All together are 1.
    Softmax,
    /// Each is between 0 and 1.
    Sigmoid,
}

impl Routing {
    /// By all experts' softmax.
    pub(crate) const fn softmax(each: i32, normalize: bool) -> Self {
        Self {
            each,
            score: Score::Softmax,
            correction: None,
            groups: None,
            wide: false,
            normalize,
            scale: 1.0,
            scales: None,
        }
    }

    /// Whether the weights are the softmax of what the matrix says of the chosen ones.
    fn is_softmax_of_chosen(&self) -> bool {
        self.score == Score::Softmax
            && self.normalize
            && self.correction.is_none()
            && self.groups.is_none()
            && !self.is_scaled()
    }

    fn is_scaled(&self) -> bool {
        self.scale.to_bits() != 1.0_f32.to_bits()
    }

    /// Of what the matrix says, `[tokens, experts]` of f32: the experts of each token, `[tokens, each]` of u32, and their
    /// weights, the same of f32, but for the scales.
    pub(super) fn choose(&self, said: &Array) -> Result<(Array, Array)> {
        if self.is_softmax_of_chosen() {
            let chosen = best(said, self.each)?;
            let weights = ops::softmax_axis(said.take_along_axis(&chosen, -1)?, -1, true)?;
            return Ok((chosen, weights));
        }
        let scores = match self.score {
            Score::Softmax => ops::softmax_axis(said, -1, true)?,
            Score::Sigmoid => ops::sigmoid(said)?,
        };
        let ranked = match &self.correction {
            Some(correction) => scores.add(correction)?,
            None => scores.clone(),
        };
        let ranked = match self.groups {
            Some([groups, best]) if best < groups => in_best_groups(&ranked, groups, best)?,
            _ => ranked,
        };
        let chosen = best(&ranked, self.each)?;
        let weights = scores.take_along_axis(&chosen, -1)?;
        let scale = Array::from_f32(self.scale);
        let weights = if self.normalize {
            let sum = weights.sum_axis(-1, true)?;
            fused(share, &[&weights, &sum, &scale])?
        } else if self.is_scaled() {
            weights.multiply(scale)?
        } else {
            weights
        };
        Ok((chosen, weights))
    }
}

/// Of weights, their sum and a scale. What is no more than nothing stays nothing.
fn share(inputs: &[Array]) -> Result<Array> {
    let [weights, sum, scale] = inputs else {
        return Err(Exception::custom("weights, their sum and a scale"));
    };
    let scale = scale.divide(sum.add(Array::from_f32(1e-20))?)?;
    weights.multiply(scale)
}

/// The indices of the `count` largest of each row, in any order.
fn best(scores: &Array, count: i32) -> Result<Array> {
    let all = scores.dim(1);
    let order = ops::argpartition_axis(scores, all - count, -1)?;
    slice(&order, &[(1, all - count..all)])
}

/// `[tokens, experts]` with the scores of all experts outside each token's `best` groups at 0.
fn in_best_groups(scores: &Array, groups: i32, best: i32) -> Result<Array> {
    let (tokens, experts) = (scores.dim(0), scores.dim(1));
    let grouped = scores.reshape(&[tokens, groups, -1])?;
    let size = experts / groups;
    let two = 2.min(size);
    let order = ops::partition_axis(&grouped, size - two, -1)?;
    let two = slice(&order, &[(2, size - two..size)])?.sum_axis(-1, true)?;
    let worst = ops::argpartition_axis(&two, groups - best - 1, 1)?;
    let worst = slice(&worst, &[(1, 0..groups - best)])?;
    let nothing = Array::from_f32(0.0).as_dtype(scores.dtype())?;
    let masked = grouped.put_along_axis(worst, nothing, 1)?;
    masked.reshape(&[tokens, experts])
}
