//! The caches of all sequences on this rank: for each layer keys and values of every position so far, or a state in their
//! place. Keys and values of the same form are the planes of one array, so that both are written by one operation. Layers
//! that see a window hold a little more than that of each sequence, in a ring (`cache/ring.rs`).
//!
//! Short sequences of about the same length stand side by side on a shelf, which is one array for each layer, so that a step
//! writes and reads those of many sequences with a few operations. A sequence that outgrows its shelf moves to the next. A
//! long one has a shelf of its own: its attention is worth operations of its own, and nothing lies idle beside it.

mod budget;
mod held;
mod ring;
mod shelves;
mod step;

use std::collections::{BTreeMap, HashMap};

use base::{CacheWindow, TokenId};
use infer::SlotId;
use infer::prefix::BLOCK_TOKENS;
use mlx_rs::Array;
use mlx_rs::error::{Exception, Result};
use mlx_rs::transforms::eval;

use budget::Budget;
use held::Held;
pub(crate) use held::{Memory, Remembered};
use shelves::{Extent, Place, ShelfId, Shelves};
pub(crate) use step::{RowSpan, Run, StepCaches, StepLayer};

/// The axes of `[planes, rows, heads, positions, dimensions]`.
const PLANES: usize = 0;
const ROWS: usize = 1;
const POSITIONS: usize = 3;

/// Beginnings of sequences are kept in blocks of so many tokens.
const BLOCK: i32 = BLOCK_TOKENS as i32;

/// What is quantized has three arrays: packed, its scales and its biases.
const PACKED_ARRAYS: usize = 3;

/// What a recurrence has come to in some sequences, `[rows, ..]` each: the last inputs of its convolution, and a matrix for
/// each head.
pub(crate) type State = (Array, Array);

/// What layers held before a step. As long as it is there, MLX does not write the step's keys and values in place.
pub(crate) struct Before(Vec<BTreeMap<ShelfId, Vec<Array>>>);

/// What a sequence may begin with.
pub(crate) struct Beginning<'a> {
    /// Each with what the layers that remember positions hold of equally many of them, layer after layer.
    pub(crate) blocks: Vec<&'a Vec<Array>>,
    /// Where the layers with states stand at their end.
    pub(crate) states: &'a [State],
}

/// All sequences.
#[derive(Debug)]
pub(crate) struct Caches {
    slots: HashMap<SlotId, Slot>,
    shelves: Shelves,
    layers: Vec<Held>,
    /// The widest of those layers that do not see all.
    window: Option<CacheWindow>,
    budget: Budget,
    /// Rows may begin so many tokens before the end of what a sequence holds, whatever the row before guessed.
    pub(crate) taken_back: usize,
}

/// A sequence.
#[derive(Debug)]
pub(crate) struct Slot {
    place: Place,
    /// The tokens at the positions held.
    pub(crate) tokens: Vec<TokenId>,
    /// So many of the last are guesses.
    guessed: usize,
    /// Whole blocks of them that were offered to be kept.
    pub(crate) kept_blocks: usize,
    /// The first position that all layers that hold positions hold.
    held_from: usize,
}

impl Slot {
    /// The tokens that no step takes back.
    pub(crate) fn sure(&self) -> &[TokenId] {
        &self.tokens[..self.tokens.len().saturating_sub(self.guessed)]
    }

    /// Whether layers hold all of a block.
    pub(crate) const fn holds_block(&self, block: usize) -> bool {
        self.held_from <= block * BLOCK_TOKENS
    }

    /// Whether a row may start there: after all that it holds, or all but guesses.
    pub(crate) fn ends_at(&self, start: usize) -> bool {
        (self.sure().len()..=self.tokens.len()).contains(&start)
    }

    /// Takes in a row's tokens from `start` on, of which so many last ones are guesses. What is there from earlier guesses
    /// lies beyond what anybody sees until it is overwritten.
    pub(crate) fn extend(&mut self, start: usize, tokens: &[TokenId], guessed: usize) {
        self.tokens.truncate(start);
        self.tokens.extend(tokens);
        self.guessed = guessed;
    }
}

impl Caches {
    /// No sequences, of a rank with such caches for each.
    pub(crate) fn new(layers: &[Remembered]) -> Self {
        let memories = layers.iter().map(|layer| layer.memory);
        let window = Memory::widest(memories);
        let ring_max = window.map_or(i32::MAX, |window| window.held_max() as i32);
        Self {
            slots: HashMap::new(),
            shelves: Shelves::new(ring_max),
            layers: layers.iter().copied().map(Held::new).collect(),
            window,
            budget: Budget::new(layers, window),
            taken_back: 0,
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

    /// How many tokens of others, whole, there is room for beside all sequences where these may have `cache_tokens`.
    pub(crate) fn room(&self, cache_tokens: u64) -> u64 {
        let sequences = self.slots.values();
        let sequences = sequences.map(|slot| slot.tokens.len() as u64);
        self.budget.left(cache_tokens, sequences)
    }

    /// Forgets a sequence.
    pub(crate) fn remove(&mut self, slot: SlotId) {
        if let Some(slot) = self.slots.remove(&slot) {
            self.leave(slot.place);
        }
    }

    /// Begins a sequence with a `beginning` of these tokens, where there is room for so many `positions`.
    pub(crate) fn begin(
        &mut self,
        slot: SlotId,
        beginning: &Beginning<'_>,
        tokens: &[TokenId],
        positions: usize,
    ) -> Result<()> {
        let Beginning { blocks, states } = beginning;
        let positions = positions.max(tokens.len()) as i32;
        // The rest of it comes in chunks.
        let recent = self.window.map_or(0, CacheWindow::held_max);
        let recent = positions.min(recent as i32);
        let place = self.enter(slot, Extent { positions, recent })?;
        let size = self.shelves.size(place.shelf);
        let mut states = states.iter();
        let arrays = arrays_of_layers(&self.layers, blocks.first().map_or(0, |block| block.len()));
        let mut next = 0;
        for held in &mut self.layers {
            match held.memory() {
                Memory::Nothing => {}
                Memory::Positions | Memory::Window(_) => {
                    let first = next;
                    next += arrays(held);
                    let own = blocks.iter().map(|block| &block[first..next]);
                    held.begin(place, size, &own.collect::<Vec<_>>())?;
                }
                Memory::State => {
                    let state = states.next();
                    let state = state.ok_or_else(|| Exception::custom("a state for each layer"))?;
                    held.write_states(place.shelf, size, place.row..place.row + 1, state)?;
                }
            }
        }
        let window = self.window.map(|_| size.ring as usize);
        let slot_holds = Slot {
            place,
            tokens: tokens.to_vec(),
            guessed: 0,
            kept_blocks: blocks.len(),
            held_from: window.map_or(0, |held| tokens.len().saturating_sub(held)),
        };
        self.slots.insert(slot, slot_holds);
        Ok(())
    }

    /// A copy of what layers hold of a block of a sequence, layer after layer, computed here and now: as long as it is not, it
    /// would hold the memory of a whole shelf.
    pub(crate) fn block(&self, slot: SlotId, block: usize) -> Result<Vec<Array>> {
        let held = self.slots.get(&slot);
        let place = held.filter(|slot| slot.holds_block(block));
        let place = place.ok_or_else(|| Exception::custom("a block of no sequence"))?;
        let place = place.place;
        let first = block as i32 * BLOCK;
        let layers = self.layers.iter();
        let layers = layers.filter(|held| held.memory().has_positions());
        let copies = layers.map(|held| held.block(place, &(first..first + BLOCK)));
        let copies = copies.collect::<Result<Vec<_>>>()?.concat();
        eval(&copies)?;
        Ok(copies)
    }

    /// Where the layers with states stood after the last whole block of a sequence, which the step before has come to.
    pub(crate) fn states(&mut self, slot: SlotId) -> Result<Vec<State>> {
        let place = self.slots.get(&slot).map(|slot| slot.place);
        let place = place.ok_or_else(|| Exception::custom("no such sequence"))?;
        let layers = self.layers.iter_mut();
        let layers = layers.filter(|held| held.memory() == Memory::State);
        let copies = layers.map(|held| match held.take_marked(place) {
            Some(state) => Ok(state),
            // Nothing is marked where a step ends with the block.
            None => held.state(place),
        });
        let copies: Vec<State> = copies.collect::<Result<_>>()?;
        eval(both(&copies))?;
        Ok(copies)
    }

    /// What is held now.
    pub(crate) fn before(&self) -> Before {
        Before(self.layers.iter().map(Held::all).collect())
    }

    /// Holds what was held then. No sequence has come or moved since.
    pub(crate) fn put_back(&mut self, before: Before) {
        for (held, before) in self.layers.iter_mut().zip(before.0) {
            held.put_back(before);
        }
    }

    /// Whether a sequence of so many positions can have another one without being moved, and without a block that is to be kept
    /// before.
    pub(crate) fn goes_on(&self, slot: SlotId, positions: usize) -> bool {
        self.slots.get(&slot).is_some_and(|held| {
            let has_room = (positions as i32) < self.shelves.size(held.place.shelf).positions;
            has_room && positions / BLOCK_TOKENS <= held.kept_blocks
        })
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
        if span.position == 0 && !span.goes_on {
            self.remove(slot);
            let place = self.enter(slot, self.extent(0, span))?;
            let empty = Slot {
                place,
                tokens: Vec::new(),
                guessed: 0,
                kept_blocks: 0,
                held_from: 0,
            };
            self.slots.insert(slot, empty);
            return Ok(place);
        }
        let held = self.slots.get(&slot);
        let held = held.ok_or_else(|| Exception::custom("a row of no sequence"))?;
        let from = held.place;
        let extent = self.extent(held.kept_blocks, span);
        let place = match self.shelves.grow(slot, from, extent) {
            None => from,
            Some(next) => {
                self.shift(from, next, span.position)?;
                next
            }
        };
        let ring = self.shelves.size(place.shelf).ring;
        let window = self.window.is_some();
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.place = place;
            let lost = (extent.positions - ring).max(0) as usize;
            slot.held_from = slot.held_from.max(if window { lost } else { 0 });
        }
        Ok(place)
    }

    /// How long a row makes a sequence of which so many blocks were offered to be kept.
    fn extent(&self, kept_blocks: usize, span: &RowSpan) -> Extent {
        let unkept = span.position - kept_blocks as i32 * BLOCK;
        let seen = self.window.map_or(0, |window| window.get() as i32 - 1);
        Extent {
            positions: span.position + span.tokens,
            recent: seen.max(unkept) + span.tokens + self.taken_back as i32,
        }
    }

    /// Takes a place.
    fn enter(&mut self, slot: SlotId, extent: Extent) -> Result<Place> {
        let place = self.shelves.enter(slot, extent);
        for held in &mut self.layers {
            held.clear(place)?;
        }
        Ok(place)
    }

    /// Moves what a sequence holds. Computed here and now: as long as it is not, the old shelf could not be written in place.
    fn shift(&mut self, from: Place, to: Place, positions: i32) -> Result<()> {
        let size = self.shelves.size(to.shelf);
        for held in &mut self.layers {
            held.shift(from, to, size, positions)?;
        }
        eval(self.layers.iter().flat_map(|held| held.get(to.shelf)))?;
        self.leave(from);
        Ok(())
    }

    fn leave(&mut self, place: Place) {
        for held in &mut self.layers {
            held.leave(place);
        }
        self.shelves.leave(place);
        if !self.shelves.has(place.shelf) {
            for held in &mut self.layers {
                held.remove(place.shelf);
            }
        }
    }
}

/// How many arrays of a block with so many are each layer's that has positions.
fn arrays_of_layers(layers: &[Held], all: usize) -> impl Fn(&Held) -> usize + use<> {
    let own = layers.iter().filter(|held| held.memory().has_positions());
    let (mut packed, mut plain) = (0, 0);
    for held in own {
        match held.packing() {
            Some(_) => packed += 1,
            None => plain += 1,
        }
    }
    let of_plain = all.saturating_sub(PACKED_ARRAYS * packed) / plain.max(1);
    move |held| match held.packing() {
        Some(_) => PACKED_ARRAYS,
        None => of_plain,
    }
}

fn both<'a>(
    pairs: impl IntoIterator<Item = &'a (Array, Array)>,
) -> impl Iterator<Item = &'a Array> {
    pairs
        .into_iter()
        .flat_map(|(first, second)| [first, second])
}
