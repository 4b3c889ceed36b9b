//! How many guesses a step computes: as many as bring the most tokens in its time, by what guesses cost in the last steps.
//!
//! Where the weights are what a step waits for, some more positions are nearly free while few answers run, and are not
//! when many do; so the cost is learned by how many guesses there were, and is nobody's business to know beforehand.

use super::{KINDS, Recent, kind};

/// Guesses of one step, of all sequences together: what it says of them fits a frame.
pub const GUESSES_MAX: usize = 512;

/// Guesses must bring so much more than what they take: their cost is not known exactly.
const GAIN_MIN: f64 = 1.05;

/// Before it was seen a guess is held to cost this part of what a token costs without: then those that are likely right are
/// tried.
const COST_FIRST: f64 = 0.25;

/// A guess is never held to cost less than this part of the step, whatever the clock says.
const COST_MIN: f64 = 0.01;

/// After so many steps without guesses they are held to cost half of what they did: it may have been a hiccup, or the cost of
/// another hour.
const DOUBTED_AFTER: u32 = 256;

/// What guesses cost, as far as steps have shown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GuessCosts {
    /// Seconds that each guess added to a step, by how many there were: 1, 2 to 3, 4 to 7 and so on.
    each_s: [Recent; KINDS],
    /// Steps since the last with guesses.
    steps_without: u32,
}

/// A step as it is without guesses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plain {
    /// Tokens that come of it.
    pub answers: u32,
    /// How long it takes.
    pub took_s: f64,
}

impl GuessCosts {
    /// How many guesses to add to a step, the likeliest first: by `chances`, descending, how likely each is not computed in
    /// vain. Where others wait the step takes at most twice as long.
    pub fn worthwhile(&self, plain: Plain, chances: &[f64]) -> usize {
        self.best(plain, chances, 0.0).0
    }

    /// The same where the step begins later by so many seconds if it has any guesses; and how many tokens a second come of it.
    pub fn best(&self, plain: Plain, chances: &[f64], before_s: f64) -> (usize, f64) {
        let answers = f64::from(plain.answers.max(1));
        let added_s_max = if plain.answers > 1 {
            plain.took_s
        } else {
            f64::INFINITY
        };
        let mut tokens = answers;
        let mut best = (0, GAIN_MIN * answers / plain.took_s);
        for (index, chance) in chances.iter().enumerate().take(GUESSES_MAX) {
            let count = index + 1;
            tokens += chance;
            let added_s = before_s + count as f64 * self.each_s(plain, count);
            let rate = tokens / (plain.took_s + added_s);
            if rate > best.1 && added_s <= added_s_max {
                best = (count, rate);
            }
        }
        best
    }

    /// What each of so many guesses adds to a step. Where that was not seen, what fewer or more have cost.
    fn each_s(&self, plain: Plain, count: usize) -> f64 {
        let own = kind(count as u32);
        let fewer = self.each_s[..=own].iter().rev();
        let mut known = fewer
            .chain(&self.each_s[own + 1..])
            .filter_map(Recent::middle);
        let first_s = COST_FIRST * plain.took_s / f64::from(plain.answers.max(1));
        let each_s = known.next().unwrap_or(first_s);
        each_s.max(COST_MIN * plain.took_s)
    }

    /// A step with so many guesses took so much longer than without.
    pub fn step(&mut self, count: u32, added_s: f64) {
        if count > 0 {
            self.each_s[kind(count)].push(added_s.max(0.0) / f64::from(count));
            self.steps_without = 0;
            return;
        }
        self.steps_without += 1;
        if self.steps_without.is_multiple_of(DOUBTED_AFTER) {
            self.each_s.iter_mut().for_each(Recent::halve);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_S: f64 = 0.010;

    /// What comes of some steps of `answers`, each of which may be guessed on with this chance, per second and compared
    /// with no guesses at all. A step with guesses takes so many seconds longer.
    fn gain(answers: u32, chance: f64, added_s: impl Fn(usize) -> f64) -> f64 {
        let mut costs = GuessCosts::default();
        let plain = Plain {
            answers,
            took_s: STEP_S,
        };
        let of_each = (1..=16).map(|count| chance.powi(count));
        let mut chances: Vec<f64> = of_each
            .flat_map(|one| vec![one; answers as usize])
            .collect();
        chances.sort_by(|a, b| b.total_cmp(a));
        let (mut tokens, mut took_s) = (0.0, 0.0);
        for _ in 0..300 {
            let count = costs.worthwhile(plain, &chances);
            let added_s = if count > 0 { added_s(count) } else { 0.0 };
            costs.step(count as u32, added_s);
            tokens += f64::from(answers) + chances[..count].iter().sum::<f64>();
            took_s += STEP_S + added_s;
        }
        tokens / took_s / (f64::from(answers) / STEP_S)
    }

    #[test]
    fn where_positions_are_nearly_free_much_is_guessed() {
        let nearly_free = |count: usize| 0.0003 * count as f64;
        assert!(gain(1, 0.95, nearly_free) > 6.0);
        assert!(gain(1, 0.5, nearly_free) > 1.5);
        assert!(gain(8, 0.95, nearly_free) > 2.0);
    }

    #[test]
    fn where_a_position_costs_as_much_as_a_token_nothing_is() {
        for answers in [1, 8, 32] {
            let as_much = |count: usize| STEP_S / f64::from(answers) * count as f64;
            for chance in [0.1, 0.5, 0.95] {
                let gain = gain(answers, chance, as_much);
                assert!(gain > 0.97, "{answers} {chance}: {gain}");
            }
        }
    }

    #[test]
    fn a_cost_that_is_there_at_once_is_worth_it_for_many() {
        // Another way of multiplying, which takes long for two rows and little more for ten.
        let added = |count: usize| 0.006 + 0.0002 * count as f64;
        assert!(gain(1, 0.95, added) > 4.0);
        assert!(gain(1, 0.3, added) > 0.97);
    }

    #[test]
    fn others_wait_twice_as_long_at_most() {
        let mut costs = GuessCosts::default();
        costs.step(4, 4.0 * 0.001);
        let plain = Plain {
            answers: 2,
            took_s: STEP_S,
        };
        assert_eq!(costs.worthwhile(plain, &[0.99; 40]), 10);
        let alone = Plain {
            answers: 1,
            ..plain
        };
        assert_eq!(costs.worthwhile(alone, &[0.99; 40]), 40);
    }

    #[test]
    fn a_hiccup_is_forgotten_some_day() {
        let mut costs = GuessCosts::default();
        let plain = Plain {
            answers: 1,
            took_s: STEP_S,
        };
        costs.step(3, 1.0);
        assert_eq!(costs.worthwhile(plain, &[0.9; 3]), 0);
        for _ in 0..7 * DOUBTED_AFTER {
            costs.step(0, 0.0);
        }
        assert_eq!(costs.worthwhile(plain, &[0.9; 3]), 3);
    }
}
