//! Whether what is still to come fits on the disk.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::error::DownloadError;

/// Asks a system how many bytes programs may still write where a path leads.
pub type FreeBytes = dyn Fn(&Path) -> io::Result<u64> + Send + Sync;

/// A disk and how full it may become.
#[derive(Clone)]
pub struct Disk {
    /// Asked before a download and before each of its ranges.
    pub free_bytes: Arc<FreeBytes>,
    /// Bytes that stay free: a full disk harms everything else on it.
    pub reserve_bytes: u64,
}

impl Disk {
    /// The real disk, with 2 GiB left for others.
    pub fn real() -> Self {
        Self {
            free_bytes: Arc::new(free_bytes),
            reserve_bytes: 2 << 30,
        }
    }

    /// Bytes that may be filled.
    pub(super) fn room(&self, path: &Path) -> io::Result<u64> {
        Ok((self.free_bytes)(path)?.saturating_sub(self.reserve_bytes))
    }

    /// Refuses where `needed` more bytes do not fit.
    pub(super) fn check(&self, path: &Path, needed: u64) -> Result<(), DownloadError> {
        let free = self.room(path).map_err(DownloadError::io(path))?;
        if needed <= free {
            return Ok(());
        }
        Err(DownloadError::DiskFull {
            needed,
            free,
            path: path.to_owned(),
        })
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("reserve_bytes", &self.reserve_bytes)
            .finish_non_exhaustive()
    }
}

/// Bytes that programs may still write where a path leads.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_stays_free() {
        let disk = Disk {
            free_bytes: Arc::new(|_| Ok(100)),
            reserve_bytes: 10,
        };
        disk.check(Path::new("/x"), 90).unwrap();
        let error = disk.check(Path::new("/x"), 91).unwrap_err().to_string();
        assert!(
            error.starts_with("91 more bytes are needed and the disk of /x has 90 to spare"),
            "{error}"
        );
        Disk::real().check(Path::new("/"), 0).unwrap();
    }
}
