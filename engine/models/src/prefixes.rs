//! Beginnings of sequences that this rank has computed: the keys and values of its own layers, block by block, in memory
//! and on disk; of a model with recurrent layers in memory only, and their states at the ends of some blocks.
//!
//! Every rank keeps and gives up on its own; what a new sequence begins with is what all of them have. Blocks on disk come
//! into memory first, while other sequences go on: until then a rank says that it may soon have more.

mod bytes;
mod disk;
mod file;
mod room;
mod states;

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use base::ShardSpec;
use infer::SlotId;
use infer::prefix::{BLOCK_TOKENS, BlockKey, PrefixCache};
use mlx_rs::Array;
use mlx_rs::error::{Exception, Result};

use crate::layers::{Beginning, Caches};
use disk::{Disk, ReadBlock};
use file::Form;
use states::States;

pub use disk::PrefixFolder;

/// What all layers of this rank hold of a block, layer after layer.
type Block = Vec<Array>;

/// Bytes that are copied from a file to the device in one step: some milliseconds.
const STEP_BYTES_MAX: usize = 64 << 20;
/// States that a rank keeps none of whose layers has keys and values to measure them by.
const STATES_BYTES_MAX: u64 = 256 << 20;
/// While nothing else can be computed, a step waits so long for a file.
const IDLE_WAIT: Duration = Duration::from_millis(5);

/// The beginnings that are kept.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    kept: PrefixCache<Block>,
    /// If the model has any.
    states: Option<States>,
    /// Keys and values of a token, once a block was seen.
    token_bytes: u64,
    disk: Option<Disk>,
    /// What is read for slots that are to begin.
    reading: HashMap<SlotId, Reading>,
    /// What the arrays of a block are, once one was seen.
    forms: Option<Vec<Form>>,
}

/// What there is of a beginning, in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// In memory.
    pub(crate) now: usize,
    /// In memory before long, at least as many.
    pub(crate) soon: usize,
}

/// A beginning that is read from disk.
#[derive(Debug)]
struct Reading {
    chain: Vec<BlockKey>,
    /// How many blocks of it are in memory in the end.
    aim: usize,
    /// Of the next block.
    next: usize,
    /// `None` when all is read that can be.
    blocks: Option<Receiver<ReadBlock>>,
}

impl Prefixes {
    /// Of a model that has recurrent layers, or not.
    pub(crate) fn new(has_states: bool) -> Self {
        Self {
            states: has_states.then(States::default),
            ..Self::default()
        }
    }

    /// Keeps beginnings on disk too. States are not: without them blocks are of no use.
    pub(crate) fn keep_in(&mut self, place: PrefixFolder, spec: &ShardSpec) -> io::Result<()> {
        if self.states.is_some() {
            return Ok(());
        }
        self.disk = Some(Disk::start(place, spec)?);
        Ok(())
    }

    /// Keeps the whole blocks of a sequence, as far as there is `room`: tokens that the cache may hold besides those of the
    /// sequences that run. Their memory is their own, so that MLX goes on writing to the sequence's in place.
    pub(crate) fn keep(
        &mut self,
        caches: &mut Caches,
        slot: SlotId,
        tokens: usize,
        room: u64,
    ) -> Result<()> {
        let Some(held) = caches.get_mut(slot) else {
            return Ok(());
        };
        let blocks = held.sure().len() / BLOCK_TOKENS;
        if blocks > held.kept_blocks {
            held.kept_blocks = blocks;
            let mut chain = BlockKey::chain(&[], held.sure());
            if let Some(states) = &mut self.states {
                let own = caches.states(slot)?;
                states.keep(slot, &chain, tokens, own);
            }
            chain.truncate(in_blocks(room));
            // What came after a block that was given up could not be found without it.
            let known = self.kept.recall(&chain).len();
            if !caches.get(slot).is_some_and(|held| held.holds_block(known)) {
                chain.truncate(known);
            }
            self.kept.keep(&chain, |depth| {
                let block = caches.block(slot, depth)?;
                self.token_bytes = bytes::count(&block) / BLOCK_TOKENS as u64;
                Ok::<_, Exception>(block)
            })?;
            self.write(&chain)?;
        }
        Ok(())
    }

    /// Writes what the disk does not have of a beginning that is in memory.
    fn write(&mut self, chain: &[BlockKey]) -> Result<()> {
        let Some(disk) = &self.disk else {
            return Ok(());
        };
        let lacking = disk.lacks(chain);
        if lacking.is_empty() {
            return Ok(());
        }
        let blocks = self.kept.recall(chain);
        for at in lacking {
            let Some(block) = blocks
                .get(at)
                .filter(|block| disk.takes(bytes::count(block)))
            else {
                break;
            };
            let Some(arrays) = bytes::of(block)? else {
                break;
            };
            self.forms.get_or_insert_with(|| arrays.forms.clone());
            disk.write(chain[at], arrays);
        }
        Ok(())
    }

    /// Gives up what there is no room for. States take half of it at most.
    pub(crate) fn shrink_to(&mut self, room: u64) {
        let states = self.states.as_mut();
        let bytes_max = match self.token_bytes {
            0 => STATES_BYTES_MAX,
            each => room / 2 * each,
        };
        let bytes = states.map_or(0, |states| states.shrink_to(bytes_max));
        let tokens = bytes.checked_div(self.token_bytes).unwrap_or(0);
        self.kept.shrink_to(room.saturating_sub(tokens));
    }

    /// For each block of a beginning whether a sequence can go on from its end; `None` if it can from any that there is.
    pub(crate) fn ways_on(&mut self, chain: &[BlockKey]) -> Option<Vec<bool>> {
        let states = self.states.as_ref()?;
        let now = self.kept.recall(chain).len();
        let blocks = chain.iter().enumerate();
        Some(
            blocks
                .map(|(at, key)| at < now && states.has(*key))
                .collect(),
        )
    }

    /// How much of a beginning there is in memory, and how much soon as far as there is `room`. A step that has nothing
    /// else to do waits a little for what is read.
    pub(crate) fn look(
        &mut self,
        slot: SlotId,
        chain: &[BlockKey],
        room: u64,
        idle: bool,
    ) -> Result<Found> {
        // The slot may have been another's that was cancelled.
        let reading = self.reading.remove(&slot);
        let mut reading = reading.filter(|reading| reading.chain == chain);
        if let Some(reading) = &mut reading {
            self.take_in(reading, idle)?;
        }
        let now = self.kept.recall(chain).len();
        let more = match (&reading, &self.disk) {
            (Some(reading), _) if reading.blocks.is_some() => reading.aim,
            (Some(_), _) | (None, None) => 0,
            (None, Some(disk)) => {
                let more = disk.has(&chain[now..]);
                (now + more).min(in_blocks(room))
            }
        };
        if let Some(reading) = reading {
            self.reading.insert(slot, reading);
        }
        let soon = more.max(now);
        Ok(Found { now, soon })
    }

    /// Begins to read a beginning up to `aim` blocks, unless that is being done or this rank has them.
    pub(crate) fn read(&mut self, slot: SlotId, chain: &[BlockKey], aim: usize) {
        if self.reading.contains_key(&slot) {
            return;
        }
        let now = self.kept.recall(&chain[..aim]).len();
        let disk = self.disk.as_ref().filter(|_| aim > now);
        let blocks = disk.map(|disk| disk.read(&chain[now..aim], bytes::of_element));
        self.reading.insert(
            slot,
            Reading {
                chain: chain.to_vec(),
                aim,
                next: now,
                blocks,
            },
        );
    }

    /// All blocks of a beginning, with which a slot begins now.
    pub(crate) fn recall(&mut self, slot: SlotId, chain: &[BlockKey]) -> Beginning<'_> {
        self.forget(slot);
        if let Some(disk) = self.disk.as_ref().filter(|_| !chain.is_empty()) {
            disk.note(chain);
        }
        let states = self.states.as_mut();
        let states = states.and_then(|states| states.recall(slot, chain));
        Beginning {
            blocks: self.kept.recall(chain),
            states: states.unwrap_or_default(),
        }
    }

    /// A slot is no longer to begin.
    pub(crate) fn forget(&mut self, slot: SlotId) {
        self.reading.remove(&slot);
        if let Some(states) = &mut self.states {
            states.forget(slot);
        }
    }

    /// Takes what has been read into memory, some of it.
    fn take_in(&mut self, reading: &mut Reading, idle: bool) -> Result<()> {
        let mut taken = 0;
        while let Some(blocks) = reading.blocks.as_ref().filter(|_| taken < STEP_BYTES_MAX) {
            let read = if idle && taken == 0 {
                blocks.recv_timeout(IDLE_WAIT).map_err(|error| match error {
                    RecvTimeoutError::Timeout => TryRecvError::Empty,
                    RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
                })
            } else {
                blocks.try_recv()
            };
            let arrays = match read {
                Ok(Some(arrays)) => arrays,
                Err(TryRecvError::Empty) => return Ok(()),
                Ok(None) | Err(TryRecvError::Disconnected) => {
                    reading.blocks = None;
                    return Ok(());
                }
            };
            taken += arrays.bytes.len();
            if *self.forms.get_or_insert_with(|| arrays.forms.clone()) != arrays.forms {
                reading.blocks = None;
                return Ok(());
            }
            let mut block = Some(bytes::to_block(&arrays)?);
            reading.next += 1;
            // What was before it may have been given up meanwhile: then the rest is of no use.
            let chain = &reading.chain[..reading.next];
            if self.kept.recall(chain).len() + 1 < reading.next {
                reading.blocks = None;
                return Ok(());
            }
            self.kept.keep(chain, |_| {
                let once = block.take();
                once.ok_or_else(|| Exception::custom("two blocks at once"))
            })?;
        }
        Ok(())
    }
}

fn in_blocks(tokens: u64) -> usize {
    usize::try_from(tokens).unwrap_or(usize::MAX) / BLOCK_TOKENS
}
