//! What one layer holds of all sequences: for each shelf one array or two, whose rows are those of the shelf.

use std::collections::BTreeMap;
use std::ops::Range;

use base::CacheWindow;
use mlx_rs::error::Result;
use mlx_rs::{Array, ops};

use super::ring;
use super::shelves::{Place, ShelfId, Size};
use super::{BLOCK, PLANES, POSITIONS, ROWS, State};
use crate::layers::Reach;
use crate::load::Quantization;
use crate::ops::{slice, slice_update};

/// The first of a state's axes, `[rows, ..]`.
const STATES: usize = 0;

/// No sequence is so long that a larger window would end before its beginning.
const WINDOW_MAX: i32 = 1 << 24;

/// What a layer remembers of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nothing: it sees each token alone.
    Nothing,
    /// Keys and values of every position so far.
    Positions,
    /// Keys and values of the last positions, of which no more than so many are seen.
    Window(i32),
    /// A state that stands for all positions so far, and is another one after the next.
    State,
}

/// A layer's cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remembered {
    pub(crate) memory: Memory,
    /// How keys and values are quantized, if they are.
    pub(crate) packing: Option<Quantization>,
    /// Of keys and values together, for one token of the whole model's layer.
    pub(crate) bytes: u64,
}

impl Memory {
    /// Of a layer that sees so far.
    pub(crate) const fn of(reach: Reach) -> Self {
        match reach {
            Reach::Window(size) | Reach::Chunk(size) if size <= WINDOW_MAX => Self::Window(size),
            Reach::All | Reach::Window(_) | Reach::Chunk(_) => Self::Positions,
        }
    }

    /// Whether it is keys and values.
    pub(crate) const fn has_positions(self) -> bool {
        match self {
            Self::Positions | Self::Window(_) => true,
            Self::State | Self::Nothing => false,
        }
    }

    /// The widest window of layers that do not see all.
    pub(crate) fn widest(all: impl Iterator<Item = Self>) -> Option<CacheWindow> {
        let windows = all.filter_map(|memory| match memory {
            Self::Window(size) => CacheWindow::new(size.try_into().ok()?),
            Self::Positions | Self::State | Self::Nothing => None,
        });
        windows.max()
    }
}

/// A layer's part of the caches. A shelf that it has not come to yet may be missing or of another size.
#[derive(Debug)]
pub(super) struct Held {
    memory: Memory,
    packing: Option<Quantization>,
    /// Of what is quantized three arrays: packed, its scales and its biases.
    shelves: BTreeMap<ShelfId, Vec<Array>>,
    /// Where a sequence stood within its row of the step, if that is worth to be kept.
    marked: BTreeMap<Place, State>,
}

impl Held {
    pub(super) const fn new(layer: Remembered) -> Self {
        Self {
            memory: layer.memory,
            packing: layer.packing,
            shelves: BTreeMap::new(),
            marked: BTreeMap::new(),
        }
    }

    pub(super) const fn memory(&self) -> Memory {
        self.memory
    }

    pub(super) const fn packing(&self) -> Option<Quantization> {
        self.packing
    }

    /// How many positions of a row it holds on a shelf of that size.
    pub(super) const fn positions(&self, size: Size) -> i32 {
        match self.memory {
            Memory::Window(_) => size.ring,
            Memory::Positions | Memory::State | Memory::Nothing => size.positions,
        }
    }

    /// What lies on a shelf.
    pub(super) fn get(&self, id: ShelfId) -> &[Array] {
        self.shelves.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Readies a row for a new sequence. A state is nothing in the beginning. Of keys and values what another sequence left
    /// there is masked in attention, which multiplies the values by 0; should they be no numbers, that would be none either.
    pub(super) fn clear(&mut self, place: Place) -> Result<()> {
        let axis = match self.memory {
            Memory::State => STATES,
            Memory::Positions | Memory::Window(_) | Memory::Nothing => ROWS,
        };
        self.change(place.shelf, |held| {
            let held = held.into_iter();
            held.map(|held| without_row(held, axis, place.row))
                .collect()
        })
    }

    /// Forgets what was marked.
    pub(super) fn leave(&mut self, place: Place) {
        self.marked.remove(&place);
    }

    /// What lies on all shelves.
    pub(super) fn all(&self) -> BTreeMap<ShelfId, Vec<Array>> {
        self.shelves.clone()
    }

    /// Puts that back.
    pub(super) fn put_back(&mut self, all: BTreeMap<ShelfId, Vec<Array>>) {
        self.shelves = all;
    }

    /// Forgets a shelf.
    pub(super) fn remove(&mut self, id: ShelfId) {
        self.shelves.remove(&id);
    }

    /// Begins a row with blocks that follow each other, or as many of the last as it holds.
    pub(super) fn begin(&mut self, place: Place, size: Size, blocks: &[&[Array]]) -> Result<()> {
        let positions = self.positions(size);
        let blocks = ring::blocks(blocks.len(), (positions / BLOCK) as usize).map(|at| blocks[at]);
        let blocks: Vec<&[Array]> = blocks.collect();
        let arrays = 0..blocks.first().map_or(0, |block| block.len());
        let whole = arrays.map(|at| joined(blocks.iter().map(|block| &block[at]), positions));
        let whole: Vec<Array> = whole.collect::<Result<_>>()?;
        if size.rows > 1 {
            return self.write(place, size, &whole, 0..positions);
        }
        // All of a shelf: there is nothing to write it into.
        self.shelves.insert(place.shelf, whole);
        Ok(())
    }

    /// A copy of a block of positions of a row, which are held.
    pub(super) fn block(&self, place: Place, positions: &Range<i32>) -> Result<Vec<Array>> {
        // A slice alone is a view into the whole, and so is an update of all of another array with it.
        let copy = |all: &Array| {
            let first = positions.start % all.dim(POSITIONS as i32);
            row(all, place.row, first..first + positions.len() as i32)?.contiguous()
        };
        self.get(place.shelf).iter().map(copy).collect()
    }

    /// Moves what a row holds of so many positions to another shelf.
    pub(super) fn shift(
        &mut self,
        from: Place,
        to: Place,
        size: Size,
        positions: i32,
    ) -> Result<()> {
        let Some(first) = self.get(from.shelf).first() else {
            return Ok(());
        };
        match self.memory {
            Memory::Nothing => Ok(()),
            Memory::Positions | Memory::Window(_) => {
                let room = first.dim(POSITIONS as i32).min(self.positions(size));
                let last = (positions - room).max(0)..positions;
                let held = self.get(from.shelf).iter();
                let at = [(ROWS, from.row..from.row + 1)];
                let own = held.map(|held| ring::in_order(held, &at, &last));
                let own: Vec<Array> = own.collect::<Result<_>>()?;
                self.write(to, size, &own, last)
            }
            Memory::State => {
                let state = self.state(from)?;
                self.write_states(to.shelf, size, to.row..to.row + 1, &state)
            }
        }
    }

    /// Writes `[planes, 1, heads, positions, dimensions]` of one sequence, for each of its arrays.
    fn write(
        &mut self,
        place: Place,
        size: Size,
        own: &[Array],
        positions: Range<i32>,
    ) -> Result<()> {
        let sizes = [size.rows, self.positions(size)];
        self.change(place.shelf, |held| {
            let mut held = held.into_iter();
            let written = own.iter().map(|own| {
                let held = fitted(held.next(), own, sizes)?;
                ring::put(held, own, place.row, &positions)
            });
            written.collect()
        })
    }

    /// Puts others in the place of a shelf's arrays. `change` gets them for its own, so that MLX may write into their memory
    /// instead of copying it; none if it is the first.
    pub(super) fn change(
        &mut self,
        id: ShelfId,
        change: impl FnOnce(Vec<Array>) -> Result<Vec<Array>>,
    ) -> Result<()> {
        let held = change(self.shelves.remove(&id).unwrap_or_default())?;
        if !held.is_empty() {
            self.shelves.insert(id, held);
        }
        Ok(())
    }

    /// The states in some rows of a shelf. `empty` is one that is nothing yet.
    pub(super) fn states(
        &mut self,
        id: ShelfId,
        size: Size,
        rows: &Range<i32>,
        empty: &State,
    ) -> Result<State> {
        self.change(id, |held| {
            let mut held = held.into_iter();
            let mut fit = |like| with_rows(held.next(), like, size.rows);
            Ok(vec![fit(&empty.0)?, fit(&empty.1)?])
        })?;
        self.pair(id, |array| slice(array, &[(STATES, rows.clone())]))
    }

    /// Marks where a sequence stands.
    pub(super) fn mark(&mut self, place: Place, state: State) {
        self.marked.insert(place, state);
    }

    /// What was marked, no more to be kept here.
    pub(super) fn take_marked(&mut self, place: Place) -> Option<State> {
        self.marked.remove(&place)
    }

    /// All that is marked.
    pub(super) fn marked(&self) -> impl Iterator<Item = &State> {
        self.marked.values()
    }

    /// Where a sequence stands.
    pub(super) fn state(&self, place: Place) -> Result<State> {
        let at = [(STATES, place.row..place.row + 1)];
        self.pair(place.shelf, |array| slice(array, &at)?.contiguous())
    }

    /// What each of the two arrays of a shelf's states gives.
    fn pair(&self, id: ShelfId, give: impl Fn(&Array) -> Result<Array>) -> Result<State> {
        let [first, second] = self.get(id) else {
            return Err("no states are held".into());
        };
        Ok((give(first)?, give(second)?))
    }

    /// Writes the states in some rows of a shelf.
    pub(super) fn write_states(
        &mut self,
        id: ShelfId,
        size: Size,
        rows: Range<i32>,
        (new_first, new_second): &State,
    ) -> Result<()> {
        let at = [(STATES, rows)];
        self.change(id, |held| {
            let mut held = held.into_iter();
            let mut write = |new| {
                let held = with_rows(held.next(), new, size.rows)?;
                slice_update(&held, new, &at)
            };
            Ok(vec![write(new_first)?, write(new_second)?])
        })
    }
}

/// Zeros in a row, if there is one; of several planes in the last, where values are.
fn without_row(all: Array, axis: usize, row: i32) -> Result<Array> {
    if row >= all.dim(axis as i32) {
        return Ok(all);
    }
    let mut shape = all.shape().to_vec();
    let mut at = vec![(axis, row..row + 1)];
    shape[axis] = 1;
    if axis == ROWS {
        at.push((PLANES, shape[PLANES] - 1..shape[PLANES]));
        shape[PLANES] = 1;
    }
    let nothing = ops::zeros_dtype(&shape, all.dtype())?;
    slice_update(&all, &nothing, &at)
}

/// Blocks one after the other, and nothing after them, in all `[planes, 1, heads, positions, dimensions]`.
fn joined<'a>(blocks: impl Iterator<Item = &'a Array>, positions: i32) -> Result<Array> {
    let mut blocks: Vec<&Array> = blocks.collect();
    let held: i32 = blocks.iter().map(|block| block.dim(POSITIONS as i32)).sum();
    let mut shape = blocks[0].shape().to_vec();
    shape[POSITIONS] = positions - held;
    let rest = ops::zeros_dtype(&shape, blocks[0].dtype())?;
    if shape[POSITIONS] > 0 {
        blocks.push(&rest);
    }
    ops::concatenate(&blocks, POSITIONS as i32)
}

/// Some positions of a row of a shelf.
fn row(all: &Array, row: i32, positions: Range<i32>) -> Result<Array> {
    slice(all, &[(ROWS, row..row + 1), (POSITIONS, positions)])
}

/// An array of a shelf, with so many rows and positions. `like` is one of other numbers of them.
pub(super) fn fitted(
    held: Option<Array>,
    like: &Array,
    [rows, positions]: [i32; 2],
) -> Result<Array> {
    let Some(held) = held else {
        let mut shape = like.shape().to_vec();
        (shape[ROWS], shape[POSITIONS]) = (rows, positions);
        return ops::zeros_dtype(&shape, like.dtype());
    };
    resized(resized(held, ROWS, rows)?, POSITIONS, positions)
}

/// One of the arrays of a shelf's states, with so many rows. `like` is what any number of them is.
fn with_rows(held: Option<Array>, like: &Array, rows: i32) -> Result<Array> {
    let Some(held) = held else {
        let mut shape = like.shape().to_vec();
        shape[STATES] = rows;
        return ops::zeros_dtype(&shape, like.dtype());
    };
    resized(held, STATES, rows)
}

/// With so many rows or positions: zeros are added, or the last ones left out.
fn resized(held: Array, axis: usize, wanted: i32) -> Result<Array> {
    let mut shape = held.shape().to_vec();
    let has = shape[axis];
    if wanted == has {
        return Ok(held);
    }
    shape[axis] = if wanted > has { wanted - has } else { wanted };
    let room = ops::zeros_dtype(&shape, held.dtype())?;
    if wanted > has {
        return ops::concatenate(&[&held, &room], axis as i32);
    }
    // A slice alone would hold the memory of the whole.
    let kept = slice(&held, &[(axis, 0..wanted)])?;
    slice_update(&room, &kept, &[(axis, 0..wanted)])
}
