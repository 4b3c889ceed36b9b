//! What goes wrong at a hub, by seed: so many faults, then none any more, or the same for ever.

use crate::random::Random;

/// One thing that goes wrong with one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(u64),
    /// Nothing comes any more after so many bytes of the body.
    Stall(u64),
    /// 429 with `Retry-After: 0`.
    TooMany,
    /// 500.
    Broken,
    /// The `Content-Range` says one byte more than the file has.
    WrongLength,
    /// One byte of the body is another one.
    WrongContent,
    /// After the bytes that were asked for come others, without end.
    Endless,
    /// `main` is at another commit from now on, and the old one is gone.
    Moved,
}

/// When what goes wrong.
#[derive(Debug, Clone)]
pub struct Faults {
    random: Random,
    left: usize,
    /// Answers are faulty once in so many.
    one_in: usize,
    kinds: Vec<fn(u64) -> Fault>,
    /// Those that were caused.
    pub caused: Vec<Fault>,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new(0, 0, &[])
    }
}

/// Faults that bring no wrong byte: after them each byte was sent once.
pub const HARMLESS: [fn(u64) -> Fault; 5] = [
    Fault::Cut,
    |_| Fault::TooMany,
    |_| Fault::Broken,
    Fault::Stall,
    |_| Fault::WrongLength,
];

impl Faults {
    /// `count` faults of these kinds, each answer having one with a chance of one half.
    pub fn new(seed: u64, count: usize, kinds: &[fn(u64) -> Fault]) -> Self {
        Self {
            random: Random::new(seed),
            left: count,
            one_in: 2,
            kinds: kinds.to_vec(),
            caused: Vec::new(),
        }
    }

    /// The same fault in every answer.
    pub fn always(kind: fn(u64) -> Fault) -> Self {
        Self {
            one_in: 1,
            ..Self::new(0, usize::MAX, &[kind])
        }
    }

    /// What goes wrong with the next answer, whose body has so many bytes.
    pub(super) fn next(&mut self, body_bytes: u64) -> Option<Fault> {
        if self.left == 0 || !self.random.one_in(self.one_in) {
            return None;
        }
        self.left -= 1;
        let at = self.random.below(body_bytes as usize) as u64;
        let fault = self.random.of(&self.kinds)(at);
        self.caused.push(fault);
        Some(fault)
    }
}
