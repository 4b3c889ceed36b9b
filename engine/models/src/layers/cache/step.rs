//! One step's part in the caches: where its tokens are written, and what each of them reads.
//!
//! The rows of a step are arranged so that single tokens of neighbours on a shelf are next to each other: a run of them is
//! written and read at once. Rows of several tokens are read one by one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, ops};

use super::held::{Held, fitted};
use super::ring;
use super::shelves::{Place, ShelfId, Shelves, Size};
use super::{BLOCK, Memory, PLANES, POSITIONS, ROWS, State, both};
use crate::layers::{Reach, Rope};
use crate::load::Quantization;
use crate::ops::{Along, quantized, scatter, slice, slice_update};

/// One row of a step: `tokens` tokens of one sequence, at `first..first + tokens` of the step's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowSpan {
    /// Index of the row's first token in the step.
    pub(crate) first: i32,
    /// Number of its tokens.
    pub(crate) tokens: i32,
    /// Position of its first token in the sequence, which is what the cache holds already.
    pub(crate) position: i32,
    /// It has been through layers before this step.
    pub(crate) goes_on: bool,
}

/// The caches, for one step.
pub(crate) struct StepCaches<'a> {
    layers: &'a mut [Held],
    layout: Layout,
    /// What goes with the tokens beside their hidden states, `[tokens, ..]`.
    beside: Option<Array>,
    /// The arranged tokens' places in the plan, and the plan's among the arranged; `None` if they are the same.
    order: Option<[Array; 2]>,
}

/// The caches of one layer, for one step.
pub(crate) struct StepLayer<'a> {
    held: &'a mut Held,
    layout: &'a Layout,
    beside: &'a mut Option<Array>,
}

/// What is the same in all layers.
struct Layout {
    /// The position of each token in its sequence, `[tokens]`.
    positions: Array,
    runs: Vec<Run>,
    /// What ropes have made of the positions, by where each rope lies.
    turns: RefCell<BTreeMap<usize, [Array; 2]>>,
}

/// Tokens that are written and read at once: one of each of several sequences, or any number of one.
pub(crate) struct Run {
    /// Where they are among the arranged tokens.
    pub(crate) tokens: Range<i32>,
    /// The position of each token, where they are of several sequences.
    starts: Vec<i32>,
    /// What `mask` has made, by how much is read.
    masks: RefCell<BTreeMap<(Reach, i32), Array>>,
    shelf: ShelfId,
    size: Size,
    rows: Range<i32>,
    /// The positions that are written, from the least to the last, up to which is read.
    positions: Range<i32>,
    /// Of several rows, where each token is written.
    at: Option<At>,
    /// Of several tokens of one sequence, how many lie before the end of its last whole block, if others follow.
    mark: Option<i32>,
}

/// Rows, and their tokens' places in them, `[rows]` each: where there is room for all positions, and in a ring.
struct At {
    rows: Array,
    positions: Array,
    in_ring: Array,
}

impl<'a> StepCaches<'a> {
    /// The rows of a step and their places, in the plan's order.
    pub(super) fn new(
        mut rows: Vec<(Place, RowSpan)>,
        shelves: &Shelves,
        layers: &'a mut [Held],
    ) -> Self {
        rows.sort_by_key(|(place, span)| (span.tokens > 1, place.shelf, place.row));
        let sources: Vec<i32> = rows
            .iter()
            .flat_map(|(_, span)| span.first..span.first + span.tokens)
            .collect();
        let positions: Vec<i32> = rows
            .iter()
            .flat_map(|(_, span)| span.position..span.position + span.tokens)
            .collect();
        let mut first = 0;
        let runs = rows.chunk_by(are_neighbours).map(|rows| {
            let run = Run::new(rows, first, shelves.size(rows[0].0.shelf));
            first = run.tokens.end;
            run
        });
        let layout = Layout {
            runs: runs.collect(),
            positions: Array::from_slice(&positions, &[positions.len() as i32]),
            turns: RefCell::default(),
        };
        Self {
            layers,
            layout,
            beside: None,
            order: order(&sources),
        }
    }

    /// `[tokens, ..]` of the plan, as attention wants them.
    pub(crate) fn arranged(&self, hidden: Array) -> Result<Array> {
        match &self.order {
            Some([sources, _]) => hidden.take_axis(sources, 0),
            None => Ok(hidden),
        }
    }

    /// Arranged `[tokens, ..]`, in the order of the plan.
    pub(crate) fn restored(&self, hidden: Array) -> Result<Array> {
        match &self.order {
            Some([_, targets]) => hidden.take_axis(targets, 0),
            None => Ok(hidden),
        }
    }

    /// The states that the step has come to. They are to be computed with it: what the step says need not depend on the last of
    /// them, and as long as they are not computed they hold all that they are made of.
    pub(crate) fn states(&self) -> Vec<Array> {
        let mut states: Vec<&Array> = Vec::new();
        for held in self.layers.iter() {
            if held.memory() == Memory::State {
                let runs = self.layout.runs.iter();
                states.extend(runs.flat_map(|run| held.get(run.shelf)));
                states.extend(both(held.marked()));
            }
        }
        states.into_iter().cloned().collect()
    }

    /// The caches of a layer.
    pub(crate) fn layer(&mut self, layer: usize) -> StepLayer<'_> {
        StepLayer {
            held: &mut self.layers[layer],
            layout: &self.layout,
            beside: &mut self.beside,
        }
    }

    /// Of `[tokens, hidden + beside]` the first, with the rest laid aside.
    pub(crate) fn laid_aside(&mut self, all: Array, hidden: i32) -> Result<Array> {
        let width = all.dim(1);
        if width == hidden {
            return Ok(all);
        }
        self.beside = Some(slice(&all, &[(1, hidden..width)])?);
        slice(&all, &[(1, 0..hidden)])
    }

    /// The reverse.
    pub(crate) fn taken_up(&mut self, hidden: Array) -> Result<Array> {
        match self.beside.take() {
            Some(beside) => ops::concatenate(&[&hidden, &beside], 1),
            None => Ok(hidden),
        }
    }
}

impl StepLayer<'_> {
    /// The position of each token in its sequence, `[tokens]`.
    pub(crate) fn positions(&self) -> &Array {
        &self.layout.positions
    }

    /// What a rope makes of the positions, once for all layers that have it.
    pub(crate) fn turns(
        &self,
        rope: &Rope,
        make: impl FnOnce(&Array) -> Result<[Array; 2]>,
    ) -> Result<[Array; 2]> {
        let mut turns = self.layout.turns.borrow_mut();
        match turns.entry(std::ptr::from_ref(rope).addr()) {
            Entry::Occupied(known) => Ok(known.get().clone()),
            Entry::Vacant(place) => Ok(place.insert(make(&self.layout.positions)?).clone()),
        }
    }

    /// One more than the last of them.
    pub(crate) fn positions_end(&self) -> i32 {
        let ends = self.layout.runs.iter().map(|run| run.positions.end);
        ends.max().unwrap_or(0)
    }

    /// Some columns of what goes beside the hidden states.
    pub(crate) fn beside(&self, columns: Range<i32>) -> Result<Array> {
        match self.beside.as_ref() {
            Some(beside) => slice(beside, &[(1, columns)]),
            None => Err("nothing goes beside the hidden states".into()),
        }
    }

    /// Puts keys and values there, `[tokens, planes, heads, 1, dimensions]`, from a column on.
    pub(crate) fn put_beside(&mut self, column: i32, both: &Array) -> Result<()> {
        let Some(beside) = self.beside.take() else {
            return Ok(());
        };
        let own = both.reshape(&[both.dim(0), -1])?;
        let columns = column..column + own.dim(1);
        *self.beside = Some(slice_update(&beside, &own, &[(1, columns)])?);
        Ok(())
    }

    /// What is to be read.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.layout.runs
    }

    /// Takes what is to be remembered of the step's tokens in, `[tokens, planes, heads, 1, dimensions]` each. All are written
    /// before any is read: MLX writes in place only what nobody has yet to read.
    pub(crate) fn write(&mut self, all: &[Array]) -> Result<()> {
        let packed = self
            .held
            .packing()
            .map(|how| packed(all, how))
            .transpose()?;
        let all = packed.as_deref().unwrap_or(all);
        for run in &self.layout.runs {
            let room = self.held.positions(run.size);
            self.held.change(run.shelf, |held| {
                let mut held = held.into_iter();
                let written = all.iter().map(|all| run.write(held.next(), all, room));
                written.collect()
            })?;
        }
        Ok(())
    }

    /// All that is remembered of a run's sequences, as it lies there, plane by plane: `[sequences, heads, positions,
    /// dimensions]` each. There are `N` planes in all.
    pub(crate) fn read<const N: usize>(&self, run: &Run) -> Result<[Array; N]> {
        let places = 0..run.positions.end.min(self.held.positions(run.size));
        self.planes(run, |held, part| {
            slice(held, &[&part[..], &[(POSITIONS, places.clone())]].concat())
        })
    }

    /// The same of one sequence from a position on, which is remembered, in order.
    pub(crate) fn read_since<const N: usize>(&self, run: &Run, first: i32) -> Result<[Array; N]> {
        let positions = first..run.positions.end;
        self.planes(run, |held, part| ring::in_order(held, &part, &positions))
    }

    /// How keys and values are quantized, if they are. Then `read` gives packed keys and values, the scales of each, and the
    /// biases of each.
    pub(crate) fn packing(&self) -> Option<Quantization> {
        self.held.packing()
    }

    /// What `read` makes of each plane of a run's rows.
    fn planes<const N: usize>(
        &self,
        run: &Run,
        read: impl Fn(&Array, [Along; 2]) -> Result<Array>,
    ) -> Result<[Array; N]> {
        let held = self.held.get(run.shelf).iter();
        let planes = held.flat_map(|held| (0..held.dim(PLANES as i32)).map(move |at| (held, at)));
        several(planes.map(|(held, plane)| {
            let part = [(PLANES, plane..plane + 1), (ROWS, run.rows.clone())];
            read(held, part)?.squeeze_axes(&[PLANES as i32])
        }))
    }

    /// Takes the step's tokens through a recurrence. `advance` gets what there is of a run's tokens in each of `parts`,
    /// `[tokens, ..]`, as `[sequences, tokens of each, ..]`, and where the sequences stood; it says what comes out, of the
    /// same form, and where they stand now. `empty` is where a sequence stands in the beginning.
    pub(crate) fn recur<const N: usize>(
        &mut self,
        parts: &[Array; N],
        empty: &State,
        advance: impl Fn(&[Array; N], State) -> Result<(Array, State)>,
    ) -> Result<Array> {
        let mut outputs = Vec::with_capacity(self.layout.runs.len());
        for run in &self.layout.runs {
            let own = several(parts.iter().map(|part| run.of_each_sequence(part)))?;
            let states = self.held.states(run.shelf, run.size, &run.rows, empty)?;
            let (output, states) = match run.mark {
                None => advance(&own, states)?,
                Some(mark) => {
                    let (until, after) = parted(&own, mark)?;
                    let (output, states) = advance(&until, states)?;
                    self.held.mark(run.place(), states.clone());
                    let (rest, states) = advance(&after, states)?;
                    (ops::concatenate(&[output, rest], 1)?, states)
                }
            };
            self.held
                .write_states(run.shelf, run.size, run.rows.clone(), &states)?;
            outputs.push(output.flatten(0, 1)?);
        }
        match outputs.as_slice() {
            [only] => Ok(only.clone()),
            several => ops::concatenate(several, 0),
        }
    }
}

impl At {
    fn new(rows: &[i32], positions: &[i32], size: Size) -> Self {
        let index = |values: &[i32]| Array::from_slice(values, &[values.len() as i32]);
        let in_ring: Vec<i32> = positions.iter().map(|at| at % size.ring).collect();
        Self {
            rows: index(rows),
            positions: index(positions),
            in_ring: index(&in_ring),
        }
    }
}

impl Run {
    fn new(rows: &[(Place, RowSpan)], first: i32, size: Size) -> Self {
        let places = rows.iter().map(|(place, _)| place.row);
        let starts = rows.iter().map(|(_, span)| span.position);
        let (places, starts): (Vec<i32>, Vec<i32>) = (places.collect(), starts.collect());
        let ends = rows.iter().map(|(_, span)| span.position + span.tokens);
        let positions = starts.iter().copied().min().unwrap_or(0)..ends.max().unwrap_or(0);
        let count = places.len() as i32;
        let tokens: i32 = rows.iter().map(|(_, span)| span.tokens).sum();
        let mark = positions.end / BLOCK * BLOCK - positions.start;
        let has_mark = count == 1 && (1..tokens).contains(&mark);
        Self {
            tokens: first..first + tokens,
            masks: RefCell::default(),
            shelf: rows[0].0.shelf,
            size,
            rows: places[0]..places[0] + count,
            at: (count > 1).then(|| At::new(&places, &starts, size)),
            starts,
            positions,
            mark: has_mark.then_some(mark),
        }
    }

    /// Where its first sequence stands.
    const fn place(&self) -> Place {
        Place {
            shelf: self.shelf,
            row: self.rows.start,
        }
    }

    /// Whether it is several tokens of one sequence.
    pub(crate) const fn is_sequence(&self) -> bool {
        self.starts.len() == 1 && self.tokens.end - self.tokens.start > 1
    }

    /// This run's part of `[tokens, ..]`, as `[sequences, tokens of each, ..]`.
    fn of_each_sequence(&self, all: &Array) -> Result<Array> {
        let own = slice(all, &[(0, self.tokens.clone())])?;
        let sequences = self.starts.len() as i32;
        let mut shape = vec![sequences, own.dim(0) / sequences];
        shape.extend(&own.shape()[1..]);
        own.reshape(&shape)
    }

    /// Where its first token lies in its sequence.
    pub(crate) const fn start(&self) -> i32 {
        self.positions.start
    }

    /// Which of so many places that are read each sequence sees, `[sequences, 1, 1, places]`. `None` if all are of one sequence
    /// or of equally long ones, and lie in order.
    pub(crate) fn mask(&self, reach: Reach, places: i32) -> Option<Array> {
        let are_alike = self.positions.len() <= 1 || self.starts.len() <= 1;
        if are_alike && self.positions.end <= places {
            return None;
        }
        let mut masks = self.masks.borrow_mut();
        let made = masks.entry((reach, places));
        let made = made.or_insert_with(|| mask(&self.starts, places, reach));
        Some(made.clone())
    }

    /// Writes this run's part of `[tokens, planes, heads, 1, dimensions]` where there is room for so many positions.
    fn write(&self, held: Option<Array>, all: &Array, room: i32) -> Result<Array> {
        let all = slice(all, &[(0, self.tokens.clone())])?;
        let own = all.transpose_axes(&[1, 3, 2, 0, 4])?;
        let held = match held {
            Some(held) if self.comes_round_in_other(held.dim(POSITIONS as i32), room) => {
                ring::moved(&held, self.positions.start, room)?
            }
            held => fitted(held, &own, [self.size.rows, room])?,
        };
        let Some(at) = &self.at else {
            return ring::put(held, &own, self.rows.start, &self.positions);
        };
        let places = if room < self.size.positions {
            &at.in_ring
        } else {
            &at.positions
        };
        // An update has all of the array's axes, after one for the indices.
        let updates = all.expand_dims(2)?;
        scatter(&held, [&at.rows, places], &updates, [ROWS, POSITIONS])
    }

    /// Whether what is held lies otherwise where there is `room` than where there `was` some.
    fn comes_round_in_other(&self, was: i32, room: i32) -> bool {
        was != room && self.positions.start > was.min(room)
    }
}

/// Of each array what it is packed, its scales and its biases.
fn packed(all: &[Array], how: Quantization) -> Result<Vec<Array>> {
    let packed = all.iter().map(|array| quantized::quantize(array, how));
    Ok(packed.collect::<Result<Vec<_>>>()?.concat())
}

/// The first `count` tokens of `[sequences, tokens, ..]`, and the others.
fn parted<const N: usize>(all: &[Array; N], count: i32) -> Result<([Array; N], [Array; N])> {
    let part = |from: i32, to: Option<i32>| -> Result<[Array; N]> {
        let own = all.iter().map(|part| {
            let to = to.unwrap_or(part.dim(1));
            slice(part, &[(1, from..to)])
        });
        several(own)
    };
    Ok((part(0, Some(count))?, part(count, None)?))
}

fn several<const N: usize>(arrays: impl Iterator<Item = Result<Array>>) -> Result<[Array; N]> {
    let arrays: Vec<Array> = arrays.collect::<Result<_>>()?;
    let arrays = arrays.try_into();
    arrays.map_err(|_| Exception::custom("as many parts as there were"))
}

/// Whether two rows that follow each other are one run.
fn are_neighbours((a, span_a): &(Place, RowSpan), (b, span_b): &(Place, RowSpan)) -> bool {
    span_a.tokens == 1 && span_b.tokens == 1 && a.shelf == b.shelf && a.row + 1 == b.row
}

/// Which of so many places queries at each of these positions see.
fn mask(queries: &[i32], places: i32, reach: Reach) -> Array {
    let seen = queries.iter().flat_map(|&query| {
        let first = reach.first(query);
        ring::held_at(query, places).map(move |position| position >= first)
    });
    let seen: Vec<bool> = seen.collect();
    Array::from_slice(&seen, &[queries.len() as i32, 1, 1, places])
}

/// `sources` and its inverse, unless it changes nothing.
fn order(sources: &[i32]) -> Option<[Array; 2]> {
    if sources.is_sorted() {
        return None;
    }
    let mut targets = vec![0; sources.len()];
    for (target, &source) in sources.iter().enumerate() {
        targets[source as usize] = target as i32;
    }
    let array = |indices: &[i32]| Array::from_slice(indices, &[indices.len() as i32]);
    Some([array(sources), array(&targets)])
}
