use base::Penalties;

use super::*;
use proptest::prelude::*;

fn sampling(temperature: f32, top_k: u32, top_p: f32, min_p: f32) -> Sampling {
    Sampling {
        temperature,
        top_p,
        top_k,
        min_p,
        seed: 7,
        penalties: Penalties::NONE,
    }
}

/// How often each token is drawn over `draws` positions.
fn histogram(logits: &[f32], sampling: &Sampling, draws: u32) -> Vec<u32> {
    let mut counts = vec![0; logits.len()];
    for position in 0..draws {
        counts[sample(logits, sampling, position).unwrap() as usize] += 1;
    }
    counts
}

#[test]
fn the_generator_is_splitmix64() {
    // The first outputs for seed 0, as in the reference implementation.
    for (n, expected) in [0xe220_a839_7b1d_cdaf_u64, 0x6e78_9e6a_a1b9_65f4]
        .into_iter()
        .enumerate()
    {
        assert_eq!(mix(GOLDEN_GAMMA.wrapping_mul(n as u64 + 1)), expected);
        let upper = (expected >> 11) as f64 / (1_u64 << 53) as f64;
        assert!((uniform(0, n as u32) - upper).abs() < f64::EPSILON);
    }
}

#[test]
fn greedy_takes_the_largest_and_the_lowest_of_equals() {
    assert_eq!(sample(&[1.0, 3.0, 3.0], &Sampling::GREEDY, 0), Some(1));
    assert_eq!(
        sample(&[f32::NEG_INFINITY, -5.0], &Sampling::GREEDY, 9),
        Some(1)
    );
}

#[test]
fn what_is_no_number_is_not_sampled() {
    for sampling in [Sampling::GREEDY, sampling(1.0, 0, 1.0, 0.0)] {
        assert_eq!(sample(&[], &sampling, 0), None);
        assert_eq!(sample(&[1.0, f32::NAN], &sampling, 0), None);
        assert_eq!(sample(&[1.0, f32::INFINITY], &sampling, 0), None);
        assert_eq!(sample(&[f32::NEG_INFINITY; 3], &sampling, 0), None);
    }
}

#[test]
fn draws_follow_the_distribution() {
    let probabilities = [0.5_f64, 0.25, 0.15, 0.08, 0.02];
    let logits = probabilities.map(|p| p.ln() as f32);
    let draws = 20_000;
    for temperature in [1.0_f32, 0.5, 2.0] {
        let weights = probabilities.map(|p| p.powf(1.0 / f64::from(temperature)));
        let total: f64 = weights.iter().sum();
        let counts = histogram(&logits, &sampling(temperature, 0, 1.0, 0.0), draws);
        let chi_square: f64 = weights
            .iter()
            .zip(&counts)
            .map(|(weight, &count)| {
                let expected = weight / total * f64::from(draws);
                (f64::from(count) - expected).powi(2) / expected
            })
            .sum();
        // 18.5 is exceeded once in a thousand times with four degrees of freedom; the seed is fixed.
        assert!(chi_square < 18.5, "{temperature}: {chi_square} {counts:?}");
    }
}

#[test]
fn cuts_keep_what_they_say() {
    let logits = [0.5_f64, 0.25, 0.15, 0.08, 0.02].map(|p| p.ln() as f32);
    let drawn = |sampling: Sampling| -> Vec<usize> {
        let counts = histogram(&logits, &sampling, 5000);
        (0..5).filter(|&id| counts[id] > 0).collect()
    };
    assert_eq!(drawn(sampling(1.0, 0, 1.0, 0.0)), [0, 1, 2, 3, 4]);
    assert_eq!(drawn(sampling(1.0, 2, 1.0, 0.0)), [0, 1]);
    assert_eq!(drawn(sampling(1.0, 0, 0.7, 0.0)), [0, 1]);
    assert_eq!(drawn(sampling(1.0, 0, 0.76, 0.0)), [0, 1, 2]);
    assert_eq!(drawn(sampling(1.0, 0, 1.0, 0.2)), [0, 1, 2]);
    // Of the two that top-k leaves the first has two thirds, which is enough for top-p.
    assert_eq!(drawn(sampling(1.0, 2, 0.6, 0.0)), [0]);
}

#[test]
fn seeds_and_positions_draw_independently() {
    let logits = [0.0; 16];
    let at = |seed, position| {
        let sampling = Sampling {
            seed,
            ..sampling(1.0, 0, 1.0, 0.0)
        };
        sample(&logits, &sampling, position).unwrap()
    };
    let draws = 4000_u32;
    let same_as_next = (0..draws).filter(|&n| at(1, n) == at(1, n + 1)).count();
    let same_as_other_seed = (0..draws).filter(|&n| at(1, n) == at(2, n)).count();
    for same in [same_as_next, same_as_other_seed] {
        // One in sixteen, give or take five standard deviations.
        assert!((170..330).contains(&same), "{same} of {draws}");
    }
}

fn any_sampling() -> impl Strategy<Value = Sampling> {
    (
        0.05_f32..2.0,
        0.01_f32..=1.0,
        0_u32..40,
        0.0_f32..=1.0,
        any::<u64>(),
    )
        .prop_map(|(temperature, top_p, top_k, min_p, seed)| Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            seed,
            penalties: Penalties::NONE,
        })
}

/// The cuts as their definition says, with a full sort.
fn kept_by_definition(logits: &[f32], sampling: &Sampling) -> Vec<TokenId> {
    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
    let scale = 1.0 / f64::from(sampling.temperature);
    let weigh = |logit: f32| ((f64::from(logit) - f64::from(largest)) * scale).exp();
    let mut order: Vec<TokenId> = (0..logits.len() as TokenId).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k as usize);
    }
    let weight = |id: &TokenId| weigh(logits[*id as usize]);
    let total: f64 = order.iter().map(weight).sum();
    let mut sum = 0.0;
    let mut kept = Vec::new();
    for id in &order {
        let reached = sampling.top_p < 1.0 && sum >= f64::from(sampling.top_p) * total;
        if !kept.is_empty() && (reached || weight(id) < f64::from(sampling.min_p)) {
            break;
        }
        sum += weight(id);
        kept.push(*id);
    }
    kept.sort_unstable();
    kept
}

proptest! {
    #[test]
    fn the_cuts_are_those_of_the_definition(
        // Quarters give equal logits, hence ties, and sums without rounding trouble at the edges.
        logits in prop::collection::vec((-20_i8..20).prop_map(|n| f32::from(n) / 4.0), 1..80),
        sampling in any_sampling(),
    ) {
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let ids: Vec<TokenId> = kept(&logits, &sampling, largest).iter().map(|(id, _)| *id).collect();
        prop_assert_eq!(ids, kept_by_definition(&logits, &sampling));
    }

    #[test]
    fn what_is_drawn_was_kept(
        logits in prop::collection::vec(-50_f32..50.0, 1..80),
        sampling in any_sampling(),
        position in any::<u32>(),
    ) {
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let drawn = sample(&logits, &sampling, position).unwrap();
        prop_assert!(kept(&logits, &sampling, largest).iter().any(|(id, _)| *id == drawn));
        prop_assert_eq!(sample(&logits, &sampling, position), Some(drawn));
    }

    #[test]
    fn a_small_difference_in_rounding_rarely_changes_the_draw(seed in any::<u64>()) {
        let logits: Vec<f32> = (0..64_u64).map(|n| (mix(seed ^ n) >> 56) as f32 / 32.0).collect();
        let rounded: Vec<f32> = logits.iter().map(|logit| logit * (1.0 + 1e-6)).collect();
        let sampling = Sampling { seed, ..sampling(1.0, 0, 0.95, 0.0) };
        let changed = (0..64).filter(|&at| sample(&logits, &sampling, at) != sample(&rounded, &sampling, at));
        prop_assert!(changed.count() <= 1);
    }
}
