//! What a disk image says about the app inside of it.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use fstool::block::dmg::DmgBackend;
use fstool::fs::Filesystem;
use fstool::fs::hfs_plus::HfsPlus;
use plist::Dictionary;

use crate::names::APP_FOLDER;
use crate::plists::dictionary;

/// An app in a disk image.
#[derive(Debug)]
pub struct AppInfo {
    /// Its `Info.plist`.
    pub info: Dictionary,
    /// When that was written, in seconds since 1970.
    pub written: u32,
}

/// Reads it. Whether anybody changed it is not checked here.
pub fn app_info(image: &Path) -> Result<AppInfo> {
    let mut device = DmgBackend::open(image).context("it is no disk image")?;
    let mut volume = HfsPlus::open(&mut device).context("its volume is not HFS+")?;
    let path = format!("/{APP_FOLDER}/Contents/Info.plist");
    let mut bytes = Vec::new();
    volume
        .open_file_reader(&mut device, &path)
        .with_context(|| format!("it holds no {APP_FOLDER}"))?
        .read_to_end(&mut bytes)?;
    let attributes = volume.getattr(&mut device, Path::new(&path))?;
    Ok(AppInfo {
        info: dictionary(&bytes).context("its app's Info.plist")?,
        written: attributes.mtime,
    })
}
