//! Log-probabilities of tokens under the model's own distribution: before temperature and cuts.

use base::{TokenId, TokenLogprob};

/// What a log-probability of minus infinity is reported as: JSON and frames know only finite numbers.
const LOGPROB_MIN: f64 = -9999.0;

/// The log-probability of `token` and of the `top` likeliest tokens, best first, equal ones by the lower id.
///
/// `None` if the logits are not numbers.
///
/// # Panics
/// If `token` is outside the vocabulary.
pub fn score(logits: &[f32], token: TokenId, top: usize) -> Option<TokenLogprob> {
    let normalizer = log_sum_exp(logits)?;
    let logprob =
        |id: TokenId| (f64::from(logits[id as usize]) - normalizer).max(LOGPROB_MIN) as f32;
    Some(TokenLogprob {
        token,
        logprob: logprob(token),
        top: likeliest(logits, top)
            .into_iter()
            .map(|id| (id, logprob(id)))
            .collect(),
    })
}

/// In f64: over 150,000 tokens the rounding of an f32 sum would show in the fourth decimal.
fn log_sum_exp(logits: &[f32]) -> Option<f64> {
    if logits.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    if !largest.is_finite() {
        return None;
    }
    let sum: f64 = logits
        .iter()
        .map(|&logit| (f64::from(logit) - largest).exp())
        .sum();
    Some(largest + sum.ln())
}

/// The ids of the `count` largest logits, best first. One pass: nearly every token is refused by one comparison.
fn likeliest(logits: &[f32], count: usize) -> Vec<TokenId> {
    let count = count.min(logits.len());
    let mut best: Vec<TokenId> = Vec::with_capacity(count + 1);
    if count == 0 {
        return best;
    }
    for (id, &logit) in logits.iter().enumerate() {
        let full = best.len() == count;
        if full && logit <= logits[best[count - 1] as usize] {
            continue;
        }
        // After all that are at least as large: of equal logits the lower id, which came earlier, stays ahead.
        let at = best.partition_point(|&other| logits[other as usize] >= logit);
        best.insert(at, id as TokenId);
        best.truncate(count);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn probabilities_of_a_known_distribution() {
        let logits = [0.0, 1.0, 2.0, 1.0];
        let scored = score(&logits, 0, 3).unwrap();
        let total = 1.0 + 2.0 * 1.0_f64.exp() + 2.0_f64.exp();
        assert!((f64::from(scored.logprob) + total.ln()).abs() < 1e-6);
        let ids: Vec<TokenId> = scored.top.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [2, 1, 3], "equal logits go by the lower id");
    }

    #[test]
    fn a_large_offset_changes_nothing() {
        let logits = [80_000.0, 80_001.0];
        let scored = score(&logits, 1, 1).unwrap();
        assert!((scored.logprob - score(&[0.0, 1.0], 1, 1).unwrap().logprob).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_number_has_no_probability() {
        assert_eq!(score(&[0.0, f32::NAN], 0, 1), None);
        assert_eq!(score(&[f32::NEG_INFINITY; 2], 0, 1), None);
        assert_eq!(score(&[f32::INFINITY, 0.0], 0, 1), None);
        let masked = score(&[0.0, f32::NEG_INFINITY], 1, 2).unwrap();
        assert!(masked.logprob.is_finite() && masked.top[1].1.is_finite());
    }

    proptest! {
        #[test]
        fn the_likeliest_are_a_sorted_prefix(
            logits in prop::collection::vec((-8_i8..8).prop_map(f32::from), 1..60),
            count in 0_usize..70,
        ) {
            let mut ids: Vec<TokenId> = (0..logits.len() as TokenId).collect();
            // A stable sort keeps equal logits in the order of their ids.
            ids.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
            ids.truncate(count);
            prop_assert_eq!(likeliest(&logits, count), ids);
        }

        #[test]
        fn probabilities_sum_to_one(logits in prop::collection::vec(-30_f32..30.0, 1..200)) {
            let scored = score(&logits, 0, logits.len()).unwrap();
            let sum: f64 = scored.top.iter().map(|(_, p)| f64::from(*p).exp()).sum();
            prop_assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        }
    }
}
