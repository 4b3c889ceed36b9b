//! The disk image that a person opens: the app, a link to drag it to, and a window that shows how.
//!
//! An HFS+ volume in a compressed UDIF file, as `hdiutil` makes them. Nothing in it depends on the machine or the clock.

mod alias;
mod app_info;
mod ds_store;

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use fstool::block::dmg::{UdifWriteOptions, write_udif};
use fstool::block::{BlockDevice, FileBackend};
use fstool::fs::FsSizePlan;
use fstool::fs::hfs_plus::size_plan::HfsPlusSizePlan;
use fstool::fs::hfs_plus::{FormatOpts, HfsPlus, hfs_date_from_unix};
use sha2::{Digest, Sha256};

use crate::artwork;
use crate::bundle::files;
use crate::names::{APP_FOLDER, APP_NAME};

pub use app_info::app_info;

/// Where macOS keeps apps.
pub const APPLICATIONS: &str = "/Applications";
const BACKGROUND_FOLDER: &str = ".background";
const BACKGROUND: &str = "background.png";
/// More than the window's description ever takes.
const DS_STORE_BYTES_MAX: u64 = 16 * 1024;
/// Free space that the volume has beyond its contents: room for the tables that the plan counts narrowly.
const SPARE_BYTES: u64 = 1024 * 1024;
/// macOS shows every file of a read-only image as the user's own.
const OWNER: u32 = 99;

/// Writes the image of `app` to `image`; every date in it is `time`, in seconds since 1970.
pub fn write(app: &Path, image: &Path, time: u32) -> Result<()> {
    let scratch = tempfile::NamedTempFile::new()?;
    let background = artwork::background()?;
    let mut format = FormatOpts::default();
    format.volume_name = APP_NAME.into();
    format.create_date = hfs_date_from_unix(time.into());
    let bytes = plan(app, background.len() as u64, &mut format)?;
    let mut device = FileBackend::create(scratch.path(), bytes)?;
    let volume = HfsPlus::format(&mut device, &format)?;
    let mut writer = Writer {
        volume,
        device,
        time,
    };
    writer.tree(app, APP_FOLDER)?;
    writer.link("Applications", APPLICATIONS)?;
    writer.folder(BACKGROUND_FOLDER)?;
    let picture = format!("{BACKGROUND_FOLDER}/{BACKGROUND}");
    writer.bytes(&picture, &background)?;
    let alias = writer.alias(&picture)?;
    writer.bytes(".DS_Store", &ds_store::window(&alias)?)?;
    let mut device = writer.finish()?;
    let mut options = UdifWriteOptions::default();
    // An identity that comes from the contents, so that the same input gives the same image.
    let identity = Sha256::digest(fs::read(scratch.path())?);
    options.segment_id = Some(identity[..16].try_into().context("16 bytes")?);
    let output =
        File::create(image).with_context(|| format!("cannot write {}", image.display()))?;
    write_udif(&mut device, BufWriter::new(output), &options)?;
    Ok(())
}

/// How many bytes the volume needs; reserves its tables.
fn plan(app: &Path, background_bytes: u64, format: &mut FormatOpts) -> Result<u64> {
    let mut plan = HfsPlusSizePlan::new(format);
    let mut folders = std::collections::BTreeSet::new();
    for path in files(app)? {
        let from = app.join(&path).symlink_metadata()?;
        let inside = Path::new(APP_FOLDER).join(path);
        folders.extend(inside.ancestors().skip(1).map(Path::to_path_buf));
        plan.add_file(&inside.to_string_lossy(), from.len());
    }
    for folder in folders {
        plan.add_dir(&folder.to_string_lossy());
    }
    plan.add_file("Applications", APPLICATIONS.len() as u64);
    plan.add_dir(BACKGROUND_FOLDER);
    plan.add_file(BACKGROUND, background_bytes);
    plan.add_file(".DS_Store", DS_STORE_BYTES_MAX);
    plan.apply_to(format);
    Ok((plan.total_size() + SPARE_BYTES).next_multiple_of(4096))
}

/// A volume that is being filled.
struct Writer {
    volume: HfsPlus,
    device: FileBackend,
    time: u32,
}

impl Writer {
    /// Copies a folder of this machine to `to`, in the order of names.
    fn tree(&mut self, from: &Path, to: &str) -> Result<()> {
        self.folder(to)?;
        let mut entries = fs::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type()?);
            let to = format!("{to}/{}", entry.file_name().to_string_lossy());
            if kind.is_dir() {
                self.tree(&path, &to)?;
            } else if kind.is_symlink() {
                self.link(&to, &fs::read_link(&path)?.to_string_lossy())?;
            } else {
                let metadata = entry.metadata()?;
                let mode = (metadata.permissions().mode() & 0o777) as u16;
                let mut reader = BufReader::new(File::open(&path)?);
                self.file(&to, &mut reader, metadata.len(), mode)?;
            }
        }
        Ok(())
    }

    fn folder(&mut self, to: &str) -> Result<()> {
        let device: &mut dyn BlockDevice = &mut self.device;
        self.volume
            .create_dir(device, to, 0o755, OWNER, OWNER, self.time)?;
        Ok(())
    }

    fn bytes(&mut self, to: &str, mut bytes: &[u8]) -> Result<()> {
        let length = bytes.len() as u64;
        self.file(to, &mut bytes, length, 0o644)
    }

    fn file(
        &mut self,
        to: &str,
        from: &mut dyn std::io::Read,
        length: u64,
        mode: u16,
    ) -> Result<()> {
        self.volume
            .create_file(
                &mut self.device,
                to,
                from,
                length,
                mode,
                OWNER,
                OWNER,
                self.time,
            )
            .with_context(|| format!("{to} does not fit into the disk image"))?;
        Ok(())
    }

    fn link(&mut self, to: &str, target: &str) -> Result<()> {
        self.volume
            .create_symlink(&mut self.device, to, target, 0o755, OWNER, OWNER, self.time)?;
        Ok(())
    }

    /// What the Finder needs to find a file of this volume again.
    fn alias(&self, path: &str) -> Result<Vec<u8>> {
        let entry = self.volume.entry_info(path)?;
        Ok(alias::to_file(&alias::Target {
            volume: APP_NAME,
            path,
            id: entry.cnid,
            folder_id: entry.parent_cnid,
            date: hfs_date_from_unix(self.time.into()),
        }))
    }

    fn finish(mut self) -> Result<FileBackend> {
        self.volume.flush(&mut self.device)?;
        self.device.sync()?;
        Ok(self.device)
    }
}
