//! The caches of all sequences on this rank: for each layer keys and values of every position so far, or a state in their
//! place. Keys and values of the same form are the planes of one array, so that both are written by one operation.
//!
//! Short sequences of about the same length stand side by side on a shelf, which is one array for each layer, so that a step
//! writes and reads those of many sequences with a few operations. A sequence that outgrows its shelf moves to the next. A
//! long one has a shelf of its own: its attention is worth operations of its own, and nothing lies idle beside it.

mod held;
mod shelves;
mod step;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use base::TokenId;
use infer::SlotId;
use infer::prefix::BLOCK_TOKENS;
use mlx_rs::Array;
use mlx_rs::error::{Exception, Result};
use mlx_rs::transforms::eval;

use held::Held;
pub(crate) use held::Memory;
use shelves::{Place, ShelfId, Shelves};
pub(crate) use step::{RowSpan, Run, StepCaches, StepLayer};

/// The axes of `[planes, rows, heads, positions, dimensions]`.
const PLANES: usize = 0;
const ROWS: usize = 1;
const POSITIONS: usize = 3;

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
}

impl Slot {
    /// The tokens that no step takes back.
    pub(crate) fn sure(&self) -> &[TokenId] {
        &self.tokens[..self.tokens.len() - self.guessed]
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
    pub(crate) fn new(layers: &[Memory]) -> Self {
        Self {
            slots: HashMap::new(),
            shelves: Shelves::default(),
            layers: layers.iter().copied().map(Held::new).collect(),
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

    /// Begins a sequence with a `beginning` of these tokens, where there is room for so many `positions`.
    pub(crate) fn begin(
        &mut self,
        slot: SlotId,
        beginning: &Beginning<'_>,
        tokens: &[TokenId],
        positions: usize,
    ) -> Result<()> {
        let Beginning { blocks, states } = beginning;
        let place = self.enter(slot, positions.max(tokens.len()) as i32)?;
        let size = self.shelves.size(place.shelf);
        let mut states = states.iter();
        let remember = |held: &&Held| held.memory() == Memory::Positions;
        let layers = self.layers.iter().filter(remember).count();
        let mut of_positions = 0;
        for held in &mut self.layers {
            match held.memory() {
                Memory::Nothing => {}
                Memory::Positions => {
                    let own = blocks.iter().map(|block| {
                        let each = block.len() / layers;
                        &block[of_positions * each..(of_positions + 1) * each]
                    });
                    held.begin(place, size, &own.collect::<Vec<_>>())?;
                    of_positions += 1;
                }
                Memory::State => {
                    let state = states.next();
                    let state = state.ok_or_else(|| Exception::custom("a state for each layer"))?;
                    held.write_states(place.shelf, size, place.row..place.row + 1, state)?;
                }
            }
        }
        let slot_holds = Slot {
            place,
            tokens: tokens.to_vec(),
            guessed: 0,
            kept_blocks: blocks.len(),
        };
        self.slots.insert(slot, slot_holds);
        Ok(())
    }

    /// A copy of what layers hold of some positions of a sequence, layer after layer, computed here and now: as long as it is
    /// not, it would hold the memory of a whole shelf.
    pub(crate) fn block(&self, slot: SlotId, positions: &Range<i32>) -> Result<Vec<Array>> {
        let place = self.slots.get(&slot).map(|slot| slot.place);
        let place = place.ok_or_else(|| Exception::custom("no such sequence"))?;
        let layers = self.layers.iter();
        let layers = layers.filter(|held| held.memory() == Memory::Positions);
        let copies = layers.map(|held| held.block(place, positions));
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
        let positions = span.position + span.tokens;
        if span.position == 0 && !span.goes_on {
            self.remove(slot);
            let place = self.enter(slot, positions)?;
            let empty = Slot {
                place,
                tokens: Vec::new(),
                guessed: 0,
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

    /// Takes a place.
    fn enter(&mut self, slot: SlotId, positions: i32) -> Result<Place> {
        let place = self.shelves.enter(slot, positions);
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

fn both<'a>(
    pairs: impl IntoIterator<Item = &'a (Array, Array)>,
) -> impl Iterator<Item = &'a Array> {
    pairs
        .into_iter()
        .flat_map(|(first, second)| [first, second])
}
