//! A routing in one operation, by a kernel of Metal.

use std::cell::RefCell;
use std::collections::HashMap;

use mlx_rs::error::{ConversionError, Exception, Result};
use mlx_rs::fast::{
    MetalKernel, MetalKernelApplyOptions, MetalKernelOptions, MetalKernelOutput, TemplateArg,
};
use mlx_rs::{Array, Dtype, Stream, with_stream};

use super::routing::{Routing, Score};
use crate::ops::kernels;

/// Lanes of a simdgroup, which chooses for one token.
const LANES: i32 = 32;
/// What fits into a lane's registers.
const EXPERTS_MAX: i32 = 1024;
const EACH_MAX: i32 = 32;
/// Groups are bits of a word.
const GROUPS_MAX: i32 = 32;
/// Tokens that a kernel is tried on, and how far its weights may be from those of MLX's operations: both are float32.
const TRIED: i32 = 8;
const TOLERANCE: f32 = 1e-4;

thread_local! {
    static KERNEL: MetalKernel = MetalKernel::new(
        "choose_experts",
        &["said", "correction", "scale"],
        &["chosen", "weights"],
        include_str!("choose.metal"),
        MetalKernelOptions {
            ensure_row_contiguous: true,
            ..MetalKernelOptions::default()
        },
    )
    .expect("names without zeros");
    /// Whether a kernel was right when it was tried.
    static TRIED_ONES: RefCell<HashMap<Shape, bool>> = RefCell::default();
}

/// What the kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    experts: i32,
    each: i32,
    groups: i32,
    best: i32,
    softmax: bool,
    normalize: bool,
}

/// The same as [`Routing::choose`].
#[derive(Debug)]
pub(super) struct ChoiceKernel {
    shape: Shape,
    /// Of each expert, zeros if there is none.
    correction: Array,
    /// `[1]`.
    scale: Array,
}

impl ChoiceKernel {
    /// `None` where there is no Metal, the routing is too large for it, or it was tried and did not do the same.
    pub(super) fn of(how: &Routing, experts: i32) -> Result<Option<Self>> {
        if !kernels::are_metal() {
            return Ok(None);
        }
        let kernel = Self::untried(how, experts)?;
        Ok(kernel.filter(|kernel| kernel.is_right(how)))
    }

    fn untried(how: &Routing, experts: i32) -> Result<Option<Self>> {
        let [groups, best] = how.groups.unwrap_or([1, 1]);
        let fits = experts <= EXPERTS_MAX && how.each <= EACH_MAX && groups <= GROUPS_MAX;
        if !fits {
            return Ok(None);
        }
        let correction = match &how.correction {
            Some(correction) => correction.as_dtype(Dtype::Float32)?,
            None => Array::zeros::<f32>(&[experts])?,
        };
        Ok(Some(Self {
            shape: Shape {
                experts,
                each: how.each,
                groups,
                best,
                softmax: how.score == Score::Softmax,
                normalize: how.normalize,
            },
            correction,
            scale: Array::from_slice(&[how.scale], &[1]),
        }))
    }

    /// Of `[tokens, experts]` of any type: the experts of each token and their weights, of the type that is asked for.
    pub(super) fn choose(&self, said: &Array, weights: Dtype) -> Result<(Array, Array)> {
        let tokens = said.dim(0);
        let output = |dtype| MetalKernelOutput {
            shape: vec![tokens, self.shape.each],
            dtype,
        };
        let options = MetalKernelApplyOptions {
            template_args: self.shape.arguments(said.dtype(), weights),
            ..MetalKernelApplyOptions::default()
        };
        let inputs = [said, &self.correction, &self.scale];
        let outputs = [output(Dtype::Uint32), output(weights)];
        let (grid, group) = ((LANES, tokens, 1), (LANES, 1, 1));
        let apply = |kernel: &MetalKernel| {
            // SAFETY: a simdgroup reads row `y` of `said`, of which there are `tokens`, and all of `correction` and `scale`, and
            // writes row `y` of both outputs, whole; an index that it writes is below `experts`.
            unsafe { kernel.apply(&inputs, &outputs, grid, group, options) }
        };
        let stream = Stream::thread_local_or_default();
        let [chosen, weights] = with_stream(&stream, || KERNEL.with(apply))?
            .try_into()
            .expect("as many outputs as were named");
        Ok((chosen, weights))
    }

    /// Whether it does what MLX's operations do; tried once for each shape, since no kernel of ours is compiled before it is used.
    fn is_right(&self, how: &Routing) -> bool {
        let known = TRIED_ONES.with_borrow(|tried| tried.get(&self.shape).copied());
        known.unwrap_or_else(|| {
            let difference = self.difference(how);
            let is_right = matches!(difference, Ok(difference) if difference < TOLERANCE);
            if !is_right {
                tracing::warn!(shape = ?self.shape, ?difference, "the kernel that chooses experts is not used");
            }
            TRIED_ONES.with_borrow_mut(|tried| tried.insert(self.shape, is_right));
            is_right
        })
    }

    /// The largest difference of an expert's weight on made-up scores; infinite if it is chosen by one of the two alone.
    fn difference(&self, how: &Routing) -> Result<f32> {
        let said = made_up(TRIED, self.shape.experts);
        let (ours, theirs) = (self.choose(&said, Dtype::Float32)?, how.choose(&said)?);
        let (ours, theirs) = (by_expert(&ours)?, by_expert(&theirs)?);
        let apart = ours.iter().zip(&theirs).map(|(ours, theirs)| {
            if ours.0 == theirs.0 {
                (ours.1 - theirs.1).abs()
            } else {
                f32::INFINITY
            }
        });
        Ok(apart.fold(0.0, f32::max))
    }
}

impl Shape {
    fn arguments(&self, said: Dtype, weights: Dtype) -> Vec<(String, TemplateArg)> {
        [
            ("T", TemplateArg::Dtype(said)),
            ("W", TemplateArg::Dtype(weights)),
            ("EXPERTS", TemplateArg::Int(self.experts)),
            ("EACH", TemplateArg::Int(self.each)),
            ("GROUPS", TemplateArg::Int(self.groups)),
            ("BEST", TemplateArg::Int(self.best)),
            ("SOFTMAX", TemplateArg::Bool(self.softmax)),
            ("NORMALIZE", TemplateArg::Bool(self.normalize)),
        ]
        .map(|(name, value)| (name.into(), value))
        .into()
    }
}

/// Scores between -4 and 4 in no order, no two of a row alike.
fn made_up(tokens: i32, experts: i32) -> Array {
    // The golden ratio's multiples are spread evenly (Weyl 1916).
    let score = |at: i32| 8.0 * (f64::from(at + 1) * 0.618_033_988_749_895).fract() - 4.0;
    let scores: Vec<f32> = (0..tokens * experts).map(|at| score(at) as f32).collect();
    Array::from_slice(&scores, &[tokens, experts])
}

/// Token, expert and weight of each choice, in the order of experts.
fn by_expert((chosen, weights): &(Array, Array)) -> Result<Vec<((usize, u32), f32)>> {
    let each = chosen.dim(1) as usize;
    let unread = |error: ConversionError| Exception::custom(error.to_string());
    let chosen: Vec<u32> = chosen.contiguous()?.to_vec_exact().map_err(unread)?;
    let weights: Vec<f32> = weights.contiguous()?.to_vec_exact().map_err(unread)?;
    let tokens = (0..chosen.len()).map(|at| at / each);
    let mut all: Vec<_> = tokens.zip(chosen).zip(weights).collect();
    all.sort_by_key(|(choice, _)| *choice);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::emulated::is_under_metal;

    fn routing(score: Score, [experts, each, groups, best]: [i32; 4], seed: u64) -> Routing {
        let key = mlx_rs::random::key(seed).unwrap();
        let correction = mlx_rs::random::uniform::<_, f32>(-0.2, 0.2, &[experts], &key).unwrap();
        Routing {
            score,
            correction: (score == Score::Sigmoid).then_some(correction),
            groups: Some([groups, best]),
            scale: 2.5,
            ..Routing::softmax(each, seed.is_multiple_of(2))
        }
    }

    #[test]
    fn test_kernel_chooses_as_the_operations_do() {
        if !is_under_metal(
            "layers::router::choice_kernel::tests::test_kernel_chooses_as_the_operations_do",
        ) {
            return;
        }
        let sizes = [
            [8, 2, 1, 1],
            [8, 1, 4, 2],
            [40, 5, 1, 1],
            [60, 4, 5, 3],
            [128, 8, 1, 1],
            [256, 8, 8, 4],
            [384, 8, 1, 1],
            [512, 22, 16, 4],
        ];
        for (seed, size) in (0..).zip(sizes.into_iter().chain(sizes)) {
            for score in [Score::Sigmoid, Score::Softmax] {
                let how = routing(score, size, seed);
                let kernel = ChoiceKernel::untried(&how, size[0]).unwrap().unwrap();
                let difference = kernel.difference(&how).unwrap();
                assert!(difference < 1e-6, "{score:?} {size:?}: {difference}");
                assert!(ChoiceKernel::of(&how, size[0]).unwrap().is_some());
            }
        }
    }

    #[test]
    fn test_kernel_chooses_an_expert_where_scores_are_no_numbers() {
        if !is_under_metal(
            "layers::router::choice_kernel::tests::test_kernel_chooses_an_expert_where_scores_are_no_numbers",
        ) {
            return;
        }
        let kernel = ChoiceKernel::of(&routing(Score::Sigmoid, [8, 2, 4, 2], 0), 8);
        let kernel = kernel.unwrap().unwrap();
        let said = Array::full::<f32>(&[3, 8], Array::from_f32(f32::NAN)).unwrap();
        let (chosen, _) = kernel.choose(&said, Dtype::Bfloat16).unwrap();
        let chosen: Vec<u32> = chosen.to_vec_exact().unwrap();
        assert!(chosen.iter().all(|expert| *expert < 8), "{chosen:?}");
    }

    #[test]
    fn test_a_kernel_that_does_something_else_is_found_out() {
        if !is_under_metal(
            "layers::router::choice_kernel::tests::test_a_kernel_that_does_something_else_is_found_out",
        ) {
            return;
        }
        let how = routing(Score::Sigmoid, [256, 8, 8, 4], 0);
        let mut kernel = ChoiceKernel::of(&how, 256).unwrap().unwrap();
        kernel.shape.best = 3;
        assert!(kernel.difference(&how).unwrap() >= TOLERANCE);
        assert!(!kernel.is_right(&how));
    }
}
