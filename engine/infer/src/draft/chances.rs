//! How likely guesses from one place are right, learned from those that were held against what came.

/// How much one guess counts against all before it: after some ten misses little trust is left.
const RATE: f64 = 0.125;

/// However often guesses were right, one may be wrong.
const MOST: f64 = 0.98;

/// So many in a row are more than a few.
const MANY: usize = 4;

/// Of a guess from a new place, one after a few from there that were right, and one after more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Chances([f64; 3]);

impl Chances {
    /// Before any guess was seen.
    pub(crate) const fn new(first: [f64; 3]) -> Self {
        Self(first)
    }

    /// Takes in whether a guess was right that came after so many that were.
    pub(crate) fn learn(&mut self, before: usize, is_right: bool) {
        let counts = if is_right { 1.0 } else { 0.0 };
        let chance = &mut self.0[kind(before)];
        *chance += (counts - *chance) * RATE;
    }

    /// Comes nearer to what was held at first.
    pub(crate) fn rest(&mut self, first: &Self, rate: f64) {
        for (chance, first) in self.0.iter_mut().zip(first.0) {
            *chance += (first - *chance) * rate;
        }
    }

    /// How likely one is right after so many that were.
    pub(crate) fn after(&self, before: usize) -> f64 {
        self.0[kind(before)].min(MOST)
    }

    /// The same of so many, each with all of these before it: descending.
    pub(crate) fn together(&self, before: usize, most: usize) -> impl Iterator<Item = f64> {
        (before..before + most).scan(1.0, |all, before| {
            *all *= self.after(before);
            Some(*all)
        })
    }
}

fn kind(before: usize) -> usize {
    match before {
        0 => 0,
        1..MANY => 1,
        _ => 2,
    }
}
