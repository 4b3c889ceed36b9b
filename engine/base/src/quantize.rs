//! How many bits weights are quantized to while they are loaded.

/// Bits of a quantized weight: 2, 3, 4, 5, 6 or 8, which are those that MLX packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QuantizedBits(u8);

impl QuantizedBits {
    /// As good as none, and half of the memory.
    pub const EIGHT: Self = Self(8);

    /// All there are.
    pub const ALL: [u8; 6] = [2, 3, 4, 5, 6, 8];

    /// `None` if MLX does not pack so many.
    pub fn new(bits: u8) -> Option<Self> {
        Self::ALL.contains(&bits).then_some(Self(bits))
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}
