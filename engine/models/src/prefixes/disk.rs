//! Blocks on disk, beyond a worker's life: an index of the files there are, a thread that writes, and a thread for each
//! beginning that is read. The device thread hands bytes over and never waits for a file.
//!
//! What there is no time to write is not kept; what cannot be read, for whatever reason, is computed. Files of other
//! weights, or of the same quantized otherwise, of other layers or slices, or of another format are in other folders.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base::{Fingerprint, ShardSpec};
use infer::prefix::{BLOCK_TOKENS, BlockKey};

use super::file::{self, Arrays, FORMAT};
use super::room::{self, EXTENSION};

/// Bytes that wait to be written: a tenth of a second of a slow disk. More is dropped, and offered again later.
const WAITING_BYTES_MAX: u64 = 64 << 20;
/// Messages that wait to be obeyed, most of them small.
const WAITING_MAX: usize = 4096;
/// Blocks read ahead of the device thread.
const READ_AHEAD: usize = 16;
/// Reading a block may take as long as a fast machine computes it: 2,000 tokens in a second.
const READ_TIME_MAX: Duration = Duration::from_micros(500 * BLOCK_TOKENS as u64);
/// When a block was used is noted no more often: each note is a write as well.
const NOTE_INTERVAL: Duration = Duration::from_mins(1);

/// Where beginnings are kept, and how much of the disk all of them may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixFolder {
    /// One for all models and shards of a node.
    pub root: PathBuf,
    /// The weights.
    pub model: Fingerprint,
    /// Of all files under `root`. They take no more than a tenth of the disk either.
    pub bytes_max: u64,
}

/// The blocks of one shard on disk.
#[derive(Debug)]
pub(super) struct Disk {
    shared: Arc<Shared>,
    orders: SyncSender<Order>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// Those that are there, or about to be, and when their last use was noted.
    known: Mutex<HashMap<BlockKey, Option<Instant>>>,
    waiting_bytes: AtomicU64,
}

enum Order {
    Write(BlockKey, Arrays),
    Note(Vec<BlockKey>),
}

/// Names what a shard computes with: of the model's files, which part, and what becomes of it in memory.
fn part_of(spec: &ShardSpec) -> String {
    let (layers, slice) = (&spec.layers, spec.tensor);
    let bits = spec.quantize;
    let bits = bits.map_or_else(String::new, |bits| format!("-{}bits", bits.get()));
    let cache = spec.kv_bits;
    let cache = cache.map_or_else(String::new, |bits| format!("-kv{}bits", bits.get()));
    format!(
        "{}-{}-{}of{}{bits}{cache}-v{FORMAT}",
        layers.start, layers.end, slice.index, slice.of
    )
}

/// What was read of a block; `None` if it could not be.
pub(super) type ReadBlock = Option<Arrays>;

impl Disk {
    /// Blocks of this shard under `root`; those that are there are known when this returns.
    pub(super) fn start(place: PrefixFolder, spec: &ShardSpec) -> io::Result<Self> {
        let folder = place.root.join(place.model.to_string()).join(part_of(spec));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let known = found_in(&folder)?.into_iter().map(|key| (key, None));
        let shared = Arc::new(Shared {
            known: Mutex::new(known.collect()),
            folder,
            waiting_bytes: AtomicU64::new(0),
        });
        let (orders, inbox) = mpsc::sync_channel(WAITING_MAX);
        let writer = Writer {
            shared: Arc::clone(&shared),
            root: place.root,
            bytes_max: place.bytes_max,
            room: 0,
            complained: false,
        };
        // Ends when its orders do, with this.
        let thread = std::thread::Builder::new().name("prefixes".into());
        thread.spawn(move || writer.run(&inbox))?;
        Ok(Self { shared, orders })
    }

    /// How many of these blocks are there, up to the first that is not.
    pub(super) fn has(&self, chain: &[BlockKey]) -> usize {
        let known = self.shared.known();
        chain
            .iter()
            .take_while(|key| known.contains_key(key))
            .count()
    }

    /// Those of these blocks, by their place, that are not there.
    pub(super) fn lacks(&self, chain: &[BlockKey]) -> Vec<usize> {
        let known = self.shared.known();
        let lacking = chain.iter().enumerate();
        let lacking = lacking.filter(|(_, key)| !known.contains_key(key));
        lacking.map(|(at, _)| at).collect()
    }

    /// Whether so many bytes more can wait to be written.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        self.shared.waiting_bytes.load(Ordering::Relaxed) + bytes <= WAITING_BYTES_MAX
    }

    /// Writes a block, soon.
    pub(super) fn write(&self, key: BlockKey, arrays: Arrays) {
        let bytes = arrays.bytes.len() as u64;
        self.shared
            .waiting_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        self.shared.known().insert(key, None);
        if self.orders.try_send(Order::Write(key, arrays)).is_err() {
            self.shared
                .waiting_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
            self.shared.known().remove(&key);
        }
    }

    /// Notes that a beginning was used.
    pub(super) fn note(&self, chain: &[BlockKey]) {
        // If that is lost, it is given up a little earlier.
        let _ = self.orders.try_send(Order::Note(chain.to_vec()));
    }

    /// Reads these blocks, in order, for as long as that is faster than computing them. The end of the channel is the end.
    pub(super) fn read(
        &self,
        chain: &[BlockKey],
        element_bytes: fn(u32) -> Option<usize>,
    ) -> Receiver<ReadBlock> {
        let (sender, blocks) = mpsc::sync_channel(READ_AHEAD);
        let shared = Arc::clone(&self.shared);
        let chain = chain.to_vec();
        let deadline = Instant::now() + READ_TIME_MAX * chain.len() as u32;
        let read = move || {
            for key in chain {
                let block = shared.read(key, element_bytes);
                let ends = block.is_none() || Instant::now() > deadline;
                // Nobody listens any more if the request was cancelled.
                if sender.send(block).is_err() || ends {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("prefix".into());
        // Without a thread the channel ends at once, and the beginning is computed.
        let _ = thread.spawn(read);
        blocks
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, HashMap<BlockKey, Option<Instant>>> {
        // No holder can leave it half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: BlockKey) -> PathBuf {
        // A name of 256 bits is one of a fingerprint's form.
        let name = Fingerprint(key.0).to_string();
        self.folder.join(name).with_extension(EXTENSION)
    }

    fn read(&self, key: BlockKey, element_bytes: fn(u32) -> Option<usize>) -> ReadBlock {
        let path = self.path(key);
        match file::read(&path, key, element_bytes) {
            Ok(arrays) => Some(arrays),
            Err(error) => {
                // Not there, or damaged: then it is only in the way.
                tracing::info!(%error, path = %path.display(), "a kept block cannot be used");
                self.known().remove(&key);
                let _ = std::fs::remove_file(&path);
                None
            }
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    root: PathBuf,
    bytes_max: u64,
    /// Bytes that may be written before the disk is looked over again.
    room: u64,
    complained: bool,
}

impl Writer {
    fn run(mut self, orders: &Receiver<Order>) {
        self.look();
        while let Ok(order) = orders.recv() {
            match order {
                Order::Write(key, arrays) => self.write(key, &arrays),
                Order::Note(chain) => self.note(&chain),
            }
        }
    }

    fn write(&mut self, key: BlockKey, arrays: &Arrays) {
        let bytes = arrays.bytes.len() as u64;
        let fits = bytes <= self.bytes_max / room::SLACK_SHARE;
        if fits && self.room < bytes {
            self.look();
        }
        let path = self.shared.path(key);
        let draft = path.with_extension(format!("draft-{}", std::process::id()));
        let written = if !fits || self.room < bytes {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            file::write(&path, &draft, key, arrays)
        };
        match written {
            Ok(()) => {
                self.room -= bytes;
                self.shared.known().entry(key).or_default();
            }
            Err(error) => {
                self.shared.known().remove(&key);
                if !std::mem::replace(&mut self.complained, true) {
                    tracing::warn!(%error, "beginnings of prompts are not kept on disk");
                }
            }
        }
        self.shared
            .waiting_bytes
            .fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Notes a use, of the last block first: of those that were used together the end is given up first.
    fn note(&self, chain: &[BlockKey]) {
        for key in chain.iter().rev() {
            let due = match self.shared.known().get_mut(key) {
                Some(noted) if noted.is_none_or(|at| at.elapsed() > NOTE_INTERVAL) => {
                    *noted = Some(Instant::now());
                    true
                }
                Some(_) | None => false,
            };
            if due {
                let file = File::options().write(true).open(self.shared.path(*key));
                // A file that is gone needs no note.
                let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
            }
        }
    }

    /// Makes room, and takes note of what there is.
    fn look(&mut self) {
        let room = room::make(&self.root, self.bytes_max);
        let found = found_in(&self.shared.folder);
        let (Ok(room), Ok(found)) = (room, found) else {
            self.room = 0;
            return;
        };
        // Other workers write too, so that it is soon looked at again.
        self.room = room.min(self.bytes_max / room::SLACK_SHARE);
        let mut known = self.shared.known();
        // What waits to be written is written after this; what was removed is not there any more.
        let noted: HashMap<_, _> = std::mem::take(&mut *known);
        for key in found {
            known.insert(key, noted.get(&key).copied().flatten());
        }
    }
}

/// The names of the blocks in a folder.
fn found_in(folder: &Path) -> io::Result<Vec<BlockKey>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|name| name == EXTENSION) {
            found.extend(path.file_stem().and_then(|stem| key(stem.to_str()?)));
        }
    }
    Ok(found)
}

fn key(name: &str) -> Option<BlockKey> {
    let mut key = [0; 32];
    if name.len() != 64 || !name.is_ascii() {
        return None;
    }
    for (byte, at) in key.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&name[at..at + 2], 16).ok()?;
    }
    Some(BlockKey(key))
}

#[cfg(test)]
mod tests {
    use base::{CacheBits, QuantizedBits, Sharding, TensorSlice};

    use super::*;

    #[test]
    fn what_shards_compute_otherwise_is_kept_apart() {
        let whole = ShardSpec {
            rank: 0,
            world: 1,
            sharding: Sharding::Pipeline,
            layers: 0..6,
            tensor: TensorSlice::WHOLE,
            quantize: None,
            kv_bits: None,
        };
        let quantized = |bits| ShardSpec {
            quantize: QuantizedBits::new(bits),
            ..whole.clone()
        };
        let cached = ShardSpec {
            kv_bits: CacheBits::new(8),
            ..quantized(4)
        };
        let names = [whole.clone(), quantized(4), quantized(8), cached];
        let names = names.map(|spec| part_of(&spec));
        assert_eq!(names[0], format!("0-6-0of1-v{FORMAT}"));
        assert_eq!(names[1], format!("0-6-0of1-4bits-v{FORMAT}"));
        assert_eq!(names[2], format!("0-6-0of1-8bits-v{FORMAT}"));
        assert_eq!(names[3], format!("0-6-0of1-4bits-kv8bits-v{FORMAT}"));
    }
}
