//! A block in a file: a checksum, what arrays there are, and their bytes. Never trusts what it reads.
//!
//! All numbers are little-endian: `magic [8] | crc32 of all that follows u32 | key [32] | arrays u32`, then for each array
//! `dtype u32 | dimensions u32 | each u32`, then the bytes of each, row-major. Whoever changes this, or what a block holds,
//! changes [`FORMAT`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use infer::prefix::BlockKey;

/// Names the format in the names of folders, so that files of another are not even seen.
pub(super) const FORMAT: u32 = 2;

const MAGIC: [u8; 8] = *b"ESPBLOCK";
/// Most arrays of a block: keys and values of 4096 layers.
const ARRAYS_MAX: u32 = 8192;
const DIMENSIONS_MAX: u32 = 8;
/// Largest file: 32 tokens of the largest model known take a fiftieth of it.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// What an array is besides its bytes: a number for its type and its dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) dtype: u32,
    pub(super) shape: Vec<i32>,
}

/// The arrays of a block, as bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrays {
    pub(super) forms: Vec<Form>,
    /// Where each array's bytes are in `bytes`.
    pub(super) places: Vec<Range<usize>>,
    pub(super) bytes: Vec<u8>,
}

/// Writes a block to `path` by way of `draft` beside it, so that `path` is whole or not there. Its owner's alone: what is
/// kept tells what was said.
pub(super) fn write(path: &Path, draft: &Path, key: BlockKey, arrays: &Arrays) -> io::Result<()> {
    let head = head(key, &arrays.forms);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&head);
    for place in &arrays.places {
        checksum.update(&arrays.bytes[place.clone()]);
    }
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(draft)?;
        file.write_all(&MAGIC)?;
        file.write_all(&checksum.clone().finalize().to_le_bytes())?;
        file.write_all(&head)?;
        for place in &arrays.places {
            file.write_all(&arrays.bytes[place.clone()])?;
        }
        std::fs::rename(draft, path)
    };
    write().inspect_err(|_| {
        // Half a file on a full disk is only in the way.
        let _ = std::fs::remove_file(draft);
    })
}

fn head(key: BlockKey, forms: &[Form]) -> Vec<u8> {
    let mut head = key.0.to_vec();
    head.extend((forms.len() as u32).to_le_bytes());
    for form in forms {
        head.extend(form.dtype.to_le_bytes());
        head.extend((form.shape.len() as u32).to_le_bytes());
        head.extend(form.shape.iter().flat_map(|side| side.to_le_bytes()));
    }
    head
}

/// Reads the block `key`. `element_bytes` is the size of a type's elements, `None` for a type that there is not.
pub(super) fn read(
    path: &Path,
    key: BlockKey,
    element_bytes: impl Fn(u32) -> Option<usize>,
) -> io::Result<Arrays> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(length.min(FILE_BYTES_MAX) as usize);
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    parse(bytes, key, element_bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(
    bytes: Vec<u8>,
    key: BlockKey,
    element_bytes: impl Fn(u32) -> Option<usize>,
) -> Option<Arrays> {
    let mut reader = Reader {
        bytes: &bytes,
        at: 0,
    };
    if reader.take(MAGIC.len())? != MAGIC {
        return None;
    }
    let checksum = reader.number()?;
    if crc32fast::hash(&bytes[reader.at..]) != checksum || reader.take(key.0.len())? != key.0 {
        return None;
    }
    let count = reader.number().filter(|count| *count <= ARRAYS_MAX)?;
    let mut forms = Vec::new();
    for _ in 0..count {
        let dtype = reader.number()?;
        let dimensions = reader.number().filter(|count| *count <= DIMENSIONS_MAX)?;
        let shape = (0..dimensions).map(|_| i32::try_from(reader.number()?).ok());
        let shape = shape.collect::<Option<Vec<i32>>>()?;
        forms.push(Form { dtype, shape });
    }
    let mut places = Vec::with_capacity(forms.len());
    for form in &forms {
        let sides = form.shape.iter().map(|side| usize::try_from(*side).ok());
        let mut length = element_bytes(form.dtype)?;
        for side in sides {
            length = length.checked_mul(side?)?;
        }
        let start = reader.at;
        reader.take(length)?;
        places.push(start..reader.at);
    }
    let is_whole = reader.at == bytes.len();
    is_whole.then_some(Arrays {
        forms,
        places,
        bytes,
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEY: BlockKey = BlockKey([7; 32]);

    fn arrays() -> Arrays {
        let form = |dtype, shape: &[i32]| Form {
            dtype,
            shape: shape.to_vec(),
        };
        Arrays {
            forms: vec![form(1, &[2, 3]), form(0, &[4])],
            places: vec![0..12, 12..16],
            bytes: (0..16).collect(),
        }
    }

    fn element_bytes(dtype: u32) -> Option<usize> {
        [1, 2].get(dtype as usize).copied()
    }

    fn read_back(path: &Path) -> io::Result<Arrays> {
        read(path, KEY, element_bytes)
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("block");
        write(&path, &folder.path().join("draft"), KEY, &arrays()).unwrap();
        let read_back = read_back(&path).unwrap();
        assert_eq!(read_back.forms, arrays().forms);
        let part = |arrays: &Arrays, at: usize| arrays.bytes[arrays.places[at].clone()].to_vec();
        assert_eq!(part(&read_back, 0), part(&arrays(), 0));
        assert_eq!(part(&read_back, 1), part(&arrays(), 1));
        assert!(read(&path, BlockKey([8; 32]), element_bytes).is_err());
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn any_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("block");
        write(&path, &folder.path().join("draft"), KEY, &arrays()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            std::fs::write(&path, &damaged).unwrap();
            assert!(read_back(&path).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(read_back(&path).is_err(), "{at} bytes");
        }
        std::fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        assert!(read_back(&path).is_err());
        assert!(read_back(&folder.path().join("none")).is_err());
    }
}
