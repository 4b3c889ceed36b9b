//! Checks a disk image: its checksums, its volume, and that it holds exactly the app that lies beside it.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Result, ensure};
use fstool::block::BlockDevice;
use fstool::block::dmg::{DmgBackend, verify_udif};
use fstool::fs::EntryKind;
use fstool::fs::hfs_plus::HfsPlus;

use crate::disk_image::APPLICATIONS;
use crate::names::{APP_FOLDER, APP_NAME};

/// Checks the image against the app.
pub fn check(image: &Path, app: &Path) -> Result<()> {
    let report = verify_udif(image)?;
    ensure!(
        report.is_valid() && report.checked_any(),
        "a checksum is wrong"
    );
    let mut device = DmgBackend::open(image)?;
    let volume = HfsPlus::open(&mut device)?;
    ensure!(
        volume.volume_name() == APP_NAME,
        "the volume is called {:?}",
        volume.volume_name()
    );
    let link = volume.read_symlink_target_path(&mut device, "/Applications")?;
    ensure!(link == APPLICATIONS, "Applications leads to {link}");
    same(&volume, &mut device, &format!("/{APP_FOLDER}"), app)
}

/// That a folder of the volume equals one of this machine.
fn same(volume: &HfsPlus, device: &mut dyn BlockDevice, path: &str, folder: &Path) -> Result<()> {
    let entries = volume.list_path(device, path)?;
    ensure!(
        entries.len() == fs::read_dir(folder)?.count(),
        "{path} holds other files than {}",
        folder.display()
    );
    for entry in entries {
        let inside = format!("{path}/{}", entry.name);
        let beside = folder.join(&entry.name);
        let equal = match entry.kind {
            EntryKind::Dir => {
                same(volume, device, &inside, &beside)?;
                true
            }
            EntryKind::Symlink => {
                let target = volume.read_symlink_target_path(device, &inside)?;
                fs::read_link(&beside).is_ok_and(|link| link == Path::new(&target))
            }
            EntryKind::Regular => {
                let mut bytes = Vec::new();
                volume
                    .open_file_reader(device, &inside)?
                    .read_to_end(&mut bytes)?;
                fs::read(&beside).is_ok_and(|file| file == bytes)
            }
            EntryKind::Char
            | EntryKind::Block
            | EntryKind::Fifo
            | EntryKind::Socket
            | EntryKind::Unknown => false,
        };
        ensure!(equal, "{inside} is not {}", beside.display());
    }
    Ok(())
}
