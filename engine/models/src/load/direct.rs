//! Arrays into whose memory files are read straight away: nothing of a weight is ever there twice.
//!
//! MLX alone decides where an array's memory is, and reads files into it itself when the array is evaluated. What it reads is a
//! safetensors file of one tensor that exists nowhere: its header is made here, and its data are ranges of real files.

use std::ffi::{CStr, c_char, c_void};
use std::fs::File;
use std::io::{Error, Result};
use std::iter::Peekable;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mlx_rs::{Array, Stream, ops};
use mlx_sys::{mlx_io_reader, mlx_io_vtable, mlx_map_string_to_array, mlx_map_string_to_string};

use super::fp8::Scaled;
use super::header::ElementType;
use crate::error::LoadError;
use crate::ops::call;

/// Read by one thread at a time: enough that threads cost nothing beside it.
const PART_BYTES: usize = 8 << 20;

/// As many as MLX's own reader has: what it takes to keep a disk busy, and memory.
const READERS: usize = 4;

/// The name of the one tensor.
const NAME: &CStr = c"tensor";

/// A range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Which of the [`Ranges`]'s files.
    pub(super) file: usize,
    /// First byte.
    pub(super) at: u64,
    pub(super) bytes: usize,
    /// Which of the [`Ranges`]'s scales multiply it, if any do.
    pub(super) scaled: Option<usize>,
}

impl Run {
    /// Bytes of what is made of it.
    const fn held_bytes(&self) -> usize {
        match self.scaled {
            Some(_) => 2 * self.bytes,
            None => self.bytes,
        }
    }
}

/// The data of an array: ranges of files, one after the other.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    pub(super) files: Vec<File>,
    pub(super) scaled: Vec<Scaled>,
    pub(super) runs: Vec<Run>,
}

/// An array of these elements.
pub(super) fn array(
    ranges: Ranges,
    element: ElementType,
    shape: &[i32],
) -> std::result::Result<Array, ReadError> {
    let bytes = ranges.bytes();
    if bytes == 0 {
        return Ok(ops::zeros_dtype(shape, element.dtype()).map_err(LoadError::from)?);
    }
    let failed = Arc::new(Mutex::new(None));
    let made = Made {
        header: header(element, shape, bytes),
        at: AtomicUsize::new(0),
        ranges,
        failed: Arc::clone(&failed),
    };
    let array = of_file(made)?;
    array.eval().map_err(LoadError::from)?;
    match failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) => Err(ReadError::File(error)),
        None => Ok(array),
    }
}

/// Why there is no array.
pub(super) enum ReadError {
    File(Error),
    Other(LoadError),
}

impl From<LoadError> for ReadError {
    fn from(error: LoadError) -> Self {
        Self::Other(error)
    }
}

/// What a safetensors file of one tensor begins with.
fn header(element: ElementType, shape: &[i32], bytes: usize) -> Vec<u8> {
    let name = NAME.to_string_lossy();
    let dtype = element.held().name();
    let fields = format!(
        "{{\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[0,{bytes}]}}}}"
    );
    [&(fields.len() as u64).to_le_bytes(), fields.as_bytes()].concat()
}

/// The one tensor of such a file, to be read when it is evaluated.
fn of_file(file: Made) -> std::result::Result<Array, LoadError> {
    // mlx-rs sets its error handler with its first operation; mlx-c's own ends the process.
    Array::from_int(0).eval()?;
    let descriptor = Box::into_raw(Box::new(file));
    // SAFETY: the functions of the table expect what `descriptor` points to; the last one frees it when MLX is done with it.
    let opened = Opened(unsafe { mlx_sys::mlx_io_reader_new(descriptor.cast(), TABLE) });
    let mut tensors = Tensors::new();
    let stream = Stream::cpu();
    // SAFETY: reader and stream are valid, the maps are ours and empty.
    let status = unsafe {
        mlx_sys::mlx_load_safetensors_reader(
            &raw mut tensors.0,
            &raw mut tensors.1,
            opened.0,
            stream.as_ptr(),
        )
    };
    let array = call("load_safetensors", |result| match status {
        // SAFETY: the map is valid and the name a C string.
        0 => unsafe { mlx_sys::mlx_map_string_to_array_get(result, tensors.0, NAME.as_ptr()) },
        failed => failed,
    });
    Ok(array?)
}

/// A reader of MLX's.
struct Opened(mlx_io_reader);

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and not used again. A failure leaves nothing to do.
        let _ = unsafe { mlx_sys::mlx_io_reader_free(self.0) };
    }
}

/// What MLX finds in a file.
struct Tensors(mlx_map_string_to_array, mlx_map_string_to_string);

impl Tensors {
    fn new() -> Self {
        // SAFETY: both make empty maps.
        unsafe {
            Self(
                mlx_sys::mlx_map_string_to_array_new(),
                mlx_sys::mlx_map_string_to_string_new(),
            )
        }
    }
}

impl Drop for Tensors {
    fn drop(&mut self) {
        // SAFETY: the maps are ours and not used again. A failure leaves nothing to do.
        unsafe {
            let _ = mlx_sys::mlx_map_string_to_array_free(self.0);
            let _ = mlx_sys::mlx_map_string_to_string_free(self.1);
        }
    }
}

/// A file that is read as if it were there. MLX reads the header at once and the data later, by a thread of its own.
struct Made {
    header: Vec<u8>,
    /// Where MLX reads on; after the header, to see how long all is.
    at: AtomicUsize,
    ranges: Ranges,
    failed: Arc<Mutex<Option<Error>>>,
}

const TABLE: mlx_io_vtable = mlx_io_vtable {
    is_open: Some(is_there),
    good: Some(is_there),
    tell: Some(tell),
    seek: Some(seek),
    read: Some(read_header),
    read_at_offset: Some(read_data),
    write: None,
    label: Some(label),
    free: Some(free),
};

/// What MLX hands to each function of the table.
///
/// # Safety
/// Only for what `of_file` gave to MLX, before `free`.
unsafe fn made<'a>(descriptor: *mut c_void) -> &'a Made {
    // SAFETY: it is what `of_file` made, and shared alone.
    unsafe { &*descriptor.cast::<Made>() }
}

unsafe extern "C" fn is_there(_descriptor: *mut c_void) -> bool {
    true
}

unsafe extern "C" fn tell(descriptor: *mut c_void) -> usize {
    // SAFETY: MLX calls the table's functions with its descriptor.
    unsafe { made(descriptor) }.at.load(Ordering::Relaxed)
}

unsafe extern "C" fn seek(descriptor: *mut c_void, offset: i64, whence: i32) -> i32 {
    // SAFETY: as in `tell`.
    let made = unsafe { made(descriptor) };
    let from = match whence {
        libc::SEEK_SET => 0,
        libc::SEEK_CUR => made.at.load(Ordering::Relaxed),
        _ => made.header.len() + made.ranges.bytes(),
    };
    match from.checked_add_signed(offset as isize) {
        Some(at) => {
            made.at.store(at, Ordering::Relaxed);
            0
        }
        None => -1,
    }
}

unsafe extern "C" fn read_header(
    descriptor: *mut c_void,
    data: *mut c_char,
    bytes: usize,
) -> usize {
    // SAFETY: as in `tell`.
    let made = unsafe { made(descriptor) };
    let at = made.at.fetch_add(bytes, Ordering::Relaxed);
    let Some(next) = made.header.get(at..at.saturating_add(bytes)) else {
        return 0;
    };
    // SAFETY: MLX has room for so many bytes there, and it is not ours.
    unsafe { std::ptr::copy_nonoverlapping(next.as_ptr(), data.cast(), bytes) };
    bytes
}

/// Says that it read all even if it did not: what MLX does about an error there is not to be relied on, and `array` looks.
unsafe extern "C" fn read_data(
    descriptor: *mut c_void,
    data: *mut c_char,
    bytes: usize,
    offset: usize,
) -> usize {
    // SAFETY: as in `tell`.
    let made = unsafe { made(descriptor) };
    let read = if (offset, bytes) == (made.header.len(), made.ranges.bytes()) {
        // SAFETY: MLX has room for so many bytes there, which nobody else sees before this returns.
        let room = unsafe { std::slice::from_raw_parts_mut(data.cast(), bytes) };
        made.ranges.read(room)
    } else {
        Err(Error::other("MLX asks for other bytes than there are"))
    };
    if let Err(error) = read {
        let mut failed = made.failed.lock().unwrap_or_else(PoisonError::into_inner);
        *failed = Some(error);
    }
    bytes
}

unsafe extern "C" fn label(_descriptor: *mut c_void) -> *const c_char {
    NAME.as_ptr()
}

unsafe extern "C" fn free(descriptor: *mut c_void) {
    // SAFETY: MLX calls it once and last, with what `of_file` made of a box.
    drop(unsafe { Box::from_raw(descriptor.cast::<Made>()) });
}

impl Ranges {
    /// Of what is made of all runs.
    fn bytes(&self) -> usize {
        self.runs.iter().map(Run::held_bytes).sum()
    }

    /// Reads all of it, by several threads if it is much.
    fn read(&self, mut room: &mut [u8]) -> Result<()> {
        let mut parts = Vec::new();
        let mut rest = self.runs.iter().copied().peekable();
        while rest.peek().is_some() {
            let runs = first_of(&mut rest, PART_BYTES);
            let bytes = runs.iter().map(Run::held_bytes).sum();
            let part = room.split_off_mut(..bytes);
            parts.push((runs, part.ok_or(std::io::ErrorKind::UnexpectedEof)?));
        }
        let readers = READERS.min(parts.len());
        let parts = Mutex::new(parts.into_iter());
        let read = || -> Result<()> {
            loop {
                let next = parts.lock().unwrap_or_else(PoisonError::into_inner).next();
                // Each turn takes one of them, and none comes again.
                let Some((runs, part)) = next else {
                    return Ok(());
                };
                self.read_part(&runs, part)?;
            }
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..readers).map(|_| scope.spawn(read)).collect();
            let own = read();
            let others = others.into_iter().map(|other| {
                let panicked = |_| Err(Error::other("a reader panicked"));
                other.join().unwrap_or_else(panicked)
            });
            others.fold(own, Result::and)
        })
    }

    fn read_part(&self, runs: &[Run], mut room: &mut [u8]) -> Result<()> {
        for run in runs {
            let part = room.split_off_mut(..run.held_bytes());
            let part = part.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            let file = &self.files[run.file];
            match run.scaled {
                Some(scaled) => self.scaled[scaled].fill(file, run.at, part)?,
                None => file.read_exact_at(part, run.at)?,
            }
        }
        Ok(())
    }
}

/// Takes so many bytes off the front, or what is left if that is less.
pub(super) fn first_of(runs: &mut Peekable<impl Iterator<Item = Run>>, bytes: usize) -> Vec<Run> {
    let mut taken = Vec::new();
    let mut missing = bytes;
    // Ends because each turn takes a run away or all that is missing.
    while missing > 0
        && let Some(run) = runs.peek_mut()
    {
        let first = run.bytes.min(missing);
        taken.push(Run {
            bytes: first,
            ..*run
        });
        missing -= first;
        run.at += first as u64;
        run.bytes -= first;
        if run.bytes == 0 {
            runs.next();
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: [(usize, u64, usize); 3] = [(0, 10, 5), (1, 0, 3), (0, 40, 8)];

    fn runs() -> Peekable<impl Iterator<Item = Run>> {
        let all = RUNS.into_iter();
        all.map(|(file, at, bytes)| Run {
            file,
            at,
            bytes,
            scaled: None,
        })
        .peekable()
    }

    #[test]
    fn what_is_taken_off_the_front_is_all_in_order() {
        for bytes in [1, 4, 5, 7, 16, 100] {
            let mut rest = runs();
            let mut places = Vec::new();
            while rest.peek().is_some() {
                let taken = first_of(&mut rest, bytes);
                assert!(taken.iter().map(|run| run.bytes).sum::<usize>() <= bytes);
                let each = taken.into_iter().flat_map(|run| {
                    (run.at..run.at + run.bytes as u64).map(move |at| (run.file, at))
                });
                places.extend(each);
            }
            let expected = RUNS
                .into_iter()
                .flat_map(|(file, at, bytes)| (at..at + bytes as u64).map(move |at| (file, at)));
            assert_eq!(places, expected.collect::<Vec<_>>(), "{bytes}");
        }
    }

    #[test]
    fn what_a_file_does_not_have_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 100]).unwrap();
        let of = |at, bytes| {
            let ranges = Ranges {
                files: vec![File::open(&path).unwrap()],
                scaled: Vec::new(),
                runs: vec![Run {
                    file: 0,
                    at,
                    bytes,
                    scaled: None,
                }],
            };
            array(ranges, ElementType::U8, &[bytes as i32])
        };
        let there = of(50, 50).ok().unwrap();
        assert_eq!(there.try_as_slice::<u8>().unwrap(), [7; 50]);
        assert!(matches!(of(51, 50), Err(ReadError::File(_))));
        assert_eq!(of(0, 0).ok().unwrap().shape(), [0]);
    }
}
