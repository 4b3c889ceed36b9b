//! Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): of each position one vector is kept, which all heads' keys
//! and values are made of, and one key that is rotated.
//!
//! For few queries the matrices that make keys and values are applied to the queries and to what comes out instead, so that
//! they never meet what is kept ("absorbed").

use std::rc::Rc;

use mlx_rs::error::Result;
use mlx_rs::fast::{ScaledDotProductAttentionMask, scaled_dot_product_attention};
use mlx_rs::{Array, ops};

use super::attention::{causal_mask, queries_together, where_seen};
use super::block::{BlockParts, Mixer, Onto};
use super::indexer::{Indexer, IndexerShape, Sought};
use super::linear::Projection;
use super::weight::Quantized;
use super::{
    Cut, Joined, Linear, NormKind, Reach, RmsNorm, Rope, Run, StepLayer, Temperature, Weight,
};
use crate::error::LoadError;
use crate::family::Computed;
use crate::load::Quantization;
use crate::ops::slice;

/// For so many queries of a sequence its keys and values are made: from there on that takes less than absorbing.
const EXPANDED_QUERIES_MIN: i32 = 128;
/// Of so many together it is chosen what they attend to: each head of the indexer scores all positions for each.
const CHOOSING_QUERIES: i32 = 64;

/// What it looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LatentShape {
    /// Of all ranks.
    pub(crate) heads: i32,
    /// Elements of what is kept, but for the rotated key.
    pub(crate) latent: i32,
    /// Elements of a query that are made from fewer, if they are.
    pub(crate) query_latent: Option<i32>,
    /// Elements of a head's query and key that are not rotated.
    pub(crate) plain: i32,
    /// Those that are.
    pub(crate) rotated: i32,
    /// Elements of a head's value.
    pub(crate) value: i32,
    pub(crate) bias: bool,
    /// Multiplies the scores.
    pub(crate) scale: f32,
    /// Of the norms inside.
    pub(crate) eps: f32,
    /// What chooses the positions that are attended to, if not all are.
    pub(crate) indexer: Option<IndexerShape>,
    /// How late queries are scaled.
    pub(crate) temperature: Option<Temperature>,
}

impl LatentShape {
    const fn norms(&self) -> NormKind {
        NormKind {
            eps: self.eps,
            offset: 0.0,
        }
    }
}

/// The attention part of a block.
#[derive(Debug)]
pub(crate) struct LatentAttention {
    /// Queries, or what they are made from, and what is kept.
    first: Joined<2>,
    queries: Option<FromFewer>,
    kept_norm: RmsNorm,
    /// From a plain query to one that meets what is kept: `[heads, latent, plain]`.
    key: Weight,
    /// From what is kept to a value: `[heads, value, latent]`.
    value: Weight,
    output: Linear,
    rope: Rc<Rope>,
    indexer: Option<Indexer>,
    shape: LatentShape,
    /// Of this rank.
    heads: i32,
}

/// What the tokens of a step, or of a run, ask: `[tokens, heads, 1, ..]` each.
struct Asked {
    plain: Array,
    rotated: Array,
    sought: Option<Sought>,
}

/// Queries are made from fewer elements.
#[derive(Debug)]
struct FromFewer {
    norm: RmsNorm,
    up: Linear,
}

impl LatentAttention {
    pub(crate) fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: LatentShape,
    ) -> std::result::Result<Self, LoadError> {
        let (hidden, columns) = (parts.hidden, parts.columns());
        let kept_width = shape.latent + shape.rotated;
        let below = |part: &str| format!("{name}.{part}");
        let (query, queries) = FromFewer::load(parts, name, &shape)?;
        let kept = parts.whole(
            &below("kv_a_proj_with_mqa"),
            [kept_width, hidden],
            shape.bias,
        )?;
        let first = Joined::of(vec![query, kept])?;
        let path = parts.path(&below("kv_a_layernorm"));
        let kept_norm = RmsNorm::load(parts.weights, &path, shape.latent, shape.norms())?;
        let [key, value] = key_and_value(parts, name, &shape)?;
        let indexer = shape.indexer.zip(shape.query_latent);
        let indexer =
            indexer.map(|(indexer, fewer)| Indexer::load(parts, &below("indexer"), indexer, fewer));
        let output = parts.part(name, shape.bias).linear(
            "o_proj",
            hidden,
            shape.heads * shape.value,
            columns,
        )?;
        Ok(Self {
            first,
            queries,
            kept_norm,
            key,
            value,
            output,
            rope: Rc::clone(&parts.ropes[0]),
            indexer: indexer.transpose()?,
            shape,
            heads: parts.share(shape.heads),
        })
    }

    /// Attention of a run's queries to `[tokens, heads, 1, value]`.
    fn of_run(&self, asked: &Asked, run: &Run, cache: &StepLayer<'_>) -> Computed {
        let of_run = |all: &Array| slice(all, &[(0, run.tokens.clone())]);
        let (plain, rotated) = (of_run(&asked.plain)?, of_run(&asked.rotated)?);
        let sought = asked.sought.as_ref().map(|sought| sought.of_run(run));
        let sought = sought.transpose()?;
        let [latents, keys] = cache.read(run)?;
        if !run.is_sequence() {
            let scores = self.rotated_scores(&rotated, &keys)?;
            let mask = self.attended(sought.as_ref(), &keys, run.mask(Reach::All, keys.dim(2)))?;
            let scores = match mask {
                Some(mask) => where_seen(&mask, &scores)?,
                None => scores,
            };
            return self.absorbed(&plain, &latents, &scores);
        }
        let turned = |array: &Array| array.transpose_axes(&[2, 1, 0, 3]);
        let asked = Asked {
            plain: turned(&plain)?,
            rotated: turned(&rotated)?,
            sought,
        };
        turned(&self.sequence(&asked, &latents, &keys)?)
    }

    /// Of what queries see by `mask`, what they attend to.
    fn attended(
        &self,
        sought: Option<&Sought>,
        keys: &Array,
        mask: Option<Array>,
    ) -> Result<Option<Array>> {
        match (&self.indexer, sought) {
            (Some(indexer), Some(sought)) => indexer.choose(sought, keys, mask),
            _ => Ok(mask),
        }
    }

    /// How many queries of a sequence are attended together.
    fn query_block(&self, count: i32, end: i32) -> i32 {
        let indexer = self.indexer.as_ref();
        if indexer.is_some_and(|indexer| indexer.chooses(end)) {
            CHOOSING_QUERIES
        } else {
            queries_together(count)
        }
    }

    /// Queries of the last positions of a sequence, `[1, heads, queries, ..]`.
    fn sequence(&self, asked: &Asked, latents: &Array, keys: &Array) -> Computed {
        let (count, end) = (asked.plain.dim(2), latents.dim(2));
        let expanded = if count < EXPANDED_QUERIES_MIN {
            None
        } else {
            // In the other direction: from what is kept to plain keys.
            let plain_keys = self.key.multiply_back(latents)?;
            Some((plain_keys, self.value.multiply(latents)?))
        };
        let block = self.query_block(count, end);
        let blocks = (0..count).step_by(block as usize).map(|first| {
            let next = (first + block).min(count);
            let seen = end - count + next;
            let queries = |all: &Array| slice(all, &[(2, first..next)]);
            let known = |all: &Array| slice(all, &[(2, 0..seen)]);
            let keys = known(keys)?;
            let mut mask = causal_mask(end - count + first..seen, 0, Reach::All)?;
            if let Some(sought) = &asked.sought {
                let sought = sought.between(first, next)?;
                if let Some(chosen) = self.attended(Some(&sought), &keys, Some(mask.clone()))? {
                    mask = chosen;
                }
            }
            let scores = self.rotated_scores(&queries(&asked.rotated)?, &keys)?;
            let scores = where_seen(&mask, &scores)?;
            let plain = queries(&asked.plain)?;
            match &expanded {
                None => self.absorbed(&plain, &known(latents)?, &scores),
                Some((keys, values)) => {
                    self.scored(&plain, &known(keys)?, &known(values)?, &scores)
                }
            }
        });
        let blocks = blocks.collect::<Result<Vec<Array>>>()?;
        ops::concatenate(&blocks, 2)
    }

    /// Of what is kept beside latents, the first elements are the rotated key.
    fn rotated_scores(&self, rotated: &Array, keys: &Array) -> Computed {
        let keys = slice(keys, &[(3, 0..self.shape.rotated)])?;
        let scale = Array::from_f32(self.shape.scale).as_dtype(rotated.dtype())?;
        ops::matmul(rotated.multiply(scale)?, keys.swap_axes(-1, -2)?)
    }

    fn absorbed(&self, plain: &Array, latents: &Array, scores: &Array) -> Computed {
        let q = self.key.multiply(plain)?;
        self.value
            .multiply(&self.scored(&q, latents, latents, scores)?)
    }

    fn scored(&self, q: &Array, keys: &Array, values: &Array, scores: &Array) -> Computed {
        let mask = Some(ScaledDotProductAttentionMask::Array(scores));
        scaled_dot_product_attention(q, keys, values, self.shape.scale, mask, None)
    }
}

impl Mixer for LatentAttention {
    fn forward(&self, x: &Array, onto: Onto<'_>, cache: &mut StepLayer<'_>) -> Computed {
        let LatentShape {
            latent,
            plain,
            rotated,
            value,
            ..
        } = self.shape;
        let [q, kept] = self.first.forward(x)?;
        let (q, fewer) = match &self.queries {
            Some(FromFewer { norm, up }) => {
                let fewer = norm.forward(&q)?;
                (up.forward(&fewer)?, Some(fewer))
            }
            None => (q, None),
        };
        let mut q = q.reshape(&[-1, self.heads, 1, plain + rotated])?;
        if let Some(temperature) = &self.shape.temperature {
            q = temperature.applied(q, cache)?;
        }
        let q_plain = slice(&q, &[(3, 0..plain)])?;
        let q_rotated = slice(&q, &[(3, plain..plain + rotated)])?;
        let q_rotated = self.rope.rotate(&q_rotated, cache)?;
        let latents = self.kept_norm.forward(&slice(&kept, &[(1, 0..latent)])?)?;
        let key = slice(&kept, &[(1, latent..latent + rotated)])?;
        let key = key.reshape(&[-1, 1, 1, rotated])?;
        let mut key = self.rope.rotate(&key, cache)?;
        let mut sought = None;
        if let Some((indexer, fewer)) = self.indexer.as_ref().zip(fewer) {
            key = ops::concatenate(&[&key, &indexer.keys(x, cache)?], -1)?;
            sought = Some(indexer.sought(x, &fewer, cache)?);
        }
        let latents = latents.reshape(&[-1, 1, 1, 1, latent])?;
        cache.write(&[latents, key.expand_dims(1)?])?;
        let runs = cache.runs().iter();
        let asked = Asked {
            plain: q_plain,
            rotated: q_rotated,
            sought,
        };
        let outputs = runs.map(|run| self.of_run(&asked, run, cache));
        let outputs = outputs.collect::<Result<Vec<Array>>>()?;
        let attended = ops::concatenate(&outputs, 0)?;
        let attended = attended.reshape(&[-1, self.heads * value])?;
        self.output.forward_onto(&attended, onto)
    }
}

impl FromFewer {
    /// The matrix that comes first: that of the queries themselves where they are not made from fewer elements.
    fn load(
        parts: &mut BlockParts<'_, '_>,
        name: &str,
        shape: &LatentShape,
    ) -> std::result::Result<(Linear, Option<Self>), LoadError> {
        let width = shape.heads * (shape.plain + shape.rotated);
        let (hidden, rows) = (parts.hidden, parts.rows());
        let Some(fewer) = shape.query_latent else {
            let query = parts
                .part(name, false)
                .linear("q_proj", width, hidden, rows)?;
            return Ok((query, None));
        };
        let down = parts.whole(&format!("{name}.q_a_proj"), [fewer, hidden], shape.bias)?;
        let path = parts.path(&format!("{name}.q_a_layernorm"));
        let norm = RmsNorm::load(parts.weights, &path, fewer, shape.norms())?;
        let up = parts
            .part(name, false)
            .linear("q_b_proj", width, fewer, rows)?;
        Ok((down, Some(Self { norm, up })))
    }
}

/// The two matrices of each head: apart as mlx-lm writes them, or as the original has them, in one.
fn key_and_value(
    parts: &mut BlockParts<'_, '_>,
    name: &str,
    shape: &LatentShape,
) -> std::result::Result<[Weight; 2], LoadError> {
    let heads = match parts.rows() {
        Cut::Rows(slice) => Cut::Matrices(slice),
        whole => whole,
    };
    let together = parts.path(&format!("{name}.kv_b_proj"));
    if parts.weights.has(&format!("{together}.weight")) {
        let projection = Projection {
            path: &together,
            experts: None,
            outputs: shape.heads * (shape.plain + shape.value),
            inputs: shape.latent,
            bias: false,
            cut: parts.rows(),
        };
        let weight = Weight::load(parts.weights, &projection)?;
        let on_load = |part, columns| {
            let path = parts.path(&format!("{name}.{part}"));
            parts.weights.held().on_load(&path, columns)
        };
        let how = [
            on_load("embed_q", shape.plain),
            on_load("unembed_out", shape.latent),
        ];
        return Ok(taken_apart(&weight, shape, how)?);
    }
    let mut apart = |part: &str, outputs, inputs| {
        let path = parts.path(&format!("{name}.{part}"));
        let projection = Projection {
            path: &path,
            experts: Some(shape.heads),
            outputs,
            inputs,
            bias: false,
            cut: heads,
        };
        Weight::load(parts.weights, &projection)
    };
    let key = apart("embed_q", shape.latent, shape.plain)?;
    Ok([key, apart("unembed_out", shape.value, shape.latent)?])
}

/// Of each head's keys and values, `[heads * (plain + value), latent]`, both matrices, quantized as it was, or else as is said
/// of each.
fn taken_apart(
    weight: &Weight,
    shape: &LatentShape,
    on_load: [Option<Quantization>; 2],
) -> Result<[Weight; 2]> {
    let (plain, both) = (shape.plain, shape.plain + shape.value);
    let whole = weight.dense()?.reshape(&[-1, both, shape.latent])?;
    let key = slice(&whole, &[(1, 0..plain)])?.swap_axes(-1, -2)?;
    let value = slice(&whole, &[(1, plain..both)])?;
    let made = |matrix: &Array, on_load: Option<Quantization>| -> Result<Weight> {
        let how = match weight {
            Weight::Quantized(Quantized { how, .. }) if matrix.dim(-1) % how.group_size == 0 => {
                Some(*how)
            }
            Weight::Quantized(_) => None,
            Weight::Dense(_) => on_load,
        };
        let made = match how {
            Some(how) => Weight::quantized(matrix, how)?,
            None => Weight::Dense(matrix.contiguous()?.swap_axes(-1, -2)?),
        };
        mlx_rs::transforms::eval(made.arrays())?;
        Ok(made)
    };
    Ok([made(&key, on_load[0])?, made(&value, on_load[1])?])
}
