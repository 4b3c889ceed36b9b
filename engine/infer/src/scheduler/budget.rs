//! What a step has left for prompts, and how those that read share it. Pure.

use super::load::Limits;
use crate::backend::LayerPart;

/// What there is, and what is left of it. Readers share it evenly if that is enough for each of them; otherwise the first
/// come first.
pub struct Budget {
    /// Sequences that read theirs.
    readers: usize,
    /// Of these, tokens whose log-probabilities are asked for.
    pub scoring_tokens: usize,
    /// A prompt is begun with no fewer tokens at once, but for its last: what a step has no time for is left for the next
    /// ones by layers.
    chunk_tokens_min: usize,
    /// Layers of the model.
    layers: u32,
    /// Tokens of prompts; of one that goes through some of the layers, that part.
    tokens: f64,
    tokens_left: f64,
}

/// Tokens that go through the layers in several steps.
#[derive(Debug, Clone, Copy)]
pub struct Chunk {
    pub tokens: usize,
    /// Layers they have been through.
    pub through: u32,
}

/// Few tokens are hardly read faster than so many: the device goes through all the weights for them.
const CHUNK_TOKENS_MIN: usize = 128;

impl Budget {
    /// Of a step that has time for so many `tokens` of prompts.
    pub fn new(limits: &Limits, readers: usize, tokens: f64) -> Self {
        Self {
            readers,
            scoring_tokens: limits.scoring_chunk_tokens as usize,
            chunk_tokens_min: CHUNK_TOKENS_MIN.min(limits.prefill_chunk_tokens as usize),
            layers: limits.layers,
            tokens,
            tokens_left: tokens,
        }
    }

    /// How many tokens the next reader reads, and through which layers if not all: those of its `chunk`, or else of `wanted`
    /// ones.
    pub fn part(&mut self, chunk: Option<Chunk>, wanted: usize) -> (usize, Option<LayerPart>) {
        let is_first = self.tokens_left >= self.tokens;
        let share = self.take_share();
        let (count, from) = match chunk {
            Some(chunk) => (chunk.tokens, chunk.through),
            None => (wanted.min(self.begun_at_once(share)), 0),
        };
        let of = self.layers;
        let layers = (share * f64::from(of) / count.max(1) as f64).round() as u32;
        if count == 0 || share <= 0.0 || (layers == 0 && !is_first) {
            return (0, None);
        }
        let to = from.saturating_add(layers.max(1)).min(of);
        let part = LayerPart { from, to, of };
        if part.goes_on() {
            // It took all there was, up to a part of a layer.
            self.tokens_left = 0.0;
        } else {
            self.tokens_left = (self.tokens_left - count as f64 * part.share()).max(0.0);
        }
        (count, (from > 0 || part.goes_on()).then_some(part))
    }

    /// What the next of the readers may take: all that is left rather than so little that it is read no faster for it.
    fn take_share(&mut self) -> f64 {
        let even = self.tokens_left / self.readers.max(1) as f64;
        self.readers = self.readers.saturating_sub(1);
        even.max(self.chunk_tokens_min as f64).min(self.tokens_left)
    }

    /// Of a prompt that may take `share`: that, or as many as could go through one layer in this step, up to where more are
    /// no faster.
    fn begun_at_once(&self, share: f64) -> usize {
        let in_one_layer = (self.tokens * f64::from(self.layers)) as usize;
        in_one_layer
            .clamp(1, self.chunk_tokens_min)
            .max(share as usize)
    }
}
