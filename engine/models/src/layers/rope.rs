//! Rotary position embedding (Su et al. 2021), plain or scaled in one of several ways.

use std::f32::consts::PI;

use mlx_rs::error::Result as Done;
use mlx_rs::{Array, Dtype, fast, ops};
use serde::Deserialize;

use super::{StepLayer, Temperature};
use crate::error::LoadError;
use crate::family::Computed;
use crate::ops::fused::fused;
use crate::ops::{kernels, slice};

/// Where a configuration does not say how long a sequence may be.
const CONTEXT_USUAL: u32 = 4096;

/// The settings of `config.json`, as its older (`rope_theta`, `rope_scaling`) and newer (`rope_parameters`) forms
/// have them.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct RopeConfig {
    rope_theta: Option<f32>,
    #[serde(default)]
    pub(crate) rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    rope_parameters: Option<RopeScaling>,
    max_position_embeddings: Option<u32>,
    original_max_position_embeddings: Option<f32>,
}

/// Those of one rope.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct RopeScaling {
    rope_type: Option<String>,
    /// Its older name; some configurations have both.
    r#type: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
    beta_fast: Option<f32>,
    beta_slow: Option<f32>,
    mscale: Option<f32>,
    mscale_all_dim: Option<f32>,
    long_factor: Option<Vec<f32>>,
    llama_4_scaling_beta: Option<f32>,
    partial_rotary_factor: Option<f32>,
}

/// Rotates queries and keys by their positions.
#[derive(Debug)]
pub(crate) struct Rope {
    dimensions: i32,
    traditional: bool,
    /// The wavelengths over 2π of each pair of dimensions.
    wavelengths: Array,
    /// One over them.
    frequencies: Array,
    /// Multiplies what is rotated.
    magnitude: f32,
}

impl Rope {
    /// Rope over heads of `dimensions` elements; an unknown kind of scaling is refused, never left out.
    pub(crate) fn new(config: &RopeConfig, dimensions: i32) -> Result<Self, LoadError> {
        let theta = config.theta();
        let traditional = config.rope_traditional;
        let usual = || usual_wavelengths(theta, dimensions);
        let with = |wavelengths: Vec<f32>, magnitude: f32| {
            Ok(Self::with(
                &wavelengths,
                traditional,
                dimensions,
                magnitude,
            )?)
        };
        let Some(scaling) = config.scaling() else {
            return Ok(Self::plain(theta, traditional, dimensions)?);
        };
        match scaling.kind() {
            "default" => Ok(Self::plain(theta, traditional, dimensions)?),
            "linear" => {
                let factor = scaling.factor.unwrap_or(1.0);
                with(usual().map(|usual| usual * factor).collect(), 1.0)
            }
            "llama3" => with(llama3_wavelengths(scaling, theta, dimensions), 1.0),
            "yarn" | "deepseek_yarn" => {
                let wavelengths = yarn_wavelengths(scaling, theta, dimensions);
                with(wavelengths, scaling.yarn_magnitude())
            }
            "proportional" => with(proportional_wavelengths(scaling, theta, dimensions), 1.0),
            "longrope" | "su" => {
                let long = scaling.long_factor.as_deref().unwrap_or_default();
                if long.len() != dimensions as usize / 2 {
                    return Err(LoadError::Unsupported(format!(
                        "rope scaling has {} long factors for {dimensions} dimensions",
                        long.len()
                    )));
                }
                let stretched = usual().zip(long).map(|(usual, factor)| usual * factor);
                with(stretched.collect(), config.longrope_magnitude(scaling))
            }
            other => Err(LoadError::Unsupported(format!(
                "rope scaling of the kind {other} is not supported"
            ))),
        }
    }

    /// Without any scaling.
    pub(crate) fn plain(theta: f32, traditional: bool, dimensions: i32) -> Done<Self> {
        let wavelengths: Vec<f32> = usual_wavelengths(theta, dimensions).collect();
        let pairs = dimensions / 2;
        // To the last bit as MLX has them: half precision may round their cosines otherwise.
        let step = Array::from_f32(theta.ln() / pairs as f32);
        let powers = ops::arange::<_, f32>(0, -pairs, Some(-1))?.multiply(step)?;
        Ok(Self {
            frequencies: powers.exp()?,
            ..Self::with(&wavelengths, traditional, dimensions, 1.0)?
        })
    }

    fn with(wavelengths: &[f32], traditional: bool, dimensions: i32, magnitude: f32) -> Done<Self> {
        let wavelengths = Array::from_slice(wavelengths, &[wavelengths.len() as i32]);
        Ok(Self {
            dimensions,
            traditional,
            frequencies: wavelengths.reciprocal()?,
            wavelengths,
            magnitude,
        })
    }

    /// `[tokens, heads, 1, elements]`, each token by its position in the step of `cache`; elements beyond the rope's dimensions
    /// stay as they are.
    pub(crate) fn rotate(&self, x: &Array, cache: &StepLayer<'_>) -> Computed {
        if self.is_of_all(x.dim(-1)) {
            return self.turned(x, cache);
        }
        if kernels::are_here() {
            return self.rotate_at_once(x, cache.positions());
        }
        let part = |range| slice(x, &[(3, range)]);
        let turned = self.turned(&part(0..self.dimensions)?, cache)?;
        ops::concatenate(&[turned, part(self.dimensions..x.dim(-1))?], -1)
    }

    /// Whether it rotates all elements of heads that have so many.
    pub(super) const fn is_of_all(&self, elements: i32) -> bool {
        self.dimensions == elements
    }

    fn turned(&self, x: &Array, cache: &StepLayer<'_>) -> Computed {
        let [first, second] = self.pairs(x)?;
        let [by_first, by_second] = self.turns(x.dtype(), cache)?;
        let turned = fused(turn, &[&first, &second, &by_first, &by_second])?;
        turned.reshape(x.shape())
    }

    /// Heads of as many elements as the rope has, `[.., elements]`, as pairs that turn together: `[.., 2, elements / 2]`, or
    /// these axes in each other's place.
    pub(super) fn in_pairs(&self, heads: &[i32]) -> Vec<i32> {
        let pairs = self.dimensions / 2;
        let last = if self.traditional {
            [pairs, 2]
        } else {
            [2, pairs]
        };
        [heads, &last].concat()
    }

    /// The first of each of the pairs that are turned, and the second, of `[tokens, heads, 1, elements]`.
    pub(super) fn pairs(&self, x: &Array) -> Done<[Array; 2]> {
        if kernels::may_differ(x.dtype()) {
            self.halves(x)
        } else {
            self.halves(&self.magnified(x)?)
        }
    }

    /// The same as they are.
    pub(super) fn halves(&self, x: &Array) -> Done<[Array; 2]> {
        let pairs = x.reshape(&self.in_pairs(&[x.dim(0), x.dim(1)]))?;
        let axis = if self.traditional { 3 } else { 2 };
        Ok([
            slice(&pairs, &[(axis, 0..1)])?,
            slice(&pairs, &[(axis, 1..2)])?,
        ])
    }

    /// What the first of a pair of this type counts for both of it at each token's position, and the second: `[tokens, 1, ..]`
    /// with the last axes of `in_pairs`, of f32 unless that differs from what MLX does. Once in a step.
    pub(super) fn turns(&self, dtype: Dtype, cache: &StepLayer<'_>) -> Done<[Array; 2]> {
        cache.turns(self, |positions| {
            let positions = positions.as_dtype(Dtype::Float32)?.reshape(&[-1, 1])?;
            let angles = positions.multiply(&self.frequencies)?;
            let (mut cos, mut sin) = (ops::cos(&angles)?, ops::sin(&angles)?);
            if kernels::may_differ(dtype) {
                let magnitude = Array::from_f32(self.magnitude);
                (cos, sin) = (cos.multiply(&magnitude)?, sin.multiply(&magnitude)?);
            } else {
                (cos, sin) = (cos.as_dtype(dtype)?, sin.as_dtype(dtype)?);
            }
            let axis = if self.traditional { 2 } else { 1 };
            let both = |first: &Array, second: &Array| {
                let both = ops::stack(&[first, second], axis)?;
                both.expand_dims(1)
            };
            Ok([both(&cos, &sin)?, both(&sin.negative()?, &cos)?])
        })
    }

    fn rotate_at_once(&self, x: &Array, positions: &Array) -> Computed {
        fast::rope_dynamic(
            self.magnified(x)?,
            self.dimensions,
            self.traditional,
            None,
            1.0,
            positions,
            Some(&self.wavelengths),
        )
    }

    fn magnified(&self, x: &Array) -> Computed {
        if self.magnitude.to_bits() == 1.0_f32.to_bits() {
            return Ok(x.clone());
        }
        let elements = x.dim(-1);
        let of = |element| {
            if element < self.dimensions {
                self.magnitude
            } else {
                1.0
            }
        };
        let factors: Vec<f32> = (0..elements).map(of).collect();
        x.multiply(Array::from_slice(&factors, &[elements]).as_dtype(x.dtype())?)
    }
}

/// Of the first and the second of pairs, and what each counts.
pub(super) fn turn(inputs: &[Array]) -> Computed {
    let [first, second, by_first, by_second] = inputs else {
        return Err("a rotation has four inputs".into());
    };
    let turned = first.multiply(by_first)?.add(second.multiply(by_second)?)?;
    turned.as_dtype(first.dtype())
}

impl RopeConfig {
    /// Where a model's ropes have each their own settings.
    pub(crate) fn of(own: RopeScaling) -> Self {
        Self {
            rope_parameters: Some(own),
            ..Self::default()
        }
    }

    fn scaling(&self) -> Option<&RopeScaling> {
        self.rope_scaling.as_ref().or(self.rope_parameters.as_ref())
    }

    /// The base.
    pub(crate) fn theta(&self) -> f32 {
        let newer = self.rope_parameters.as_ref();
        newer
            .and_then(|parameters| parameters.rope_theta)
            .or(self.rope_theta)
            .or_else(|| self.scaling()?.rope_theta)
            .unwrap_or(10_000.0)
    }

    /// How much of a head is rotated, if that is said among these.
    pub(crate) fn rotated_part(&self) -> Option<f32> {
        self.scaling()?.partial_rotary_factor
    }

    /// Longest sequence that the model was made for.
    pub(crate) fn context_tokens_max(&self) -> u32 {
        self.max_position_embeddings.unwrap_or(CONTEXT_USUAL)
    }

    /// By how much YaRN has scores multiplied in all, beside what the rope does itself: DeepSeek's way.
    pub(crate) fn score_factor(&self) -> f32 {
        self.scaling().map_or(1.0, |scaling| {
            let factor = scaling.factor.unwrap_or(1.0);
            let all = scaling.mscale_all_dim.unwrap_or(0.0);
            if scaling.kind() == "default" || all == 0.0 || factor <= 1.0 {
                return 1.0;
            }
            magnitude(factor, all).powi(2)
        })
    }

    /// How Ministral 3 has late queries scaled; its configuration has it among those of the rope.
    pub(crate) fn temperature(&self) -> Option<Temperature> {
        let scaling = self.scaling()?;
        Some(Temperature {
            strength: scaling.llama_4_scaling_beta?,
            every: scaling.original_max_position_embeddings.unwrap_or(0.0),
            first: 0,
        })
    }

    fn longrope_magnitude(&self, scaling: &RopeScaling) -> f32 {
        let original = scaling.original_max_position_embeddings;
        let original = original.or(self.original_max_position_embeddings);
        let original = original.unwrap_or(4096.0);
        let factor = self
            .max_position_embeddings
            .map_or(original, |positions| positions as f32)
            / original;
        if factor <= 1.0 {
            1.0
        } else {
            (1.0 + factor.ln() / original.ln()).sqrt()
        }
    }
}

impl RopeScaling {
    fn kind(&self) -> &str {
        let kind = self.rope_type.as_deref().or(self.r#type.as_deref());
        kind.unwrap_or("default")
    }

    fn yarn_magnitude(&self) -> f32 {
        let factor = self.factor.unwrap_or(1.0);
        let own = magnitude(factor, self.mscale.unwrap_or(1.0));
        own / magnitude(factor, self.mscale_all_dim.unwrap_or(0.0))
    }
}

/// YaRN's temperature (Peng et al. 2023, arXiv 2309.00071).
fn magnitude(factor: f32, mscale: f32) -> f32 {
    if factor <= 1.0 {
        1.0
    } else {
        0.1 * mscale * factor.ln() + 1.0
    }
}

/// The wavelengths over 2π of each pair of dimensions.
fn usual_wavelengths(theta: f32, dimensions: i32) -> impl Iterator<Item = f32> {
    (0..dimensions / 2).map(move |pair| theta.powf(2.0 * pair as f32 / dimensions as f32))
}

/// Gemma 4's wavelengths: of the pairs of all dimensions the first turn as usual, the others not at all.
fn proportional_wavelengths(scaling: &RopeScaling, theta: f32, dimensions: i32) -> Vec<f32> {
    let factor = scaling.factor.unwrap_or(1.0);
    let part = scaling.partial_rotary_factor.unwrap_or(1.0);
    let turning = (dimensions as f32 * part) as usize / 2;
    let pairs = usual_wavelengths(theta, dimensions).enumerate();
    let turns = pairs.map(|(pair, usual)| {
        if pair < turning {
            factor * usual
        } else {
            f32::INFINITY
        }
    });
    turns.collect()
}

/// YaRN's wavelengths: pairs that turn often keep theirs, those that turn rarely are stretched by the factor, between them
/// is a ramp.
fn yarn_wavelengths(scaling: &RopeScaling, theta: f32, dimensions: i32) -> Vec<f32> {
    let factor = scaling.factor.unwrap_or(1.0);
    let original = scaling.original_max_position_embeddings.unwrap_or(4096.0);
    let pair_that_turns =
        |times: f32| dimensions as f32 * (original / (times * 2.0 * PI)).ln() / (2.0 * theta.ln());
    let low = pair_that_turns(scaling.beta_fast.unwrap_or(32.0)).floor();
    let high = pair_that_turns(scaling.beta_slow.unwrap_or(1.0)).ceil();
    let (low, high) = (low.max(0.0), high.min(dimensions as f32 - 1.0));
    // A ramp of no length is a step.
    let pairs = usual_wavelengths(theta, dimensions).zip(0u16..);
    let stretched = pairs.map(|(usual, pair)| {
        let ramp = ((f32::from(pair) - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
        let (long, kept) = (factor * usual, 1.0 - ramp);
        long * usual / (long * kept + usual * (1.0 - kept))
    });
    stretched.collect()
}

/// Llama 3.1's wavelengths: long ones are stretched by the factor, short ones kept, those between blended.
/// The numbers missing in a configuration are the reference implementation's own.
fn llama3_wavelengths(scaling: &RopeScaling, theta: f32, dimensions: i32) -> Vec<f32> {
    let factor = scaling.factor.unwrap_or(8.0);
    let low = scaling.low_freq_factor.unwrap_or(1.0);
    let high = scaling.high_freq_factor.unwrap_or(4.0);
    let context = scaling.original_max_position_embeddings.unwrap_or(8192.0);
    let stretch = |frequency: f32| {
        let wavelength = 2.0 * PI * frequency;
        if wavelength > context / low {
            frequency * factor
        } else if wavelength <= context / high {
            frequency
        } else {
            let blend = (context / wavelength - low) / (high - low);
            frequency / ((1.0 - blend) / factor + blend)
        }
    };
    usual_wavelengths(theta, dimensions).map(stretch).collect()
}
