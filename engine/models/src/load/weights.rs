//! Takes tensors, or a rank's slice of them, from the files straight into MLX arrays.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use base::TensorSlice;
use mlx_rs::{Array, Dtype};

use super::folder::{Config, Folder};
use super::header::TensorEntry;
use crate::error::LoadError;

/// A part of a tensor along one of its dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Along {
    /// The dimension: 0 is one contiguous range of the file, others are one range in each of those before.
    pub(crate) axis: usize,
    pub(crate) part: Part,
}

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A rank's.
    Slice(TensorSlice),
    /// From one index up to another.
    Between(i32, i32),
}

impl Part {
    /// Its first index and its length, of a dimension of so many.
    fn of(self, length: u64) -> Result<(u64, u64), String> {
        match self {
            Self::Slice(TensorSlice { index, of }) => {
                let (index, of) = (u64::from(index), u64::from(of));
                if !length.is_multiple_of(of) {
                    return Err(format!("does not divide by {of}"));
                }
                Ok((length / of * index, length / of))
            }
            Self::Between(from, to) => {
                let (from, to) = (i64::from(from), i64::from(to));
                match (u64::try_from(from), u64::try_from(to - from)) {
                    (Ok(from), Ok(count)) if from + count <= length => Ok((from, count)),
                    _ => Err(format!("has no part from {from} to {to}")),
                }
            }
        }
    }
}

/// A model's tensors on their way into memory.
pub(crate) struct Weights<'a> {
    folder: &'a Folder,
    bytes_done: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> Weights<'a> {
    /// Weights of a folder; `progress` hears the total of bytes read so far.
    pub(crate) fn new(folder: &'a Folder, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self {
            folder,
            bytes_done: 0,
            progress,
        }
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &'a Config {
        &self.folder.config
    }

    /// Whether there is such a tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.tensors.contains_key(name)
    }

    /// Whether there is one of this shape.
    pub(crate) fn is(&self, name: &str, shape: &[i32]) -> bool {
        let entry = self.folder.tensors.get(name).map(|(_, entry)| entry);
        let shape = shape.iter().map(|&size| size as u64);
        entry.is_some_and(|entry| entry.shape.iter().copied().eq(shape))
    }

    /// Type of the model's activations: that of its final norm, which no quantization touches.
    pub(crate) fn activation_dtype(&self) -> Result<Dtype, LoadError> {
        const NORM: &str = "model.norm.weight";
        let (_, norm) = self.folder.tensor(NORM)?;
        Ok(norm.element(NORM)?.dtype())
    }

    /// Reads a tensor that must have the shape `expected` before it is cut; all of it if there is no `cut`.
    pub(crate) fn take(
        &mut self,
        name: &str,
        expected: &[i32],
        cut: Option<Along>,
    ) -> Result<Array, LoadError> {
        let (file, entry) = self.folder.tensor(name)?;
        let wrong = |problem: String| LoadError::Tensor {
            tensor: name.to_string(),
            problem,
        };
        if !entry
            .shape
            .iter()
            .copied()
            .eq(expected.iter().map(|&size| size as u64))
        {
            return Err(wrong(format!(
                "has the shape {:?}, the configuration says {expected:?}",
                entry.shape
            )));
        }
        let dtype = entry.element(name)?.dtype();
        let (bytes, shape) = read(file, entry, cut).map_err(|problem| match problem {
            ReadProblem::Cut(problem) => wrong(problem),
            ReadProblem::File(source) => LoadError::File {
                file: file.clone(),
                source,
            },
        })?;
        self.bytes_done += bytes.len() as u64;
        (self.progress)(self.bytes_done);
        // SAFETY: the buffer holds exactly the bytes of `shape` (checked by `read`), and MLX copies it here.
        Ok(unsafe { Array::from_raw_data(bytes.as_ptr().cast(), &shape, dtype) })
    }
}

enum ReadProblem {
    Cut(String),
    File(std::io::Error),
}

impl From<std::io::Error> for ReadProblem {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

/// The bytes of the cut and its shape.
fn read(
    path: &Path,
    entry: &TensorEntry,
    cut: Option<Along>,
) -> Result<(Vec<u8>, Vec<i32>), ReadProblem> {
    let file = File::open(path)?;
    let mut shape: Vec<i32> = entry.shape.iter().map(|&size| size as i32).collect();
    let Along { axis, part } = cut.unwrap_or(Along {
        axis: 0,
        part: Part::Slice(TensorSlice::WHOLE),
    });
    let Some(&length) = entry.shape.get(axis) else {
        return Err(ReadProblem::Cut(format!(
            "has the shape {:?}, too few dimensions to divide",
            entry.shape
        )));
    };
    let (first, count) = part.of(length).map_err(|problem| {
        ReadProblem::Cut(format!("{length} along dimension {axis} {problem}"))
    })?;
    shape[axis] = count as i32;
    let mut bytes = vec![0; (entry.bytes / length.max(1) * count) as usize];
    // Every part before the cut axis: one if that is the first, every row if it is the second.
    let runs: u64 = entry.shape[..axis].iter().product();
    if runs == 0 || bytes.is_empty() {
        return Ok((bytes, shape));
    }
    let run_bytes = bytes.len() / runs as usize;
    let before = first * (run_bytes as u64 / count);
    for (run, piece) in bytes.chunks_exact_mut(run_bytes).enumerate() {
        let begin = run as u64 * (entry.bytes / runs) + before;
        file.read_exact_at(piece, entry.start + begin)?;
    }
    Ok((bytes, shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::header::ElementType;

    fn cut(shape: &[u64], cut: Option<Along>) -> (Vec<u8>, Vec<i32>) {
        let path = format!("espalier-cut-{}-{shape:?}-{cut:?}", std::process::id());
        let path = std::env::temp_dir().join(path);
        let numbers: Vec<u8> = (0..24u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, [vec![9; 16], numbers].concat()).unwrap();
        let entry = TensorEntry {
            element: Ok(ElementType::U32),
            shape: shape.to_vec(),
            start: 16,
            bytes: 96,
        };
        let result = read(&path, &entry, cut);
        std::fs::remove_file(&path).unwrap();
        result.ok().unwrap()
    }

    fn numbers((bytes, shape): (Vec<u8>, Vec<i32>)) -> (Vec<u8>, Vec<i32>) {
        (bytes.chunks(4).map(|number| number[0]).collect(), shape)
    }

    #[test]
    fn no_part_lies_outside() {
        for part in [
            Part::Between(-1, 2),
            Part::Between(2, 1),
            Part::Between(0, 7),
        ] {
            assert!(part.of(6).is_err());
        }
        assert!(Part::Slice(TensorSlice { index: 0, of: 4 }).of(6).is_err());
    }

    #[test]
    fn cuts_are_the_parts_of_the_whole() {
        let whole = cut(&[4, 6], None);
        assert_eq!(numbers(whole).0, (0..24).collect::<Vec<u8>>());
        let half = |axis| {
            let part = Part::Slice(TensorSlice { index: 1, of: 2 });
            Some(Along { axis, part })
        };
        let rows = cut(&[4, 6], half(0));
        assert_eq!(numbers(rows), ((12..24).collect(), vec![2, 6]));
        let columns = vec![3, 4, 5, 9, 10, 11, 15, 16, 17, 21, 22, 23];
        assert_eq!(numbers(cut(&[4, 6], half(1))), (columns, vec![4, 3]));
        let middle = vec![6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23];
        assert_eq!(numbers(cut(&[2, 4, 3], half(1))), (middle, vec![2, 2, 3]));
        let between = |axis, from, to| {
            let part = Part::Between(from, to);
            Some(Along { axis, part })
        };
        let row = numbers(cut(&[4, 6], between(0, 1, 2)));
        assert_eq!(row, (vec![6, 7, 8, 9, 10, 11], vec![1, 6]));
        let middle = numbers(cut(&[2, 4, 3], between(1, 3, 4)));
        assert_eq!(middle, (vec![9, 10, 11, 21, 22, 23], vec![2, 1, 3]));
    }
}
