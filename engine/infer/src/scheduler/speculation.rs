//! Which answers of the next step are guessed on, and how far: as far as that brings more tokens in the same time
//! (`pace/guesses.rs`), and there is cache left over.

use super::Scheduler;
use super::pace::GUESSES_MAX;
use super::sequence::Sequence;

impl Scheduler {
    /// Has guesses computed in the next step for the sequences that will be in it, unless one of them reads its prompt: that
    /// makes the step twice as long already.
    pub(super) fn speculate(&mut self) {
        if !self.limits.speculates {
            return;
        }
        for at in self.idle() {
            self.running[at].sequence.guess(0);
        }
        let next = self.answers_next();
        let sequence = |&at: &usize| &self.running[at].sequence;
        let chances: Vec<_> = next.iter().map(sequence).map(Sequence::chances).collect();
        let left_over = self.cache_tokens_left().unwrap_or(0) as usize;
        let counts = dealt_out(&chances, left_over.min(GUESSES_MAX), |chances| {
            self.pace.guesses(next.len() as u32, chances)
        });
        for (at, count) in next.into_iter().zip(counts) {
            self.running[at].sequence.guess(count);
        }
    }
}

impl Scheduler {
    /// The sequences of the next step, if it is one of answers alone; as far as is known before room was made for it.
    pub(super) fn answers_next(&self) -> Vec<usize> {
        let mut next = self.idle();
        next.truncate(self.running.len().div_ceil(self.limits.stages as usize));
        let reads = |&at: &usize| self.running[at].sequence.is_reading();
        if next.iter().any(reads) {
            next.clear();
        }
        next
    }
}

/// How many tokens to guess of each sequence, at most so many of all. For each it is said how likely guesses are right, each
/// with all before it, descending: the likeliest of all are computed, as many as `worthwhile` says, which is told how likely
/// these are.
fn dealt_out(
    sequences: &[Vec<f64>],
    most_of_all: usize,
    worthwhile: impl FnOnce(&[f64]) -> usize,
) -> Vec<usize> {
    let of_each = sequences.iter().enumerate();
    let mut guesses: Vec<(f64, usize)> = of_each
        .flat_map(|(at, chances)| chances.iter().map(move |&chance| (chance, at)))
        .collect();
    guesses.sort_by(|a, b| b.0.total_cmp(&a.0));
    guesses.truncate(most_of_all);
    let mut counts = vec![0; sequences.len()];
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

    fn all() -> [Vec<f64>; 3] {
        let sure = vec![0.9, 0.81, 0.73, 0.66, 0.59];
        let doubtful = vec![0.6, 0.36, 0.22];
        [doubtful, Vec::new(), sure]
    }

    #[test]
    fn the_likeliest_guesses_are_computed() {
        let of_first = |count: usize| dealt_out(&all(), 100, |_| count);
        assert_eq!(of_first(0), [0, 0, 0]);
        assert_eq!(of_first(2), [0, 0, 2]);
        assert_eq!(of_first(7), [2, 0, 5]);
        assert_eq!(of_first(8), [3, 0, 5]);
    }

    #[test]
    fn what_is_asked_goes_down_and_fits_the_cache() {
        let counts = dealt_out(&all(), 6, |chances| {
            assert!(chances.is_sorted_by(|a, b| a >= b));
            chances.len()
        });
        assert_eq!(counts, [1, 0, 5]);
        let nobody = dealt_out(&[Vec::new()], 6, |_| unreachable!("nothing to ask"));
        assert_eq!(nobody, [0]);
    }
}
