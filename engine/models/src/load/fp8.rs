//! Floats of 8 bits with a scale for each block of a matrix, as DeepSeek, Qwen, MiniMax, Mistral and others publish their
//! models. They are multiplied out as they are read, into bfloat16, so that they are in memory once.
//!
//! Beside `X.weight`, which has the type `F8_E4M3`, lies what its numbers are multiplied by: `X.weight_scale_inv`, or
//! `X.weight_scale`. Rounding is mlx-lm's: the product of float32, to the nearest bfloat16.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;

use super::folder::Folder;
use super::header::{ElementType, TensorEntry};
use crate::error::LoadError;

/// What the names of scales end with.
const SCALES: [&str; 2] = ["_scale_inv", "_scale"];

/// What the names of scales end with that inputs would have if they had 8 bits too.
const ACTIVATIONS: [&str; 2] = [".activation_scale", ".input_scale"];

/// Read at once, before they are multiplied out.
const CHUNK_BYTES: usize = 64 << 10;

/// What each byte stands for.
const VALUES: [f32; 256] = values();

/// A tensor's scales, all of them: they are one number where the tensor has thousands.
#[derive(Debug, PartialEq)]
pub(super) struct Scaled {
    /// Where the tensor begins in its file; every element is a byte.
    start: u64,
    /// Rows of a matrix, and its columns.
    matrix: [u64; 2],
    /// Of the matrices, of their rows and of their columns, how many have one scale together.
    block: [u64; 3],
    /// Scales along the rows and along the columns of a matrix.
    grid: [u64; 2],
    scales: Vec<f32>,
}

/// The name of a tensor's scales.
fn scales_of(folder: &Folder, name: &str) -> Option<String> {
    let mut names = SCALES.iter().map(|end| format!("{name}{end}"));
    names.find(|name| folder.tensors.contains_key(name))
}

/// Whether a tensor belongs to another of floats of 8 bits, and so is never an array itself.
pub(super) fn is_beside(folder: &Folder, name: &str) -> bool {
    let of = |end: &&str| Some(format!("{}{}", name.strip_suffix(*end)?, ".weight"));
    let activations = ACTIVATIONS.iter().find_map(of);
    let scaled = SCALES.iter().find_map(|end| name.strip_suffix(end));
    let scaled = scaled.or(activations.as_deref());
    let entry = scaled.and_then(|scaled| folder.tensors.get(scaled));
    entry.is_some_and(|(_, entry)| entry.element == Ok(ElementType::F8E4m3))
}

impl Scaled {
    /// Reads the scales of the tensor `name`.
    pub(super) fn read(
        folder: &Folder,
        name: &str,
        entry: &TensorEntry,
    ) -> std::result::Result<Self, LoadError> {
        let wrong = |problem: String| LoadError::Tensor {
            tensor: name.to_string(),
            problem,
        };
        let scales = scales_of(folder, name)
            .ok_or_else(|| wrong("its numbers have 8 bits, and no scales are there".into()))?;
        let (path, of_scales) = folder.tensor(&scales)?;
        let divided = divided(&entry.shape, &of_scales.shape, folder.config.block());
        let (block, grid) = divided.ok_or_else(|| {
            wrong(format!(
                "has the shape {:?}, its scales {:?}, which is no scale for each block of {:?}",
                entry.shape,
                of_scales.shape,
                folder.config.block()
            ))
        })?;
        let mut bytes = vec![0; of_scales.bytes as usize];
        File::open(path)
            .and_then(|file| file.read_exact_at(&mut bytes, of_scales.start))
            .map_err(|source| LoadError::File {
                file: path.clone(),
                source,
            })?;
        let numbers = numbers(&bytes, of_scales.element(&scales)?);
        let numbers =
            numbers.ok_or_else(|| wrong("its scales are neither float32 nor bfloat16".into()))?;
        let [.., rows, columns] = padded(&entry.shape);
        Ok(Self {
            start: entry.start,
            matrix: [rows, columns],
            block,
            grid,
            scales: numbers,
        })
    }

    /// Fills `room`, two bytes for each of the tensor's from the position `at` of its file.
    pub(super) fn fill(&self, file: &File, at: u64, room: &mut [u8]) -> Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES.min(room.len() / 2)];
        let mut element = at - self.start;
        for room in room.chunks_mut(2 * CHUNK_BYTES) {
            let bytes = &mut chunk[..room.len() / 2];
            file.read_exact_at(bytes, self.start + element)?;
            self.multiply(element, bytes, room);
            element += bytes.len() as u64;
        }
        Ok(())
    }

    /// The products of the elements from `first` on.
    fn multiply(&self, first: u64, bytes: &[u8], room: &mut [u8]) {
        let (mut bytes, mut room) = (bytes, room.as_chunks_mut::<2>().0);
        let mut first = first;
        while !bytes.is_empty() {
            let (scale, alike) = self.scale(first);
            let count = bytes.len().min(alike as usize);
            let (now, later) = bytes.split_at(count);
            let (products, rest) = room.split_at_mut(count);
            for (byte, product) in now.iter().zip(products) {
                *product = bfloat16(VALUES[usize::from(*byte)] * scale).to_le_bytes();
            }
            // Ends because a scale is that of one element at least.
            (bytes, room) = (later, rest);
            first += count as u64;
        }
    }

    /// The scale of an element, and of how many from it on, in its row.
    fn scale(&self, element: u64) -> (f32, u64) {
        let [rows, columns] = self.matrix;
        let (row, column) = (element / columns, element % columns);
        let places = [row / rows, row % rows, column];
        let [matrix, down, across] = std::array::from_fn(|axis| places[axis] / self.block[axis]);
        let at = (matrix * self.grid[0] + down) * self.grid[1] + across;
        let end = ((across + 1) * self.block[2]).min(columns);
        (self.scales[at as usize], end - column)
    }
}

/// A shape as that of several matrices.
fn padded(shape: &[u64]) -> [u64; 3] {
    let mut all = [1; 3];
    for (all, size) in all.iter_mut().rev().zip(shape.iter().rev()) {
        *all = *size;
    }
    all
}

/// How many have a scale together, along each of three dimensions, and how many scales there are along the last two.
fn divided(shape: &[u64], scales: &[u64], block: [u64; 2]) -> Option<([u64; 3], [u64; 2])> {
    if shape.len() > 3 || scales.len() > 3 {
        return None;
    }
    let (shape, scales) = (padded(shape), padded(scales));
    let usual = [1, block[0], block[1]];
    let mut blocks = [1; 3];
    for (axis, size) in blocks.iter_mut().enumerate() {
        let (length, count) = (shape[axis], scales[axis]);
        *size = match count {
            1 => length.max(1),
            count if count == length => 1,
            count if count == length.div_ceil(usual[axis]) => usual[axis],
            _ => return None,
        };
    }
    Some((blocks, [scales[1], scales[2]]))
}

/// The numbers of a tensor; `None` if it holds neither float32 nor bfloat16.
fn numbers(bytes: &[u8], element: ElementType) -> Option<Vec<f32>> {
    match element {
        ElementType::F32 => {
            let each = bytes.as_chunks::<4>().0.iter();
            Some(each.map(|bytes| f32::from_le_bytes(*bytes)).collect())
        }
        ElementType::Bf16 => {
            let each = bytes.as_chunks::<2>().0.iter();
            let wide =
                |bytes: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
            Some(each.map(wide).collect())
        }
        ElementType::F16 | ElementType::U32 | ElementType::U8 | ElementType::F8E4m3 => None,
    }
}

/// What bytes stand for: a sign, an exponent less 7, a fraction of eighths. As MLX reads them, without a NaN.
const fn values() -> [f32; 256] {
    // The same bits in their places of a float32 are less by the difference between what is taken off the exponents.
    const DIFFERENCE: f32 = f32::from_bits((127 + 120) << 23);
    let mut all = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        let bits = byte as u32;
        let small = f32::from_bits((bits & 0x80) << 24 | (bits & 0x7f) << 20);
        all[byte] = small * DIFFERENCE;
        byte += 1;
    }
    all
}

/// The nearest, of two as near the even one.
const fn bfloat16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stand_for_what_the_format_says() {
        for (byte, value) in [
            (0x00, 0.0),
            (0x01, 0.001_953_125),
            (0x07, 0.013_671_875),
            (0x08, 0.015_625),
            (0x38, 1.0),
            (0x39, 1.125),
            (0x7e, 448.0),
            (0xb8, -1.0),
            (0xfe, -448.0),
        ] {
            assert_eq!(VALUES[byte].to_bits(), f32::to_bits(value), "{byte:#x}");
        }
        assert!(VALUES[0x80].is_sign_negative());
    }

    #[test]
    fn rounding_is_to_the_nearest_and_then_to_the_even_one() {
        let rounded = |bits| bfloat16(f32::from_bits(bits));
        assert_eq!(rounded(0x3f80_8000), 0x3f80);
        assert_eq!(rounded(0x3f81_8000), 0x3f82);
        assert_eq!(rounded(0x3f80_8001), 0x3f81);
        assert_eq!(rounded(0xbf80_7fff), 0xbf80);
        assert_eq!(rounded(0x7f7f_ffff), 0x7f80);
        assert!(f32::from_bits(u32::from(rounded(0x7fff_ffff)) << 16).is_nan());
    }

    #[test]
    fn scales_are_those_of_an_elements_own_block() {
        // Two matrices of 5 by 7 in blocks of 2 by 3: 3 by 3 scales for each.
        let (block, grid) = divided(&[2, 5, 7], &[2, 3, 3], [2, 3]).unwrap();
        let scaled = Scaled {
            start: 16,
            matrix: [5, 7],
            block,
            grid,
            scales: (0..18).map(|at| at as f32).collect(),
        };
        for element in 0..70 {
            let (matrix, row, column) = (element / 35, element % 35 / 7, element % 7);
            let (scale, alike) = scaled.scale(element);
            assert_eq!(scale as u64, matrix * 9 + row / 2 * 3 + column / 3);
            assert_eq!(alike, [3, 2, 1, 3, 2, 1, 1][column as usize]);
        }
        let mut room = [0; 12];
        // The last element of a row, and the next row's first five.
        scaled.multiply(13, &[0x38; 6], &mut room);
        let products = room.as_chunks::<2>().0.iter();
        let products: Vec<u16> = products.map(|pair| u16::from_le_bytes(*pair)).collect();
        assert_eq!(products, [2.0, 3.0, 3.0, 3.0, 4.0, 4.0].map(bfloat16));
    }

    #[test]
    fn one_scale_may_be_of_all_or_of_each_row_or_of_each_matrix() {
        assert_eq!(divided(&[4, 6], &[], [128; 2]), Some(([1, 4, 6], [1, 1])));
        assert_eq!(divided(&[4, 6], &[1], [128; 2]), Some(([1, 4, 6], [1, 1])));
        let rows = divided(&[4, 6], &[4, 1], [128; 2]);
        assert_eq!(rows, Some(([1, 1, 6], [4, 1])));
        let matrices = divided(&[3, 4, 6], &[3, 1, 1], [128; 2]);
        assert_eq!(matrices, Some(([1, 4, 6], [1, 1])));
        let blocks = divided(&[200, 300], &[2, 3], [128; 2]);
        assert_eq!(blocks, Some(([1, 128, 128], [2, 3])));
        for (shape, scales) in [
            (&[200, 300][..], &[3, 3][..]),
            (&[200, 300], &[2, 2]),
            (&[200, 300], &[2, 3, 1, 1]),
            (&[200, 300], &[2, 2, 3]),
        ] {
            assert_eq!(divided(shape, scales, [128; 2]), None);
        }
    }
}
