//! How many bits weights are quantized to while they are loaded, and keys and values while they are cached.

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

/// Bits of an element of quantized keys and values: 4 or 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheBits(u8);

impl CacheBits {
    /// All there are.
    pub const ALL: [u8; 2] = [4, 8];
    /// How many elements share a scale and a bias: the most that divide a head are taken.
    const GROUPS: [u32; 2] = [64, 32];

    /// `None` if caches are not quantized to so many.
    pub fn new(bits: u8) -> Option<Self> {
        Self::ALL.contains(&bits).then_some(Self(bits))
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// How many elements of a head with so many share a scale and a bias; `None` if they make no whole groups.
    pub fn group_elements(head_elements: u32) -> Option<u32> {
        let divides = |group: &u32| head_elements > 0 && head_elements.is_multiple_of(*group);
        Self::GROUPS.into_iter().find(divides)
    }
}
