//! Placeholder programs, so that packaging can be tried and tested where no Mac built the real ones.
//!
//! Each is a complete Mach-O executable for Apple Silicon that macOS would start; all it does is to end with status 1.
//! Never shipped: what is made from them says so in its name.

use std::fs;
use std::path::Path;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::names::PROGRAMS;

/// Where every 64-bit program begins in memory.
const BASE: u64 = 0x1_0000_0000;
/// A page of memory on Apple Silicon: segments begin on one.
const PAGE: u64 = 0x4000;
const READ: u32 = 1;
const EXECUTE: u32 = 4;
const MACOS_14: u32 = 14 << 16;
/// `mov w0, #1; ret`.
const CODE: [u32; 2] = [0x5280_0020, 0xd65f_03c0];

/// Writes one placeholder for each program of the bundle into `folder`.
pub fn write_programs(folder: &Path) -> Result<()> {
    for name in PROGRAMS {
        fs::write(folder.join(name), program(name))?;
    }
    Ok(())
}

/// A Mach-O executable for arm64 whose identity comes from its name.
pub fn program(name: &str) -> Vec<u8> {
    let code_at = PAGE - 4 * CODE.len() as u64;
    let commands = commands(name, code_at);
    let commands_bytes: usize = commands.iter().map(Vec::len).sum();
    let mut file = words(&[
        0xfeed_facf, // magic of a 64-bit Mach-O
        0x0100_000c, // arm64
        0,
        2, // an executable
        commands.len() as u32,
        commands_bytes as u32,
        0x0020_0085, // position-independent, two-level names, links dynamically, nothing undefined
        0,
    ]);
    file.extend(commands.concat());
    file.resize(code_at as usize, 0);
    file.extend(words(&CODE));
    file.extend([0; 8]); // an empty table of names
    file
}

fn commands(name: &str, code_at: u64) -> Vec<Vec<u8>> {
    let mut uuid = Sha256::digest(name)[..16].to_vec();
    uuid[6] = uuid[6] & 0x0f | 0x40; // marks it as random, as linkers do
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let mut entry = code_at.to_le_bytes().to_vec();
    entry.extend([0; 8]);
    let mut load_system = words(&[24, 2, 0x0001_0000, 0x0001_0000]);
    load_system.extend(b"/usr/lib/libSystem.B.dylib\0");
    let mut load_linker = words(&[12]);
    load_linker.extend(b"/usr/lib/dyld\0");
    vec![
        segment("__PAGEZERO", [0, BASE, 0, 0], 0, &[]),
        segment(
            "__TEXT",
            [BASE, PAGE, 0, PAGE],
            READ | EXECUTE,
            &text(code_at),
        ),
        segment("__LINKEDIT", [BASE + PAGE, PAGE, PAGE, 8], READ, &[]),
        command(0x2, &words(&[PAGE as u32, 0, PAGE as u32, 8])), // symbols: none
        command(0xb, &[0; 72]),                                  // dynamic symbols: none
        command(0xe, &load_linker),
        command(0x1b, &uuid),
        command(0x32, &words(&[1, MACOS_14, MACOS_14, 0])),
        command(0x8000_0028, &entry), // where main is
        command(0xc, &load_system),
    ]
}

/// A segment: `place` is address and size in memory, offset and size in the file.
fn segment(name: &str, place: [u64; 4], protection: u32, section: &[u8]) -> Vec<u8> {
    let mut body = padded(name, 16);
    body.extend(place.iter().flat_map(|number| number.to_le_bytes()));
    let sections = u32::from(!section.is_empty());
    body.extend(words(&[protection, protection, sections, 0]));
    body.extend(section);
    command(0x19, &body)
}

/// The one section, `__text`.
fn text(code_at: u64) -> Vec<u8> {
    let mut section = [padded("__text", 16), padded("__TEXT", 16)].concat();
    section.extend((BASE + code_at).to_le_bytes());
    section.extend((4 * CODE.len() as u64).to_le_bytes());
    section.extend(words(&[code_at as u32, 2, 0, 0, 0x8000_0400, 0, 0, 0]));
    section
}

/// A load command, padded to eight bytes as the format asks.
fn command(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (8 + body.len()).next_multiple_of(8);
    let mut command = words(&[kind, length as u32]);
    command.extend(body);
    command.resize(length, 0);
    command
}

fn padded(name: &str, length: usize) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(length, 0);
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
