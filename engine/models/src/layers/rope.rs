//! Rotary position embedding (Su et al. 2021), plain, linearly scaled, or scaled as Llama 3.1 does.

use std::f32::consts::PI;

use mlx_rs::{Array, fast};
use serde::Deserialize;

use crate::error::LoadError;
use crate::family::Computed;

/// The settings of `config.json`, as its older (`rope_theta`, `rope_scaling`) and newer (`rope_parameters`) forms
/// have them.
#[derive(Debug, Clone, Default, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of config.json")]
pub(crate) struct RopeConfig {
    rope_theta: Option<f32>,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    rope_parameters: Option<RopeScaling>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct RopeScaling {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
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
}

impl Rope {
    /// Rope over heads of `dimensions` elements; an unknown kind of scaling is refused, never left out.
    pub(crate) fn new(config: &RopeConfig, dimensions: i32) -> Result<Self, LoadError> {
        let scaling = config
            .rope_scaling
            .as_ref()
            .or(config.rope_parameters.as_ref());
        let theta = config
            .rope_theta
            .or_else(|| scaling.and_then(|scaling| scaling.rope_theta))
            .unwrap_or(10_000.0);
        let plain = Self {
            dimensions,
            traditional: config.rope_traditional,
            base: Some(theta),
            frequencies: None,
            scale: 1.0,
        };
        let Some(scaling) = scaling else {
            return Ok(plain);
        };
        match scaling.rope_type.as_deref().unwrap_or("default") {
            "default" => Ok(plain),
            "linear" => Ok(Self {
                scale: 1.0 / scaling.factor.unwrap_or(1.0),
                ..plain
            }),
            "llama3" => {
                let frequencies = llama3_frequencies(scaling, theta, dimensions);
                let frequencies = Array::from_slice(&frequencies, &[dimensions / 2]);
                Ok(Self {
                    base: None,
                    frequencies: Some(frequencies),
                    ..plain
                })
            }
            other => Err(LoadError::Unsupported(format!(
                "rope scaling of the kind {other} is not supported"
            ))),
        }
    }

    /// `[tokens, heads, 1, dimensions]`, each token at one of `positions [tokens]`.
    pub(crate) fn rotate(&self, x: &Array, positions: &Array) -> Computed {
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
        } else if wavelength < context / high {
            frequency
        } else {
            let blend = (context / wavelength - low) / (high - low);
            frequency / ((1.0 - blend) / factor + blend)
        }
    };
    (0..dimensions / 2)
        .map(|pair| stretch(theta.powf(2.0 * pair as f32 / dimensions as f32)))
        .collect()
}
