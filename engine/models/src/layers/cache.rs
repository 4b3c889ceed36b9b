//! The KV caches of all sequences on this rank: keys and values of every position so far, for each layer.
//!
//! Short sequences of about the same length stand side by side on a shelf, which is one array for each layer, so that a step
//! writes and reads those of many sequences with a few operations. A sequence that outgrows its shelf moves to the next. A
//! long one has a shelf of its own: its attention is worth operations of its own, and nothing lies idle beside it.

mod shelves;
mod step;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use base::TokenId;
use infer::SlotId;
use mlx_rs::error::{Exception, Result};
use mlx_rs::transforms::eval;
use mlx_rs::{Array, ops};

use crate::ops::{slice, slice_update};
use shelves::{Place, ShelfId, Shelves, Size};
pub(crate) use step::{RowSpan, Run, StepCaches, StepLayer};

/// The axes of `[rows, heads, positions, dimensions]`.
const ROWS: usize = 0;
const POSITIONS: usize = 2;

/// Keys and values of some positions of some sequences in one layer, `[rows, heads, positions, dimensions]` each.
pub(crate) type KeysValues = (Array, Array);

/// What lies on the shelves of one layer. A shelf that this layer has not come to yet may be missing or of another size.
type LayerShelves = BTreeMap<ShelfId, KeysValues>;

/// All sequences.
#[derive(Debug)]
pub(crate) struct Caches {
    slots: HashMap<SlotId, Slot>,
    shelves: Shelves,
    layers: Vec<LayerShelves>,
}

/// A sequence.
#[derive(Debug)]
pub(crate) struct Slot {
    place: Place,
    /// The tokens at the positions held.
    pub(crate) tokens: Vec<TokenId>,
    /// Whole blocks of them that were offered to be kept.
    pub(crate) kept_blocks: usize,
}

impl Caches {
    /// No sequences, of a rank with so many of them to each.
    pub(crate) fn new(layers: usize) -> Self {
        Self {
            slots: HashMap::new(),
            shelves: Shelves::default(),
            layers: vec![LayerShelves::new(); layers],
        }
    }

    /// A sequence.
    pub(crate) fn get(&self, slot: SlotId) -> Option<&Slot> {
        self.slots.get(&slot)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, slot: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(&slot)
    }

    /// Tokens of all sequences.
    pub(crate) fn tokens(&self) -> usize {
        self.slots.values().map(|slot| slot.tokens.len()).sum()
    }

    /// Forgets a sequence.
    pub(crate) fn remove(&mut self, slot: SlotId) {
        if let Some(slot) = self.slots.remove(&slot) {
            self.leave(slot.place);
        }
    }

    /// Begins a sequence with `blocks`, each with what all layers hold of equally many of these tokens, where there is room
    /// for so many `positions`.
    pub(crate) fn begin(
        &mut self,
        slot: SlotId,
        blocks: &[&Vec<KeysValues>],
        tokens: &[TokenId],
        positions: usize,
    ) -> Result<()> {
        let place = self.enter(slot, positions.max(tokens.len()) as i32)?;
        let size = self.shelves.size(place.shelf);
        for (layer, held) in self.layers.iter_mut().enumerate() {
            let of_layer = || blocks.iter().map(|block| &block[layer]);
            let keys = joined(of_layer().map(|(keys, _)| keys), size)?;
            let values = joined(of_layer().map(|(_, values)| values), size)?;
            if size.rows == 1 {
                // All of a shelf: there is nothing to write it into.
                held.insert(place.shelf, (keys, values));
            } else {
                write(held, place, size, (&keys, &values), 0..size.positions)?;
            }
        }
        let slot_holds = Slot {
            place,
            tokens: tokens.to_vec(),
            kept_blocks: blocks.len(),
        };
        self.slots.insert(slot, slot_holds);
        Ok(())
    }

    /// A copy of what all layers hold of some positions of a sequence, computed here and now: as long as it is
    /// not, it would hold the memory of a whole shelf.
    pub(crate) fn block(&self, slot: SlotId, positions: Range<i32>) -> Result<Vec<KeysValues>> {
        let place = self.slots.get(&slot).map(|slot| slot.place);
        let place = place.ok_or_else(|| Exception::custom("no such sequence"))?;
        let copy = |all: &Array| {
            // A slice alone is a view into the whole, and so is an update of all of another array with it.
            row(all, place.row, positions.clone())?.contiguous()
        };
        let of_layer = |layer: &LayerShelves| {
            let held = layer.get(&place.shelf);
            let (keys, values) = held.ok_or_else(|| Exception::custom("nothing is held"))?;
            Ok((copy(keys)?, copy(values)?))
        };
        let copies: Vec<KeysValues> = self.layers.iter().map(of_layer).collect::<Result<_>>()?;
        eval(both(&copies))?;
        Ok(copies)
    }

    /// Makes room for the rows of a step, and says what it does where. A row at position 0 begins its sequence, in the first
    /// layers that it goes through.
    pub(crate) fn step(&mut self, rows: &[(SlotId, RowSpan)]) -> Result<StepCaches<'_>> {
        let mut places = Vec::with_capacity(rows.len());
        for (slot, span) in rows {
            places.push((self.place(*slot, span)?, *span));
        }
        let Self {
            shelves, layers, ..
        } = self;
        Ok(StepCaches::new(places, shelves, layers))
    }

    fn place(&mut self, slot: SlotId, span: &RowSpan) -> Result<Place> {
        let positions = span.position + span.tokens;
        if span.position == 0 && !span.goes_on {
            self.remove(slot);
            let place = self.enter(slot, positions)?;
            let empty = Slot {
                place,
                tokens: Vec::new(),
                kept_blocks: 0,
            };
            self.slots.insert(slot, empty);
            return Ok(place);
        }
        let held = self.slots.get(&slot).map(|slot| slot.place);
        let place = held.ok_or_else(|| Exception::custom("a row of no sequence"))?;
        match self.shelves.grow(slot, place, positions) {
            None => Ok(place),
            Some(next) => {
                self.shift(place, next, span.position)?;
                if let Some(slot) = self.slots.get_mut(&slot) {
                    slot.place = next;
                }
                Ok(next)
            }
        }
    }

    /// Takes a place. What another sequence left there is masked in attention, which multiplies its values by 0; should they
    /// be no numbers, that would be none either.
    fn enter(&mut self, slot: SlotId, positions: i32) -> Result<Place> {
        let place = self.shelves.enter(slot, positions);
        for layer in &mut self.layers {
            let Some((keys, values)) = layer.remove(&place.shelf) else {
                continue;
            };
            let values = if place.row < values.dim(ROWS as i32) {
                let mut shape = values.shape().to_vec();
                shape[ROWS] = 1;
                let nothing = ops::zeros_dtype(&shape, values.dtype())?;
                slice_update(&values, &nothing, &[(ROWS, place.row..place.row + 1)])?
            } else {
                values
            };
            layer.insert(place.shelf, (keys, values));
        }
        Ok(place)
    }

    /// Moves what a sequence holds. Computed here and now: as long as it is not, the old shelf could not be written in place.
    fn shift(&mut self, from: Place, to: Place, positions: i32) -> Result<()> {
        let size = self.shelves.size(to.shelf);
        for layer in &mut self.layers {
            let Some((keys, values)) = layer.get(&from.shelf) else {
                continue;
            };
            let keys = row(keys, from.row, 0..positions)?;
            let values = row(values, from.row, 0..positions)?;
            write(layer, to, size, (&keys, &values), 0..positions)?;
        }
        let moved = self.layers.iter().filter_map(|layer| layer.get(&to.shelf));
        eval(both(moved))?;
        self.leave(from);
        Ok(())
    }

    fn leave(&mut self, place: Place) {
        self.shelves.leave(place);
        if !self.shelves.has(place.shelf) {
            for layer in &mut self.layers {
                layer.remove(&place.shelf);
            }
        }
    }
}

fn both<'a>(pairs: impl IntoIterator<Item = &'a KeysValues>) -> impl Iterator<Item = &'a Array> {
    pairs.into_iter().flat_map(|(keys, values)| [keys, values])
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

/// Writes `[1, heads, positions, dimensions]` of one sequence.
fn write(
    layer: &mut LayerShelves,
    place: Place,
    size: Size,
    (keys, values): (&Array, &Array),
    positions: Range<i32>,
) -> Result<()> {
    let (held_keys, held_values) = layer.remove(&place.shelf).unzip();
    let at = [(ROWS, place.row..place.row + 1), (POSITIONS, positions)];
    // Each old array ends with its line, so that MLX may write into its memory instead of copying it.
    let held_keys = slice_update(&fitted(held_keys, keys, size)?, keys, &at)?;
    let held_values = slice_update(&fitted(held_values, values, size)?, values, &at)?;
    layer.insert(place.shelf, (held_keys, held_values));
    Ok(())
}

/// What a shelf holds, with as many rows and positions as it has now. `like` has its heads, dimensions and type.
fn fitted(held: Option<Array>, like: &Array, size: Size) -> Result<Array> {
    let Some(mut held) = held else {
        let shape = [size.rows, like.dim(1), size.positions, like.dim(3)];
        return ops::zeros_dtype(&shape, like.dtype());
    };
    for (axis, wanted) in [(ROWS, size.rows), (POSITIONS, size.positions)] {
        let mut shape = held.shape().to_vec();
        let has = shape[axis];
        shape[axis] = if wanted > has { wanted - has } else { wanted };
        if wanted == has {
            continue;
        }
        let room = ops::zeros_dtype(&shape, held.dtype())?;
        held = if wanted > has {
            ops::concatenate(&[&held, &room], axis as i32)?
        } else {
            // A slice alone would hold the memory of the whole.
            let kept = slice(&held, &[(axis, 0..wanted)])?;
            slice_update(&room, &kept, &[(axis, 0..wanted)])?
        };
    }
    Ok(held)
}
