//! How far a draft model drafts before a step: as far as that brings the most tokens in the time of both, by what its steps
//! took of late.

use super::guesses::{GuessCosts, Plain};
use super::{KINDS, Recent, kind};

/// Before it was seen a step of a draft model is held to take this part of one of the large model.
const COST_FIRST: f64 = 0.1;

/// After so many tokens without a draft its steps are held to take half of what they did: the first ones may have been slow,
/// because nothing was warm.
const DOUBTED_AFTER: u32 = 128;

/// Depths to choose from. What is between them is little better.
const DEPTHS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

/// What a draft model's steps take, as far as they have shown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DraftCosts {
    /// Seconds of a step, by the number of sequences: 1, 2 to 3, 4 to 7 and so on.
    step_s: [Recent; KINDS],
    /// Steps of the large model since the last draft.
    without: u32,
}

/// What may be guessed of a sequence: how likely each guess is right with all before it, descending.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Draftable {
    /// Without a draft.
    pub known: Vec<f64>,
    /// With one; empty if it would be no better.
    pub drafted: Vec<f64>,
}

impl DraftCosts {
    /// How far to draft on these sequences, which are all of a step; 0 if not at all.
    pub fn depth(&self, guesses: &GuessCosts, plain: Plain, sequences: &[Draftable]) -> usize {
        let drafted = sequences.iter().filter(|one| !one.drafted.is_empty());
        let Some(deepest) = drafted.clone().map(|one| one.drafted.len()).max() else {
            return 0;
        };
        let step_s = self.step_s(plain, drafted.count() as u32);
        let rate = |depth: usize| {
            let chances = likeliest(sequences, depth);
            guesses.best(plain, &chances, depth as f64 * step_s).1
        };
        let mut best = (0, rate(0));
        for depth in DEPTHS.into_iter().take_while(|depth| *depth <= deepest) {
            let rate = rate(depth);
            if rate > best.1 {
                best = (depth, rate);
            }
        }
        best.0
    }

    /// What a step takes with so many sequences. Where that was not seen, with fewer or more.
    fn step_s(&self, plain: Plain, sequences: u32) -> f64 {
        let own = kind(sequences);
        let fewer = self.step_s[..=own].iter().rev();
        let mut known = fewer
            .chain(&self.step_s[own + 1..])
            .filter_map(Recent::middle);
        known.next().unwrap_or(COST_FIRST * plain.took_s)
    }

    /// A draft on so many sequences took so long, in so many steps.
    pub fn step(&mut self, sequences: u32, steps: u32, took_s: f64) {
        if steps > 0 {
            self.step_s[kind(sequences)].push(took_s / f64::from(steps));
        }
        self.without = 0;
    }

    /// The large model has made another step.
    pub fn passed(&mut self) {
        self.without += 1;
        if self.without.is_multiple_of(DOUBTED_AFTER) {
            self.step_s.iter_mut().for_each(Recent::halve);
        }
    }
}

/// How likely the guesses at all sequences are right, descending, with drafts of this depth.
fn likeliest(sequences: &[Draftable], depth: usize) -> Vec<f64> {
    let of_each = sequences.iter().flat_map(|one| {
        let drafted = &one.drafted[..depth.min(one.drafted.len())];
        let own = if drafted.is_empty() {
            &one.known[..]
        } else {
            drafted
        };
        own.iter().copied()
    });
    let mut all: Vec<f64> = of_each.collect();
    all.sort_by(|a, b| b.total_cmp(a));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_S: f64 = 0.010;

    /// How far is drafted on `answers` like this, where a draft's step takes this part of a step and a guess that.
    fn depth(answers: u32, chance: f64, step_s: f64, guess_s: f64) -> usize {
        let mut costs = DraftCosts::default();
        costs.step(answers, 4, 4.0 * step_s);
        let mut computed = GuessCosts::default();
        computed.step(4, 4.0 * guess_s);
        let one = Draftable {
            known: Vec::new(),
            drafted: (1..=16).map(|count| chance.powi(count)).collect(),
        };
        let plain = Plain {
            answers,
            took_s: STEP_S,
        };
        costs.depth(&computed, plain, &vec![one; answers as usize])
    }

    #[test]
    fn the_better_and_the_cheaper_a_draft_the_deeper_it_is() {
        let of = |chance, step_s| depth(1, chance, step_s, 0.0002);
        assert_eq!(of(0.05, 0.001), 0);
        assert_eq!(of(0.5, 0.009), 0);
        assert!((1..=4).contains(&of(0.6, 0.001)), "{}", of(0.6, 0.001));
        assert!(of(0.95, 0.0005) >= 8, "{}", of(0.95, 0.0005));
        assert!(of(0.95, 0.0005) > of(0.95, 0.003));
    }

    #[test]
    fn for_several_a_draft_is_made_at_once() {
        assert!(depth(8, 0.8, 0.001, 0.0001) >= 2);
        // Where each guess takes as long as an answer, none is worth it.
        assert_eq!(depth(8, 0.8, 0.001, STEP_S / 8.0), 0);
    }

    #[test]
    fn what_is_known_already_is_not_drafted() {
        let costs = DraftCosts::default();
        let plain = Plain {
            answers: 1,
            took_s: STEP_S,
        };
        let known = Draftable {
            known: vec![0.9, 0.8],
            drafted: Vec::new(),
        };
        assert_eq!(costs.depth(&GuessCosts::default(), plain, &[known]), 0);
    }

    #[test]
    fn a_slow_beginning_is_forgotten() {
        let mut costs = DraftCosts::default();
        costs.step(1, 1, 1.0);
        let plain = Plain {
            answers: 1,
            took_s: STEP_S,
        };
        let one = [Draftable {
            known: Vec::new(),
            drafted: vec![0.9, 0.81],
        }];
        let mut guesses = GuessCosts::default();
        guesses.step(1, 0.0002);
        assert_eq!(costs.depth(&guesses, plain, &one), 0);
        for _ in 0..9 * DOUBTED_AFTER {
            costs.passed();
        }
        assert!(costs.depth(&guesses, plain, &one) > 0);
    }
}
