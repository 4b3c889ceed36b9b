//! What one layer holds of all sequences: for each shelf a pair of arrays, whose rows are those of the shelf.

use std::collections::BTreeMap;
use std::ops::Range;

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, ops};

use super::shelves::{Place, ShelfId, Size};
use super::{KeysValues, POSITIONS, ROWS, State};
use crate::ops::{slice, slice_update};

/// What a layer remembers of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nothing: it sees each token alone.
    Nothing,
    /// Keys and values of every position so far.
    Positions,
    /// A state that stands for all positions so far, and is another one after the next.
    State,
}

/// A layer's part of the caches. A shelf that it has not come to yet may be missing or of another size.
#[derive(Debug)]
pub(super) struct Held {
    memory: Memory,
    shelves: BTreeMap<ShelfId, (Array, Array)>,
    /// Where a sequence stood within its row of the step, if that is worth to be kept.
    marked: BTreeMap<Place, State>,
}

impl Held {
    pub(super) const fn new(memory: Memory) -> Self {
        Self {
            memory,
            shelves: BTreeMap::new(),
            marked: BTreeMap::new(),
        }
    }

    pub(super) const fn memory(&self) -> Memory {
        self.memory
    }

    /// What lies on a shelf.
    pub(super) fn get(&self, id: ShelfId) -> Option<&(Array, Array)> {
        self.shelves.get(&id)
    }

    /// Readies a row for a new sequence. A state is nothing in the beginning. Of keys and values what another sequence left
    /// there is masked in attention, which multiplies the values by 0; should they be no numbers, that would be none either.
    pub(super) fn clear(&mut self, place: Place) -> Result<()> {
        let Some((first, second)) = self.shelves.remove(&place.shelf) else {
            return Ok(());
        };
        let first = match self.memory {
            Memory::State => without_row(first, place.row)?,
            Memory::Positions | Memory::Nothing => first,
        };
        let second = without_row(second, place.row)?;
        self.shelves.insert(place.shelf, (first, second));
        Ok(())
    }

    /// Forgets what was marked.
    pub(super) fn leave(&mut self, place: Place) {
        self.marked.remove(&place);
    }

    /// Forgets a shelf.
    pub(super) fn remove(&mut self, id: ShelfId) {
        self.shelves.remove(&id);
    }

    /// Begins a row with the keys and values of blocks that follow each other.
    pub(super) fn begin<'a>(
        &mut self,
        place: Place,
        size: Size,
        blocks: impl Iterator<Item = &'a KeysValues> + Clone,
    ) -> Result<()> {
        let keys = joined(blocks.clone().map(|(keys, _)| keys), size)?;
        let values = joined(blocks.map(|(_, values)| values), size)?;
        if size.rows > 1 {
            return self.write(place, size, (&keys, &values), 0..size.positions);
        }
        // All of a shelf: there is nothing to write it into.
        self.shelves.insert(place.shelf, (keys, values));
        Ok(())
    }

    /// A copy of the keys and values of some positions of a row.
    pub(super) fn block(&self, place: Place, positions: &Range<i32>) -> Result<KeysValues> {
        let held = self.shelves.get(&place.shelf);
        let (keys, values) = held.ok_or_else(|| Exception::custom("nothing is held"))?;
        let copy = |all: &Array| {
            // A slice alone is a view into the whole, and so is an update of all of another array with it.
            row(all, place.row, positions.clone())?.contiguous()
        };
        Ok((copy(keys)?, copy(values)?))
    }

    /// Moves what a row holds, so many positions, to another shelf.
    pub(super) fn shift(
        &mut self,
        from: Place,
        to: Place,
        size: Size,
        positions: i32,
    ) -> Result<()> {
        let Some((first, second)) = self.shelves.get(&from.shelf) else {
            return Ok(());
        };
        match self.memory {
            Memory::Nothing => Ok(()),
            Memory::Positions => {
                let keys = row(first, from.row, 0..positions)?;
                let values = row(second, from.row, 0..positions)?;
                self.write(to, size, (&keys, &values), 0..positions)
            }
            Memory::State => {
                let state = self.state(from)?;
                self.write_states(to.shelf, size, to.row..to.row + 1, &state)
            }
        }
    }

    /// Writes `[1, heads, positions, dimensions]` of one sequence.
    fn write(
        &mut self,
        place: Place,
        size: Size,
        (keys, values): (&Array, &Array),
        positions: Range<i32>,
    ) -> Result<()> {
        let at = [(ROWS, place.row..place.row + 1), (POSITIONS, positions)];
        self.change(place.shelf, |held_keys, held_values| {
            Ok((
                slice_update(&fitted(held_keys, keys, size)?, keys, &at)?,
                slice_update(&fitted(held_values, values, size)?, values, &at)?,
            ))
        })
    }

    /// Puts others in the place of a shelf's arrays. `change` gets them for its own, so that MLX may write into their memory
    /// instead of copying it.
    pub(super) fn change(
        &mut self,
        id: ShelfId,
        change: impl FnOnce(Option<Array>, Option<Array>) -> Result<(Array, Array)>,
    ) -> Result<()> {
        let (first, second) = self.shelves.remove(&id).unzip();
        self.shelves.insert(id, change(first, second)?);
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
        self.change(id, |first, second| {
            let (like_first, like_second) = empty;
            Ok((
                with_rows(first, like_first, size.rows)?,
                with_rows(second, like_second, size.rows)?,
            ))
        })?;
        let (first, second) = &self.shelves[&id];
        let at = [(ROWS, rows.clone())];
        Ok((slice(first, &at)?, slice(second, &at)?))
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
        let held = self.shelves.get(&place.shelf);
        let (first, second) = held.ok_or_else(|| Exception::custom("nothing is held"))?;
        let at = [(ROWS, place.row..place.row + 1)];
        Ok((
            slice(first, &at)?.contiguous()?,
            slice(second, &at)?.contiguous()?,
        ))
    }

    /// Writes the states in some rows of a shelf.
    pub(super) fn write_states(
        &mut self,
        id: ShelfId,
        size: Size,
        rows: Range<i32>,
        (new_first, new_second): &State,
    ) -> Result<()> {
        let at = [(ROWS, rows)];
        self.change(id, |first, second| {
            let first = with_rows(first, new_first, size.rows)?;
            let second = with_rows(second, new_second, size.rows)?;
            Ok((
                slice_update(&first, new_first, &at)?,
                slice_update(&second, new_second, &at)?,
            ))
        })
    }
}

/// Zeros in a row, if there is one.
fn without_row(all: Array, row: i32) -> Result<Array> {
    if row >= all.dim(ROWS as i32) {
        return Ok(all);
    }
    let mut shape = all.shape().to_vec();
    shape[ROWS] = 1;
    let nothing = ops::zeros_dtype(&shape, all.dtype())?;
    slice_update(&all, &nothing, &[(ROWS, row..row + 1)])
}

/// Blocks one after the other, and nothing after them, in all `[1, heads, size.positions, dimensions]`.
fn joined<'a>(blocks: impl Iterator<Item = &'a Array>, size: Size) -> Result<Array> {
    let mut blocks: Vec<&Array> = blocks.collect();
    let held: i32 = blocks.iter().map(|block| block.dim(POSITIONS as i32)).sum();
    let mut shape = blocks[0].shape().to_vec();
    shape[POSITIONS] = size.positions - held;
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

/// The keys or values of a shelf, with as many rows and positions as it has now. `like` has their heads, dimensions and type.
pub(super) fn fitted(held: Option<Array>, like: &Array, size: Size) -> Result<Array> {
    let Some(held) = held else {
        let shape = [size.rows, like.dim(1), size.positions, like.dim(3)];
        return ops::zeros_dtype(&shape, like.dtype());
    };
    resized(resized(held, ROWS, size.rows)?, POSITIONS, size.positions)
}

/// One of the arrays of a shelf's states, with so many rows. `like` is what any number of them is.
fn with_rows(held: Option<Array>, like: &Array, rows: i32) -> Result<Array> {
    let Some(held) = held else {
        let mut shape = like.shape().to_vec();
        shape[ROWS] = rows;
        return ops::zeros_dtype(&shape, like.dtype());
    };
    resized(held, ROWS, rows)
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
