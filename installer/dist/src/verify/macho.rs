//! Reads of a Mach-O file what its signature is about: its parts, each for one processor.

use anyhow::{Context, Result, ensure};

const MACHO_64: u32 = 0xfeed_facf;
const FAT: u32 = 0xcafe_babe;
const SEGMENT: u32 = 0x19;
const CODE_SIGNATURE: u32 = 0x1d;
const BUILD_VERSION: u32 = 0x32;
const EXECUTABLE: u32 = 2;

/// The program or library for one processor.
#[derive(Debug)]
pub struct Slice<'a> {
    /// All of its bytes.
    pub bytes: &'a [u8],
    /// Whether it is a program, not a library.
    pub executable: bool,
    /// Where the code lies: offset and length.
    pub text: (u64, u64),
    /// Version of the system that it was built for, as the file packs it.
    pub system_version: u32,
    /// Where the signature begins; it goes on to the end.
    pub signature_at: usize,
}

/// Whether the file is a program or library at all.
pub fn is_macho(bytes: &[u8]) -> bool {
    little(bytes, 0).is_ok_and(|magic| magic == MACHO_64 || magic == FAT.swap_bytes())
}

/// The parts of a file. Between them there is nothing but zeros.
pub fn slices(file: &[u8]) -> Result<Vec<Slice<'_>>> {
    if little(file, 0)? == MACHO_64 {
        return Ok(vec![slice(file)?]);
    }
    let count = big(file, 4)? as usize;
    let mut slices = Vec::new();
    let mut end = 8 + 20 * count;
    for index in 0..count {
        let at = 8 + 20 * index;
        let (offset, size, align) = (big(file, at + 8)?, big(file, at + 12)?, big(file, at + 16)?);
        let (offset, size) = (offset as usize, size as usize);
        ensure!(
            align <= 15 && offset == end.next_multiple_of(1 << align),
            "its parts are not where they belong"
        );
        let between = file.get(end..offset).context("it is cut off")?;
        ensure!(
            between.iter().all(|byte| *byte == 0),
            "there is something between its parts"
        );
        end = offset + size;
        let bytes = file.get(offset..end).context("it is cut off")?;
        ensure!(
            bytes.get(4..8) == Some(&reversed(file, at)?)
                && bytes.get(8..12) == Some(&reversed(file, at + 4)?),
            "a part is for another processor than it says"
        );
        slices.push(slice(bytes)?);
    }
    ensure!(
        end == file.len() && count > 0,
        "there is something behind its end"
    );
    Ok(slices)
}

fn slice(bytes: &[u8]) -> Result<Slice<'_>> {
    ensure!(
        little(bytes, 0)? == MACHO_64,
        "it is not a 64-bit Mach-O file"
    );
    let (mut text, mut system_version, mut signature) = (None, 0, None);
    let mut at = 32;
    for _ in 0..little(bytes, 16)? {
        let (kind, length) = (little(bytes, at)?, little(bytes, at + 4)? as usize);
        ensure!(length >= 8, "a load command is too short");
        match kind {
            SEGMENT if bytes.get(at + 8..at + 15) == Some(b"__TEXT\0") => {
                text = Some((little_64(bytes, at + 40)?, little_64(bytes, at + 48)?));
            }
            BUILD_VERSION => system_version = little(bytes, at + 16)?,
            CODE_SIGNATURE => {
                let offset = little(bytes, at + 8)? as usize;
                signature = Some((offset, offset + little(bytes, at + 12)? as usize));
            }
            _ => {}
        }
        at += length;
    }
    let (signature_at, end) = signature.context("it is not signed")?;
    ensure!(
        end == bytes.len(),
        "there is something behind its signature"
    );
    Ok(Slice {
        bytes,
        executable: little(bytes, 12)? == EXECUTABLE,
        text: text.context("it has no code")?,
        system_version,
        signature_at,
    })
}

fn little(bytes: &[u8], at: usize) -> Result<u32> {
    big(bytes, at).map(u32::swap_bytes)
}

fn little_64(bytes: &[u8], at: usize) -> Result<u64> {
    let [low, high] = [little(bytes, at)?, little(bytes, at + 4)?].map(u64::from);
    Ok(high << 32 | low)
}

fn reversed(bytes: &[u8], at: usize) -> Result<[u8; 4]> {
    Ok(big(bytes, at)?.to_le_bytes())
}

/// A number with its highest byte first.
pub fn big(bytes: &[u8], at: usize) -> Result<u32> {
    let end = at.checked_add(4).context("it is cut off")?;
    let word = bytes.get(at..end).context("it is cut off")?;
    Ok(u32::from_be_bytes(word.try_into()?))
}
