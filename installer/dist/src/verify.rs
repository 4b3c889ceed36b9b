//! Checks what `dist` made, down to the single byte: the app, the disk image, the update feed.
//!
//! Reads signatures with code of its own: what signs must not be what vouches for it.

mod image;
mod macho;
mod sealed;
mod signature;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use plist::Value;

use crate::names::{APP_FOLDER, APPCAST};
use crate::plists::dictionary;
use crate::releases;

pub use sealed::code_hash;
pub use signature::Bundle;

/// Checks an `.app`, or a folder that `dist` wrote; what was checked, for people.
pub fn verify(path: &Path) -> Result<Vec<String>> {
    let mut checked = Vec::new();
    if path.extension().is_some_and(|end| end == "app") {
        app(path, &mut checked)?;
        return Ok(checked);
    }
    let bundle = path.join(APP_FOLDER);
    if !bundle.is_dir() {
        bail!(
            "{} is no .app and holds none\nhint: cargo xtask dist verify target/dist",
            path.display()
        );
    }
    app(&bundle, &mut checked)?;
    let file = image_in(path)?;
    image::check(&file, &bundle).with_context(|| file.display().to_string())?;
    checked.push(format!("{}: checksums, volume, contents", file.display()));
    feed(path, &bundle, &mut checked)?;
    Ok(checked)
}

fn app(bundle: &Path, checked: &mut Vec<String>) -> Result<()> {
    sealed::check(bundle)?;
    checked.push(format!(
        "{}: every page, every file, nested code",
        bundle.display()
    ));
    Ok(())
}

/// The one disk image in `folder`.
fn image_in(folder: &Path) -> Result<PathBuf> {
    let entries: Result<Vec<_>, _> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut images = entries?;
    images.retain(|path| path.extension().is_some_and(|end| end == "dmg"));
    match images.as_slice() {
        [image] => Ok(image.clone()),
        found => bail!(
            "{} holds {} disk images, not one\nhint: make it again with cargo xtask dist",
            folder.display(),
            found.len()
        ),
    }
}

/// Checks feed and disk image against the key in the app, as an installed Espalier would.
fn feed(folder: &Path, bundle: &Path, checked: &mut Vec<String>) -> Result<()> {
    let info = dictionary(&fs::read(bundle.join("Contents/Info.plist"))?)?;
    let key = info.get("SUPublicEDKey").and_then(Value::as_string);
    let file = folder.join(APPCAST);
    match (key, file.is_file()) {
        (None, false) => {
            checked.push("no updates: the app names no key, and there is no feed".into());
        }
        (None, true) => bail!(
            "{} cannot be checked: the app names no key\nhint: --ed-key-file",
            file.display()
        ),
        (Some(_), false) => bail!(
            "{} is missing\nhint: make it again with cargo xtask dist",
            file.display()
        ),
        (Some(key), true) => {
            checked.extend(releases::check_feed(&file, Some(key))?);
        }
    }
    Ok(())
}
