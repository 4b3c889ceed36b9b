//! `.DS_Store`: how the Finder shows a folder. Written for one window and no more.
//!
//! The file is a small disk of its own: blocks whose sizes are powers of two, a table of where they are, and in them a
//! B-tree of records ordered by file name. Ours has three blocks and one leaf.

use std::io::Cursor;

use anyhow::{Result, ensure};
use plist::{Dictionary, Value};

use crate::artwork::{APP_AT, APPLICATIONS_AT, WINDOW};
use crate::names::APP_FOLDER;

/// Where on the screen the window opens.
const SCREEN_AT: (u32, u32) = (200, 200);
const ICON_POINTS: f64 = 96.0;
/// Where the blocks are, each with its size as a power of two. Positions count from the file's fifth byte.
const TABLE: Block = Block {
    at: 0x800,
    power: 11,
};
const TREE: Block = Block { at: 0x20, power: 5 };
const LEAF: Block = Block {
    at: 0x1000,
    power: 12,
};
/// The table is written for this many blocks at a time.
const TABLE_ENTRIES: usize = 256;

struct Block {
    at: u32,
    power: u32,
}

/// The file for the disk image's window, whose background is what `alias` points to.
pub fn window(alias: &[u8]) -> Result<Vec<u8>> {
    let records = [
        record(".", *b"bwsp", &blob(&dictionary(frame())?)),
        record(".", *b"icvl", b"typeicnv"),
        record(".", *b"icvp", &blob(&dictionary(icons(alias))?)),
        record(".", *b"vSrn", &[*b"long", 1_u32.to_be_bytes()].concat()),
        record("Applications", *b"Iloc", &position(APPLICATIONS_AT)),
        record(APP_FOLDER, *b"Iloc", &position(APP_AT)),
    ];
    let mut leaf = words(&[0, records.len() as u32]);
    leaf.extend(records.concat());
    ensure!(
        leaf.len() <= 1 << LEAF.power,
        "the window's description is too long for one leaf"
    );
    let tree = words(&[2, 0, records.len() as u32, 1, 0x1000]);
    let mut file = words(&[1]);
    file.extend(b"Bud1");
    file.extend(words(&[TABLE.at, 1 << TABLE.power, TABLE.at, 0, 0, 0, 0]));
    for (block, bytes) in [(TREE, tree), (TABLE, table()), (LEAF, leaf)] {
        file.resize(block.at as usize + 4, 0);
        file.extend(bytes);
    }
    file.resize((LEAF.at + (1 << LEAF.power)) as usize + 4, 0);
    Ok(file)
}

/// Where the blocks are, which of them holds the tree, and what is free.
fn table() -> Vec<u8> {
    let mut table = words(&[3, 0]);
    let blocks = [TABLE, TREE, LEAF].map(|block| block.at | block.power);
    table.extend(words(&blocks));
    table.extend(vec![0; 4 * (TABLE_ENTRIES - blocks.len())]);
    table.extend(words(&[1]));
    table.extend(b"\x04DSDB");
    table.extend(words(&[1]));
    for power in 0..32 {
        // Everything between the blocks, and behind them to two gigabytes, is free: one piece of each size.
        match power {
            6..=10 | 13..=30 => table.extend(words(&[1, 1 << power])),
            _ => table.extend(words(&[0])),
        }
    }
    table
}

fn frame() -> Vec<(&'static str, Value)> {
    let (x, y) = SCREEN_AT;
    let bounds = format!("{{{{{x}, {y}}}, {{{}, {}}}}}", WINDOW.0, WINDOW.1);
    let mut frame = vec![("WindowBounds", bounds.into())];
    for bar in [
        "ShowPathbar",
        "ShowSidebar",
        "ShowStatusBar",
        "ShowTabView",
        "ShowToolbar",
    ] {
        frame.push((bar, false.into()));
    }
    frame.push(("ContainerShowSidebar", false.into()));
    frame
}

fn icons(alias: &[u8]) -> Vec<(&'static str, Value)> {
    vec![
        ("viewOptionsVersion", 1.into()),
        ("backgroundType", 2.into()), // a picture
        ("backgroundImageAlias", Value::Data(alias.to_vec())),
        ("backgroundColorRed", 1.0.into()),
        ("backgroundColorGreen", 1.0.into()),
        ("backgroundColorBlue", 1.0.into()),
        ("gridOffsetX", 0.0.into()),
        ("gridOffsetY", 0.0.into()),
        ("gridSpacing", 100.0.into()),
        ("arrangeBy", "none".into()),
        ("showIconPreview", false.into()),
        ("showItemInfo", false.into()),
        ("labelOnBottom", true.into()),
        ("textSize", 13.0.into()),
        ("iconSize", ICON_POINTS.into()),
    ]
}

fn dictionary(entries: Vec<(&'static str, Value)>) -> Result<Vec<u8>> {
    let entries = entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    let mut bytes = Cursor::new(Vec::new());
    Value::Dictionary(entries.collect::<Dictionary>()).to_writer_binary(&mut bytes)?;
    Ok(bytes.into_inner())
}

fn record(file: &str, kind: [u8; 4], value: &[u8]) -> Vec<u8> {
    let name: Vec<u16> = file.encode_utf16().collect();
    let mut record = words(&[name.len() as u32]);
    record.extend(name.into_iter().flat_map(u16::to_be_bytes));
    record.extend(kind);
    record.extend(value);
    record
}

fn blob(bytes: &[u8]) -> Vec<u8> {
    let mut blob = b"blob".to_vec();
    blob.extend(words(&[bytes.len() as u32]));
    blob.extend(bytes);
    blob
}

/// The middle of an icon.
fn position((x, y): (u32, u32)) -> Vec<u8> {
    blob(&words(&[x, y, 0xffff_ffff, 0xffff_0000]))
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
