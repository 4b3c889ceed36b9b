//! Which answers of the next step are guessed on, and how far: as far as that brings more tokens in the same time
//! (`pace/guesses.rs`), and there is cache left over.

use super::pace::GUESSES_MAX;
use super::{Running, Scheduler};
use crate::draft::LENGTH_MAX;

/// What may be guessed of one sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Prospect {
    /// So many tokens at most.
    most: usize,
    /// How likely a guess is right if those before it are.
    chance: f64,
}

impl Scheduler {
    /// Has guesses computed in the next step for the sequences that will be in it.
    pub(super) fn speculate(&mut self) {
        if !self.limits.speculates {
            return;
        }
        let idle: Vec<usize> = (0..self.running.len())
            .filter(|&at| !self.is_under_way(self.running[at].stay))
            .collect();
        for &at in &idle {
            self.running[at].sequence.guess(0);
        }
        let left_over = self
            .limits
            .cache_tokens_max
            .saturating_sub(self.cache_tokens());
        let most_of_all = (left_over as usize).min(GUESSES_MAX);
        let share = self.running.len().div_ceil(self.limits.stages as usize);
        let answers: Vec<usize> = idle
            .into_iter()
            .take(share)
            .filter(|&at| !self.running[at].sequence.is_reading())
            .collect();
        let prospects: Vec<Prospect> = answers
            .iter()
            .map(|&at| prospect(&self.running[at]))
            .collect();
        let count = answers.len() as u32;
        let counts = dealt_out(&prospects, most_of_all, |chances| {
            self.pace.guesses(count, chances)
        });
        for (at, count) in answers.into_iter().zip(counts) {
            self.running[at].sequence.guess(count);
        }
    }
}

fn prospect(running: &Running) -> Prospect {
    let (most, chance) = running.sequence.guessable().unwrap_or_default();
    Prospect {
        most: most.min(LENGTH_MAX),
        chance,
    }
}

/// How many tokens to guess of each, at most so many of all: of the likeliest guesses as many as `worthwhile` says, which is
/// told how likely each is not computed in vain, descending.
fn dealt_out(
    prospects: &[Prospect],
    most_of_all: usize,
    worthwhile: impl FnOnce(&[f64]) -> usize,
) -> Vec<usize> {
    let mut guesses: Vec<(f64, usize)> = Vec::new();
    for (at, prospect) in prospects.iter().enumerate() {
        // A guess is of use only if all before it are right: so the likelier ones of a sequence are its first.
        let chances = (1..=prospect.most).map(|length| prospect.chance.powi(length as i32));
        guesses.extend(chances.map(|chance| (chance, at)));
    }
    guesses.sort_by(|a, b| b.0.total_cmp(&a.0));
    guesses.truncate(most_of_all);
    let mut counts = vec![0; prospects.len()];
    if guesses.is_empty() {
        return counts;
    }
    let chances: Vec<f64> = guesses.iter().map(|(chance, _)| *chance).collect();
    for (_, at) in &guesses[..worthwhile(&chances)] {
        counts[*at] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const SURE: Prospect = Prospect {
        most: 5,
        chance: 0.9,
    };
    const DOUBTFUL: Prospect = Prospect {
        most: 5,
        chance: 0.6,
    };
    const NONE: Prospect = Prospect {
        most: 0,
        chance: 0.0,
    };

    #[test]
    fn the_likeliest_guesses_are_computed() {
        let all = [DOUBTFUL, NONE, SURE];
        let of_first = |count: usize| dealt_out(&all, 100, |_| count);
        assert_eq!(of_first(0), [0, 0, 0]);
        assert_eq!(of_first(2), [0, 0, 2]);
        // 0.9, 0.81, 0.729, 0.656, 0.6, 0.590, 0.36
        assert_eq!(of_first(7), [2, 0, 5]);
        assert_eq!(of_first(10), [5, 0, 5]);
    }

    #[test]
    fn what_is_asked_goes_down_and_fits_the_cache() {
        let all = [DOUBTFUL, NONE, SURE];
        let counts = dealt_out(&all, 6, |chances| {
            assert!(chances.is_sorted_by(|a, b| a >= b));
            chances.len()
        });
        assert_eq!(counts, [1, 0, 5]);
        let nobody = dealt_out(&[NONE, NONE], 6, |_| unreachable!("nothing to ask"));
        assert_eq!(nobody, [0, 0]);
    }
}
