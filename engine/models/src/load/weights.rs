//! Takes tensors, or a rank's slice of them, from the files straight into MLX arrays.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use base::TensorSlice;
use mlx_rs::{Array, Dtype};

use super::direct::{self, Ranges, ReadError, Run};
use super::folder::{Config, Folder};
use super::fp8::Scaled;
use super::header::{ElementType, TensorEntry};
use super::held::{Held, OnLoad};
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
    held: Held<'a>,
    bytes_done: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> Weights<'a> {
    /// Weights of a folder; `progress` hears the total of bytes so far, as they are held in memory.
    pub(crate) fn new(folder: &'a Folder, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self {
            folder,
            held: Held::new(folder, None),
            bytes_done: 0,
            progress,
        }
    }

    /// From here on matrices are held as `on_load` says.
    pub(crate) fn quantize(&mut self, on_load: Option<OnLoad>) {
        self.held = Held::new(self.folder, on_load);
    }

    /// How tensors are held.
    pub(crate) const fn held(&self) -> &Held<'a> {
        &self.held
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

    /// Type of a tensor's elements.
    pub(crate) fn element(&self, name: &str) -> Result<ElementType, LoadError> {
        self.folder.tensor(name)?.1.element(name)
    }

    /// Reads a tensor that must have the shape `expected` before it is cut; all of it if there is no `cut`.
    pub(crate) fn take(
        &mut self,
        name: &str,
        expected: &[i32],
        cut: Option<Along>,
    ) -> Result<Array, LoadError> {
        let piece = Piece {
            name: name.to_string(),
            expected: expected.to_vec(),
            cut,
        };
        self.take_arranged(&[piece], Arranged::Along(0))
    }

    /// Reads pieces of one type into one array.
    pub(crate) fn take_arranged(
        &mut self,
        pieces: &[Piece],
        arranged: Arranged,
    ) -> Result<Array, LoadError> {
        let each = pieces.iter();
        let each = each.map(|piece| Ok((piece.name.as_str(), self.region(piece)?)));
        let each: Vec<(&str, Region)> = each.collect::<Result<_, LoadError>>()?;
        let array = self.read(&each, arranged)?;
        self.kept(array.nbytes() as u64);
        Ok(array)
    }

    /// How many matrices, rows and columns a piece of a matrix has, or of several.
    pub(crate) fn size(&self, piece: &Piece) -> Result<[i32; 3], LoadError> {
        let mut size = [1; 3];
        let region = self.region(piece)?;
        for (size, (_, count)) in size.iter_mut().rev().zip(region.iter().rev()) {
            *size = *count as i32;
        }
        Ok(size)
    }

    /// Reads some rows of one of a piece's matrices, `[rows, columns]`. How much of it is [kept](Self::kept) is the caller's.
    pub(crate) fn take_rows(
        &self,
        piece: &Piece,
        matrix: i32,
        rows: Range<i32>,
    ) -> Result<Array, LoadError> {
        let mut region = self.region(piece)?;
        if let [(first, count), _, _] = &mut region[..] {
            (*first, *count) = (*first + matrix as u64, 1);
        }
        if let [.., (first, count), _] = &mut region[..] {
            (*first, *count) = (*first + rows.start as u64, rows.len() as u64);
        }
        let array = self.read(&[(&piece.name, region)], Arranged::Along(0))?;
        Ok(array.reshape(&[rows.len() as i32, -1])?)
    }

    /// Says that so many more bytes are there to stay.
    pub(crate) fn kept(&mut self, bytes: u64) {
        self.bytes_done += bytes;
        (self.progress)(self.bytes_done);
    }

    fn region(&self, piece: &Piece) -> Result<Region, LoadError> {
        piece.region(&self.folder.tensor(&piece.name)?.1)
    }

    fn read(&self, each: &[(&str, Region)], arranged: Arranged) -> Result<Array, LoadError> {
        let mut opened = Opened::default();
        let mut shape: Vec<i32> = Vec::new();
        let mut ranges = Ranges::default();
        let mut of_each = Vec::with_capacity(each.len());
        for (name, region) in each {
            let (path, entry) = self.folder.tensor(name)?;
            let mut of_scales = None;
            if entry.element == Ok(ElementType::F8E4m3) {
                of_scales = Some(ranges.scaled.len());
                let scaled = Scaled::read(self.folder, name, entry)?;
                ranges.scaled.push(scaled);
            }
            of_each.push(runs(entry, region, opened.open(path)?, of_scales));
            let own: Vec<i32> = region.iter().map(|(_, count)| *count as i32).collect();
            shape = arranged.with(shape, &own);
        }
        let [(first, _), ..] = each else {
            return Err(LoadError::Shard("an array of no tensors".into()));
        };
        ranges.runs = arranged.interleaved(of_each, &shape);
        ranges.files = opened.files;
        let array = direct::array(ranges, self.element(first)?, &shape);
        array.map_err(|error| match error {
            ReadError::Other(error) => error,
            ReadError::File(source) => LoadError::File {
                file: opened.paths[0].clone(),
                source,
            },
        })
    }
}

/// A tensor that must have the shape `expected` before it is cut; all of it if there is no `cut`.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) name: String,
    pub(crate) expected: Vec<i32>,
    pub(crate) cut: Option<Along>,
}

/// How pieces make one array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arranged {
    /// One after the other along this of their dimensions.
    Along(usize),
    /// Along a new one, before those that they have.
    Stacked,
}

impl Arranged {
    /// The shape of what is arranged already, none of it at first, and one more piece.
    fn with(self, before: Vec<i32>, piece: &[i32]) -> Vec<i32> {
        match self {
            Self::Stacked => {
                let count = before.first().map_or(1, |count| count + 1);
                [&[count], piece].concat()
            }
            Self::Along(axis) if !before.is_empty() => {
                let mut all = before;
                all[axis] += piece[axis];
                all
            }
            Self::Along(_) => piece.to_vec(),
        }
    }

    /// The ranges of an array of this shape, made of those of each piece.
    fn interleaved(self, each: Vec<Vec<Run>>, shape: &[i32]) -> Vec<Run> {
        let turns: i32 = match self {
            Self::Along(axis) if each.len() > 1 => shape[..axis].iter().product(),
            Self::Along(_) | Self::Stacked => 1,
        };
        let bytes = |runs: &Vec<Run>| runs.iter().map(|run| run.bytes).sum::<usize>();
        let own: Vec<usize> = each
            .iter()
            .map(|runs| bytes(runs) / turns.max(1) as usize)
            .collect();
        let mut each: Vec<_> = each
            .into_iter()
            .map(|runs| runs.into_iter().peekable())
            .collect();
        let mut all = Vec::new();
        for _ in 0..turns {
            for (runs, bytes) in each.iter_mut().zip(&own) {
                all.extend(direct::first_of(runs, *bytes));
            }
        }
        all
    }
}

/// Files that are read from, each opened once.
#[derive(Default)]
struct Opened {
    paths: Vec<PathBuf>,
    files: Vec<File>,
}

impl Opened {
    fn open(&mut self, path: &Path) -> Result<usize, LoadError> {
        if let Some(known) = self.paths.iter().position(|known| known == path) {
            return Ok(known);
        }
        let file = File::open(path).map_err(|source| LoadError::File {
            file: path.to_path_buf(),
            source,
        })?;
        self.files.push(file);
        self.paths.push(path.to_path_buf());
        Ok(self.files.len() - 1)
    }
}

/// Of each dimension of a tensor, where a part of it begins and how long it is.
type Region = Vec<(u64, u64)>;

impl Piece {
    /// Which part of its tensor it is.
    fn region(&self, entry: &TensorEntry) -> Result<Region, LoadError> {
        let wrong = |problem: String| LoadError::Tensor {
            tensor: self.name.clone(),
            problem,
        };
        let expected = self.expected.iter().map(|&size| size as u64);
        if !entry.shape.iter().copied().eq(expected) {
            return Err(wrong(format!(
                "has the shape {:?}, the configuration says {:?}",
                entry.shape, self.expected
            )));
        }
        region(&entry.shape, self.cut).map_err(wrong)
    }
}

/// What a cut leaves of a tensor.
fn region(shape: &[u64], cut: Option<Along>) -> Result<Region, String> {
    let mut region: Region = shape.iter().map(|&length| (0, length)).collect();
    let Some(Along { axis, part }) = cut else {
        return Ok(region);
    };
    let Some(&length) = shape.get(axis) else {
        return Err(format!(
            "has the shape {shape:?}, too few dimensions to divide"
        ));
    };
    region[axis] = part
        .of(length)
        .map_err(|problem| format!("{length} along dimension {axis} {problem}"))?;
    Ok(region)
}

/// The ranges of its file in which a part of a tensor lies, in order.
fn runs(entry: &TensorEntry, region: &Region, file: usize, scaled: Option<usize>) -> Vec<Run> {
    let is_cut = |&axis: &usize| region[axis].1 != entry.shape[axis];
    // What belongs to one index of the last dimension that is cut lies together, and so do the indices.
    let last = (0..region.len()).rev().find(is_cut).unwrap_or(0);
    let (mut starts, mut bytes) = (vec![entry.start], entry.bytes);
    for (axis, &(first, count)) in region.iter().enumerate().take(last + 1) {
        let index_bytes = bytes / entry.shape[axis].max(1);
        let (indices, together) = if axis < last { (count, 1) } else { (1, count) };
        let moved = |start| (first..first + indices).map(move |index| start + index * index_bytes);
        starts = starts.into_iter().flat_map(moved).collect();
        bytes = together * index_bytes;
    }
    let run = |at| Run {
        file,
        at,
        bytes: bytes as usize,
        scaled,
    };
    starts.into_iter().map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::header::ElementType;

    /// The numbers from 0 to 23 in this shape: those of a cut, and its shape.
    fn cut(shape: &[u64], cut: Option<Along>) -> (Vec<u8>, Vec<i32>) {
        let entry = TensorEntry {
            element: Ok(ElementType::U8),
            shape: shape.to_vec(),
            start: 16,
            bytes: 24,
        };
        let region = region(shape, cut).unwrap();
        let shape = region.iter().map(|(_, count)| *count as i32).collect();
        (numbers(&runs(&entry, &region, 0, None)), shape)
    }

    fn numbers(runs: &[Run]) -> Vec<u8> {
        let each = runs.iter();
        let each = each.flat_map(|run| run.at - 16..run.at - 16 + run.bytes as u64);
        each.map(|at| at as u8).collect()
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
        assert_eq!(cut(&[4, 6], None).0, (0..24).collect::<Vec<u8>>());
        let half = |axis| {
            let part = Part::Slice(TensorSlice { index: 1, of: 2 });
            Some(Along { axis, part })
        };
        let rows = cut(&[4, 6], half(0));
        assert_eq!(rows, ((12..24).collect(), vec![2, 6]));
        let columns = vec![3, 4, 5, 9, 10, 11, 15, 16, 17, 21, 22, 23];
        assert_eq!(cut(&[4, 6], half(1)), (columns, vec![4, 3]));
        let middle = vec![6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23];
        assert_eq!(cut(&[2, 4, 3], half(1)), (middle, vec![2, 2, 3]));
        let between = |axis, from, to| {
            let part = Part::Between(from, to);
            Some(Along { axis, part })
        };
        let row = cut(&[4, 6], between(0, 1, 2));
        assert_eq!(row, (vec![6, 7, 8, 9, 10, 11], vec![1, 6]));
        let middle = cut(&[2, 4, 3], between(1, 3, 4));
        assert_eq!(middle, (vec![9, 10, 11, 21, 22, 23], vec![2, 1, 3]));
    }

    #[test]
    fn a_part_may_be_cut_along_several_dimensions() {
        let entry = TensorEntry {
            element: Ok(ElementType::U8),
            shape: vec![2, 3, 4],
            start: 16,
            bytes: 24,
        };
        let numbers = |region| numbers(&runs(&entry, &region, 0, None));
        assert_eq!(numbers(vec![(1, 1), (1, 2), (2, 2)]), [18, 19, 22, 23]);
        assert_eq!(
            numbers(vec![(1, 1), (0, 2), (0, 4)]),
            (12..20).collect::<Vec<u8>>()
        );
        assert_eq!(numbers(vec![(0, 2), (2, 1), (3, 1)]), [11, 23]);
    }

    #[test]
    fn pieces_lie_one_after_the_other_along_their_dimension() {
        let piece = |at, bytes| {
            vec![Run {
                file: 0,
                at,
                bytes,
                scaled: None,
            }]
        };
        let arranged = |how: Arranged, shapes: [&[i32]; 2]| {
            let shape = how.with(how.with(Vec::new(), shapes[0]), shapes[1]);
            let runs = how.interleaved(vec![piece(16, 8), piece(24, 4)], &shape);
            (numbers(&runs), shape)
        };
        let one_by_one: Vec<u8> = (0..12).collect();
        let rows = arranged(Arranged::Along(0), [&[4, 2], &[2, 2]]);
        assert_eq!(rows, (one_by_one.clone(), vec![6, 2]));
        let columns = arranged(Arranged::Along(1), [&[2, 4], &[2, 2]]);
        let in_turns = vec![0, 1, 2, 3, 8, 9, 4, 5, 6, 7, 10, 11];
        assert_eq!(columns, (in_turns, vec![2, 6]));
        let stacked = Arranged::Stacked.with(vec![3, 2, 2], &[2, 2]);
        assert_eq!(stacked, [4, 2, 2]);
        let runs = Arranged::Stacked.interleaved(vec![piece(16, 8), piece(24, 4)], &stacked);
        assert_eq!(numbers(&runs), one_by_one);
    }
}
