//! Which token comes next, given one position's logits. Pure: the draw depends on the seed and the position alone, so an
//! answer goes on with the same numbers wherever and in whatever company it is computed.

use base::{Sampling, TokenId};

/// The token at `position` of the answer (counted from 0), or `None` if the logits are not numbers.
///
/// Temperature first, then top-k, top-p and min-p cut the distribution. Equal logits go by the lower id.
pub fn sample(logits: &[f32], sampling: &Sampling, position: u32) -> Option<TokenId> {
    let best = argmax(logits)?;
    if sampling.temperature == 0.0 || sampling.top_k == 1 {
        return Some(best);
    }
    let kept = kept(logits, sampling, logits[best as usize]);
    Some(pick(&kept, uniform(sampling.seed, position)))
}

/// A token and its weight: its probability times something common to all.
type Candidate = (TokenId, f64);

/// The id of the largest logit, the lowest of equal ones; `None` if there is none or it is not finite, or any is NaN.
fn argmax(logits: &[f32]) -> Option<TokenId> {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &logit) in logits.iter().enumerate() {
        if logit.is_nan() {
            return None;
        }
        if logit > best.1 {
            best = (id, logit);
        }
    }
    best.1.is_finite().then_some(best.0 as TokenId)
}

/// What the cuts leave, ascending by id; never empty.
fn kept(logits: &[f32], sampling: &Sampling, largest: f32) -> Vec<Candidate> {
    let scale = 1.0 / f64::from(sampling.temperature);
    let weigh = |logit: f32| ((f64::from(logit) - f64::from(largest)) * scale).exp();
    let mut candidates: Vec<Candidate> = logits
        .iter()
        .enumerate()
        .map(|(id, &logit)| (id as TokenId, weigh(logit)))
        .collect();
    // Each cut keeps the beginning of the same order, so they may come in any order; but top-p measures what top-k left.
    cut_top_k(&mut candidates, sampling.top_k as usize);
    cut_top_p(&mut candidates, f64::from(sampling.top_p));
    // The largest weight is 1.
    let least = f64::from(sampling.min_p);
    candidates.retain(|&(_, weight)| weight >= least);
    candidates.sort_unstable_by_key(|&(id, _)| id);
    candidates
}

/// Likelier first; equal ones by id.
fn by_weight(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

fn cut_top_k(candidates: &mut Vec<Candidate>, top_k: usize) {
    if top_k > 0 && top_k < candidates.len() {
        candidates.select_nth_unstable_by(top_k - 1, by_weight);
        candidates.truncate(top_k);
    }
}

fn cut_top_p(candidates: &mut Vec<Candidate>, top_p: f64) {
    if top_p >= 1.0 {
        return;
    }
    let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
    // Tokens below this share together weigh less than 1 - top_p, so the rest reaches top_p without them: sorting the
    // few that are left instead of the whole vocabulary gives the same set.
    let negligible = total * (1.0 - top_p) / candidates.len() as f64;
    candidates.retain(|&(_, weight)| weight >= negligible);
    candidates.sort_unstable_by(by_weight);
    let mut sum = 0.0;
    let enough = candidates.iter().position(|(_, weight)| {
        sum += weight;
        sum >= top_p * total
    });
    candidates.truncate(enough.map_or(candidates.len(), |last| last + 1).max(1));
}

/// The candidate at the share `uniform` of the total weight, in the order of ids: that order does not change when
/// rounding exchanges two tokens that are nearly as likely.
fn pick(candidates: &[Candidate], uniform: f64) -> TokenId {
    let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
    let target = uniform * total;
    let mut sum = 0.0;
    let mut last = candidates[0].0;
    for &(id, weight) in candidates {
        if weight > 0.0 {
            last = id;
        }
        sum += weight;
        if sum > target {
            return id;
        }
    }
    // The sums were rounded differently; the share is the last one's.
    last
}

/// A number in [0, 1) that depends on the seed and the position alone.
fn uniform(seed: u64, position: u32) -> f64 {
    let bits = mix(mix(seed).wrapping_add(GOLDEN_GAMMA.wrapping_mul(u64::from(position) + 1)));
    // The upper 53 bits are what an f64 holds.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// The increment of `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). Its
/// n-th output is a function of the state and n, which makes it a counter-based generator.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of `SplitMix64`.
pub(crate) fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
