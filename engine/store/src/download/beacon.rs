//! Tells every process on this computer whether a download asks a hub for more: a file that is locked as long as it does. So
//! nobody has to tell when a process ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::error::DownloadError;

/// The file of one download. Dark again when it is dropped.
#[derive(Debug)]
pub(super) struct Beacon(File);

impl Beacon {
    /// Opens it, dark.
    pub(super) fn open(path: &Path) -> Result<Self, DownloadError> {
        let mut options = File::options();
        let options = options.create(true).truncate(false).write(true);
        let file = options.open(path).map_err(DownloadError::io(path))?;
        Ok(Self(file))
    }

    /// Lights it or puts it out. Whoever looks at it in this very moment may prevent the first: do it again.
    pub(super) fn light(&self, lit: bool) {
        // Without one, others fetch for themselves.
        let _ = if lit {
            self.0.try_lock().is_ok()
        } else {
            self.0.unlock().is_ok()
        };
    }

    /// Whether somebody has lit it.
    pub(super) fn is_lit(path: &Path) -> bool {
        let looked = File::open(path).map(|file| file.try_lock_shared());
        matches!(looked, Ok(Err(TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_lit_until_it_is_put_out_or_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fetches");
        assert!(!Beacon::is_lit(&path));
        let beacon = Beacon::open(&path).unwrap();
        assert!(!Beacon::is_lit(&path));
        beacon.light(true);
        beacon.light(true);
        assert!(Beacon::is_lit(&path) && Beacon::is_lit(&path));
        beacon.light(false);
        assert!(!Beacon::is_lit(&path));
        beacon.light(true);
        drop(beacon);
        assert!(!Beacon::is_lit(&path));
    }
}
