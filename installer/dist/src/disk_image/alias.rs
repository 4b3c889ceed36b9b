//! An alias: how the Finder remembers where a file is, by ids, names and paths at once (the second version of the format).

use std::path::Path;

/// What an alias points to.
pub struct Target<'a> {
    /// The volume's name.
    pub volume: &'a str,
    /// The file's path inside of it, as `folder/file`.
    pub path: &'a str,
    /// The file's number in the volume's catalogue.
    pub id: u32,
    /// Its folder's number.
    pub folder_id: u32,
    /// When volume and file were made, in seconds since 1904.
    pub date: u32,
}

/// Optional parts, each with its number.
const FOLDER_NAME: u16 = 0;
const COLON_PATH: u16 = 2;
const NAME_UTF16: u16 = 14;
const VOLUME_UTF16: u16 = 15;
const PATH: u16 = 18;
const MOUNT_POINT: u16 = 19;
const END: u16 = 0xffff;
/// A disk image is a disk that can be ejected.
const EJECTABLE: u16 = 5;

/// The alias, as bytes.
pub fn to_file(target: &Target<'_>) -> Vec<u8> {
    let path = Path::new(target.path);
    let text =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let name = text(path.file_name());
    let folder = text(path.parent().and_then(Path::file_name));
    let mut alias = vec![0; 6]; // no owner; the length is put in at the end
    alias.extend(2_u16.to_be_bytes());
    alias.extend(0_u16.to_be_bytes()); // a file
    alias.extend(short_name(target.volume, 28));
    alias.extend(target.date.to_be_bytes());
    alias.extend(b"H+");
    alias.extend(EJECTABLE.to_be_bytes());
    alias.extend(target.folder_id.to_be_bytes());
    alias.extend(short_name(&name, 64));
    alias.extend(target.id.to_be_bytes());
    alias.extend(target.date.to_be_bytes());
    alias.extend([0; 8]); // no type and no creator
    alias.extend([0xff; 4]); // not relative to another file
    alias.extend([0; 16]); // the volume's attributes and its kind: any
    let colons = format!("{}:{}", target.volume, target.path.replace('/', ":"));
    for (kind, value) in [
        (FOLDER_NAME, folder.into_bytes()),
        (COLON_PATH, colons.into_bytes()),
        (NAME_UTF16, utf16(&name)),
        (VOLUME_UTF16, utf16(target.volume)),
        (PATH, format!("/{}", target.path).into_bytes()),
        (
            MOUNT_POINT,
            format!("/Volumes/{}", target.volume).into_bytes(),
        ),
        (END, Vec::new()),
    ] {
        alias.extend(kind.to_be_bytes());
        alias.extend((value.len() as u16).to_be_bytes());
        alias.extend(&value);
        alias.resize(alias.len().next_multiple_of(2), 0);
    }
    let length = alias.len() as u16;
    alias[4..6].copy_from_slice(&length.to_be_bytes());
    alias
}

/// A name in a field of fixed size, its length first.
fn short_name(name: &str, size: usize) -> Vec<u8> {
    let kept = &name.as_bytes()[..name.len().min(size - 1)];
    let mut field = vec![kept.len() as u8];
    field.extend(kept);
    field.resize(size, 0);
    field
}

/// The number of units, and the units.
fn utf16(text: &str) -> Vec<u8> {
    let units: Vec<u16> = text.encode_utf16().collect();
    let count = units.len() as u16;
    [count]
        .into_iter()
        .chain(units)
        .flat_map(u16::to_be_bytes)
        .collect()
}
