//! Linear recurrences: each head of a sequence has a matrix that fades, takes something in with every token, and is read.
//!
//! With a token's key `k`, value `v`, query `q`, fading `a` and eagerness `b` the matrix `S` becomes `a S + kᵀ u`, and `q S`
//! comes out. What is taken in, `u`, is the value itself (Mamba-2: Dao and Gu 2024, arXiv 2405.21060), or by the gated delta
//! rule what the matrix lacks of it, `b (v - k a S)` (Yang et al. 2024, arXiv 2412.06464). Many tokens go through in chunks,
//! within which all is a few products of matrices.

use mlx_rs::error::Result;
use mlx_rs::{Array, ops};

use crate::ops::slice;

/// Tokens that are worked out together: the products within a chunk cost as much as those with the matrix.
const CHUNK_TOKENS: i32 = 64;

/// The axis of tokens.
const TOKENS: usize = 3;

/// What tokens say, all in float32. Heads are in groups, which share queries and keys.
pub(super) struct Said {
    /// `[sequences, groups, 1, tokens, key width]`.
    pub(super) queries: Array,
    pub(super) keys: Array,
    /// `[sequences, groups, heads, tokens, value width]`.
    pub(super) values: Array,
    /// The logarithm of how much stays of the matrix, `[sequences, groups, heads, tokens]`.
    pub(super) fading: Array,
    /// How much of what it lacks is taken in, the same. `None` takes in the values as they are.
    pub(super) eagerness: Option<Array>,
}

/// How tokens go through, with what is the same for all chunks.
#[derive(Debug)]
pub(super) struct Recurrence {
    /// Which tokens of a chunk each one sees: itself and those before, `[tokens, tokens]`.
    seen: Array,
    /// For each power of two up to half a chunk: of blocks of so many rows and columns every second one beside the
    /// diagonal. Together they are all below the diagonal.
    corners: Vec<Array>,
}

impl Recurrence {
    pub(super) fn new() -> Self {
        let blocks = (0..CHUNK_TOKENS.ilog2()).map(|power| 1 << power);
        let corner = |block: i32| {
            square(|row, column| {
                let (row, column) = (row / block, column / block);
                row == column + 1 && row % 2 == 1
            })
        };
        Self {
            seen: square(|row, column| column <= row),
            corners: blocks.map(corner).collect(),
        }
    }

    /// Takes tokens in: what comes out of each, `[sequences, groups, heads, tokens, value width]`, and the matrices after the
    /// last, `[sequences, groups, heads, key width, value width]`.
    pub(super) fn run(&self, said: &Said, matrices: &Array) -> Result<(Array, Array)> {
        match said.keys.dim(TOKENS as i32) {
            1 => said.step(matrices),
            _ => self.chunks(said, matrices),
        }
    }

    fn chunks(&self, said: &Said, matrices: &Array) -> Result<(Array, Array)> {
        let tokens = said.keys.dim(TOKENS as i32);
        let size = CHUNK_TOKENS.min((tokens as u32).next_power_of_two() as i32);
        let chunks = self.prepared(&said.in_chunks(size)?, size)?;
        let mut matrices = matrices.clone();
        let mut outputs = Vec::new();
        for chunk in 0..(tokens + size - 1) / size {
            let (output, next) = chunks.at(chunk)?.run(&matrices)?;
            outputs.push(output);
            matrices = next;
        }
        let outputs = ops::concatenate(&outputs, TOKENS as i32)?;
        Ok((slice(&outputs, &[(TOKENS, 0..tokens)])?, matrices))
    }

    /// All that is known of chunks before their matrices are. `said` is `[.., chunks, tokens, ..]`.
    fn prepared(&self, said: &Said, size: i32) -> Result<Chunk> {
        let seen = corner_of(&self.seen, size)?;
        let nothing = Array::from_f32(0.0);
        let faded = said.fading.cumsum(-1, false, true)?;
        let (by_row, by_column) = (faded.expand_dims(-1)?, faded.expand_dims(-2)?);
        let since = by_row.subtract(by_column)?.exp()?;
        let since = ops::select(&seen, since, &nothing)?;
        let scores = |rows: &Array| -> Result<Array> {
            rows.matmul(said.keys.swap_axes(-1, -2)?)?.multiply(&since)
        };
        let since_start = by_row.exp()?;
        let last = slice(&by_row, &[(4, size - 1..size)])?;
        let until_end = last.subtract(&by_row)?.exp()?;
        let (taken, corrected) = match &said.eagerness {
            None => (said.values.clone(), None),
            Some(eagerness) => {
                let eagerness = eagerness.expand_dims(-1)?;
                let mixed = self.inverse(&scores(&said.keys)?.multiply(&eagerness)?, size)?;
                let keys = said.keys.multiply(eagerness.multiply(&since_start)?)?;
                let values = said.values.multiply(&eagerness)?;
                (mixed.matmul(values)?, Some(mixed.matmul(keys)?))
            }
        };
        Ok(Chunk {
            reads: said.queries.multiply(since_start)?,
            scores: scores(&said.queries)?,
            keys: said.keys.multiply(until_end)?.swap_axes(-1, -2)?,
            taken,
            corrected,
            fading: last.exp()?,
        })
    }

    /// `(1 + L)⁻¹` of what is below the diagonal of `[.., size, size]`: from the inverses of two blocks on the diagonal
    /// follows that of both with the corner between them.
    fn inverse(&self, lower: &Array, size: i32) -> Result<Array> {
        let nothing = Array::from_f32(0.0);
        let mut inverse = Array::eye::<f32>(size, None, None)?;
        for (power, corner) in self.corners.iter().enumerate().take(size.ilog2() as usize) {
            let corner = ops::select(corner_of(corner, size)?, lower, &nothing)?;
            let between = match power {
                // Of blocks of one the inverses are 1.
                0 => corner,
                _ => inverse.matmul(corner)?.matmul(&inverse)?,
            };
            inverse = inverse.subtract(between)?;
        }
        Ok(inverse)
    }
}

impl Said {
    /// One token of each sequence.
    fn step(&self, matrices: &Array) -> Result<(Array, Array)> {
        let faded = matrices.multiply(self.fading.exp()?.expand_dims(-1)?)?;
        let taken = match &self.eagerness {
            None => self.values.clone(),
            Some(eagerness) => {
                let lacking = self.values.subtract(self.keys.matmul(&faded)?)?;
                lacking.multiply(eagerness.expand_dims(-1)?)?
            }
        };
        let written = self.keys.swap_axes(-1, -2)?.multiply(taken)?;
        let matrices = faded.add(written)?;
        Ok((self.queries.matmul(&matrices)?, matrices))
    }

    /// With an axis of chunks before that of tokens. Tokens that are missing in the last one change nothing.
    fn in_chunks(&self, size: i32) -> Result<Self> {
        let cut = |all: &Array| -> Result<Array> {
            let mut shape = all.shape().to_vec();
            let missing = -shape[TOKENS] & (size - 1);
            let padded = if missing == 0 {
                all.clone()
            } else {
                let mut lacking = shape.clone();
                lacking[TOKENS] = missing;
                let nothing = ops::zeros_dtype(&lacking, all.dtype())?;
                ops::concatenate(&[all, &nothing], TOKENS as i32)?
            };
            shape.splice(TOKENS..=TOKENS, [-1, size]);
            padded.reshape(&shape)
        };
        Ok(Self {
            queries: cut(&self.queries)?,
            keys: cut(&self.keys)?,
            values: cut(&self.values)?,
            fading: cut(&self.fading)?,
            eagerness: self.eagerness.as_ref().map(cut).transpose()?,
        })
    }
}

/// What is known of a chunk, or of all: the axis of chunks is then before that of tokens.
struct Chunk {
    /// What is read of the matrix, `[.., tokens, key width]`.
    reads: Array,
    /// What each token reads of what each other has taken in, `[.., tokens, tokens]`.
    scores: Array,
    /// Where what is taken in is written, `[.., key width, tokens]`.
    keys: Array,
    /// What each token takes in if the matrix is nothing, `[.., tokens, value width]`.
    taken: Array,
    /// By which of the matrix that becomes less, `[.., tokens, key width]`.
    corrected: Option<Array>,
    /// How much stays of the matrix after all, `[.., 1, 1]`.
    fading: Array,
}

impl Chunk {
    /// One of all.
    fn at(&self, chunk: i32) -> Result<Self> {
        let own = |all: &Array| slice(all, &[(TOKENS, chunk..chunk + 1)])?.squeeze_axes(&[3]);
        Ok(Self {
            reads: own(&self.reads)?,
            scores: own(&self.scores)?,
            keys: own(&self.keys)?,
            taken: own(&self.taken)?,
            corrected: self.corrected.as_ref().map(own).transpose()?,
            fading: own(&self.fading)?,
        })
    }

    fn run(&self, matrices: &Array) -> Result<(Array, Array)> {
        let taken = match &self.corrected {
            None => self.taken.clone(),
            Some(corrected) => self.taken.subtract(corrected.matmul(matrices)?)?,
        };
        let among = self.scores.matmul(&taken)?;
        let output = self.reads.matmul(matrices)?.add(among)?;
        let faded = matrices.multiply(&self.fading)?;
        Ok((output, faded.add(self.keys.matmul(&taken)?)?))
    }
}

/// `[tokens, tokens]` of a chunk.
fn square(has: impl Fn(i32, i32) -> bool) -> Array {
    let rows = (0..CHUNK_TOKENS).flat_map(|row| (0..CHUNK_TOKENS).map(move |column| (row, column)));
    let all: Vec<bool> = rows.map(|(row, column)| has(row, column)).collect();
    Array::from_slice(&all, &[CHUNK_TOKENS, CHUNK_TOKENS])
}

/// The same of a smaller chunk.
fn corner_of(square: &Array, size: i32) -> Result<Array> {
    slice(square, &[(0, 0..size), (1, 0..size)])
}

#[cfg(test)]
mod tests {
    use mlx_rs::random::{normal, uniform};

    use super::*;

    const HEADS: [i32; 3] = [2, 2, 3];

    fn said(tokens: i32, delta: bool) -> Said {
        let [sequences, groups, heads] = HEADS;
        let shared = [sequences, groups, 1, tokens, 8];
        let noise = |shape: &[i32]| normal::<f32>(shape, None, None, None).unwrap();
        let between = |from: f32, to: f32| {
            let shape = [sequences, groups, heads, tokens];
            uniform::<_, f32>(from, to, &shape[..], None).unwrap()
        };
        let keys = noise(&shared);
        let length = keys.square().unwrap().sum_axis(-1, true).unwrap();
        Said {
            queries: noise(&shared),
            keys: keys.divide(length.sqrt().unwrap()).unwrap(),
            values: noise(&[sequences, groups, heads, tokens, 6]),
            fading: between(-0.5, 0.0),
            eagerness: delta.then(|| between(0.0, 1.0)),
        }
    }

    fn token(said: &Said, at: i32) -> Said {
        let own = |all: &Array| slice(all, &[(TOKENS, at..at + 1)]).unwrap();
        Said {
            queries: own(&said.queries),
            keys: own(&said.keys),
            values: own(&said.values),
            fading: own(&said.fading),
            eagerness: said.eagerness.as_ref().map(own),
        }
    }

    fn assert_close(ours: &Array, theirs: &Array) {
        assert_eq!(ours.shape(), theirs.shape());
        let difference = ours.subtract(theirs).unwrap().abs().unwrap();
        let largest: f32 = difference.max(None).unwrap().item_exact();
        assert!(largest < 1e-4, "differ by {largest}");
    }

    fn check(said: &Said) {
        let recurrence = Recurrence::new();
        let [sequences, groups, heads] = HEADS;
        let start = normal::<f32>(&[sequences, groups, heads, 8, 6], None, None, None).unwrap();
        let (together, end) = recurrence.run(said, &start).unwrap();
        let (mut one_by_one, mut matrices) = (Vec::new(), start);
        for at in 0..said.keys.dim(3) {
            let (output, next) = recurrence.run(&token(said, at), &matrices).unwrap();
            one_by_one.push(output);
            matrices = next;
        }
        assert_close(&together, &ops::concatenate(&one_by_one, 3).unwrap());
        assert_close(&end, &matrices);
    }

    #[test]
    fn chunks_are_what_their_tokens_are_one_by_one() {
        for tokens in [2, 3, 33, 64, 65, 200] {
            check(&said(tokens, true));
            check(&said(tokens, false));
        }
    }

    /// The powers of what is inverted grow beyond all bounds here, the inverse does not.
    #[test]
    fn a_prompt_that_repeats_itself_is_read_exactly() {
        let mut same = said(150, true);
        let first = slice(&same.keys, &[(TOKENS, 0..1)]).unwrap();
        same.keys = ops::broadcast_to(first, same.keys.shape()).unwrap();
        same.fading = ops::zeros_like(&same.fading).unwrap();
        same.eagerness = Some(ops::ones_like(&same.fading).unwrap());
        check(&same);
    }
}
