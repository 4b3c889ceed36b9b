//! Rotary position embedding (Su et al. 2021), plain or scaled in one of several ways.

use std::f32::consts::PI;

use mlx_rs::{Array, fast};
use serde::Deserialize;

use super::Temperature;
use crate::error::LoadError;
use crate::family::Computed;

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
    /// The base, or in its place the wavelengths over 2π of each pair of dimensions.
    base: Option<f32>,
    frequencies: Option<Array>,
    scale: f32,
    /// Multiplies what is rotated.
    magnitude: f32,
}

impl Rope {
    /// Rope over heads of `dimensions` elements; an unknown kind of scaling is refused, never left out.
    pub(crate) fn new(config: &RopeConfig, dimensions: i32) -> Result<Self, LoadError> {
        let theta = config.theta();
        let plain = Self::plain(theta, config.rope_traditional, dimensions);
        let Some(scaling) = config.scaling() else {
            return Ok(plain);
        };
        let with = |frequencies: Vec<f32>, magnitude: f32| Self {
            base: None,
            frequencies: Some(Array::from_slice(&frequencies, &[dimensions / 2])),
            magnitude,
            ..plain
        };
        match scaling.kind() {
            "default" => Ok(plain),
            "linear" => Ok(Self {
                scale: 1.0 / scaling.factor.unwrap_or(1.0),
                ..plain
            }),
            "llama3" => Ok(with(llama3_frequencies(scaling, theta, dimensions), 1.0)),
            "yarn" | "deepseek_yarn" => {
                let frequencies = yarn_frequencies(scaling, theta, dimensions);
                Ok(with(frequencies, scaling.yarn_magnitude()))
            }
            "proportional" => {
                let frequencies = proportional_frequencies(scaling, theta, dimensions);
                Ok(with(frequencies, 1.0))
            }
            "longrope" | "su" => {
                let long = scaling.long_factor.as_deref().unwrap_or_default();
                if long.len() != dimensions as usize / 2 {
                    return Err(LoadError::Unsupported(format!(
                        "rope scaling has {} long factors for {dimensions} dimensions",
                        long.len()
                    )));
                }
                let stretched = usual_frequencies(theta, dimensions).zip(long);
                let stretched = stretched.map(|(usual, factor)| usual * factor);
                Ok(with(
                    stretched.collect(),
                    config.longrope_magnitude(scaling),
                ))
            }
            other => Err(LoadError::Unsupported(format!(
                "rope scaling of the kind {other} is not supported"
            ))),
        }
    }

    /// Without any scaling.
    pub(crate) const fn plain(theta: f32, traditional: bool, dimensions: i32) -> Self {
        Self {
            dimensions,
            traditional,
            base: Some(theta),
            frequencies: None,
            scale: 1.0,
            magnitude: 1.0,
        }
    }

    /// `[tokens, heads, 1, elements]`, each token at one of `positions [tokens]`; elements beyond the rope's dimensions stay
    /// as they are.
    pub(crate) fn rotate(&self, x: &Array, positions: &Array) -> Computed {
        let x = &self.magnified(x)?;
        let Self {
            dimensions,
            traditional,
            base,
            scale,
            ..
        } = *self;
        fast::rope_dynamic(
            x,
            dimensions,
            traditional,
            base,
            scale,
            positions,
            self.frequencies.as_ref(),
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
fn usual_frequencies(theta: f32, dimensions: i32) -> impl Iterator<Item = f32> {
    (0..dimensions / 2).map(move |pair| theta.powf(2.0 * pair as f32 / dimensions as f32))
}

/// Gemma 4's wavelengths: of the pairs of all dimensions the first turn as usual, the others not at all.
fn proportional_frequencies(scaling: &RopeScaling, theta: f32, dimensions: i32) -> Vec<f32> {
    let factor = scaling.factor.unwrap_or(1.0);
    let part = scaling.partial_rotary_factor.unwrap_or(1.0);
    let turning = (dimensions as f32 * part) as usize / 2;
    let pairs = usual_frequencies(theta, dimensions).enumerate();
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
fn yarn_frequencies(scaling: &RopeScaling, theta: f32, dimensions: i32) -> Vec<f32> {
    let factor = scaling.factor.unwrap_or(1.0);
    let original = scaling.original_max_position_embeddings.unwrap_or(4096.0);
    let pair_that_turns =
        |times: f32| dimensions as f32 * (original / (times * 2.0 * PI)).ln() / (2.0 * theta.ln());
    let low = pair_that_turns(scaling.beta_fast.unwrap_or(32.0)).floor();
    let high = pair_that_turns(scaling.beta_slow.unwrap_or(1.0)).ceil();
    let (low, high) = (low.max(0.0), high.min(dimensions as f32 - 1.0));
    // A ramp of no length is a step.
    let pairs = usual_frequencies(theta, dimensions).zip(0u16..);
    let stretched = pairs.map(|(usual, pair)| {
        let ramp = ((f32::from(pair) - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
        let (long, kept) = (factor * usual, 1.0 - ramp);
        long * usual / (long * kept + usual * (1.0 - kept))
    });
    stretched.collect()
}

/// Llama 3.1's wavelengths: long ones are stretched by the factor, short ones kept, those between blended.
/// The numbers missing in a configuration are the reference implementation's own.
fn llama3_frequencies(scaling: &RopeScaling, theta: f32, dimensions: i32) -> Vec<f32> {
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
    usual_frequencies(theta, dimensions).map(stretch).collect()
}
