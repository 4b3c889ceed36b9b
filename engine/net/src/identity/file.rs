//! A node's key in a file that only its owner can read. Blocking: called once, before the runtime has work.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KeyStore, KeyStoreError};

/// Longest file read: a stored key has about 160 bytes, and anything much longer is not one.
const FILE_BYTES_MAX: u64 = 1024;
/// What the group and everyone else may do.
const OTHERS: u32 = 0o077;
/// Read and write for the owner, nothing for anyone else.
const PRIVATE_MODE: u32 = 0o600;

/// Keeps the key in one file of mode 0600, written whole or not at all.
#[derive(Debug, Clone)]
pub struct FileKeyStore {
    path: PathBuf,
}

impl FileKeyStore {
    /// A store in the file at `path`; its folder is made when the first key is saved.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Forgets the key. One that is not there is forgotten.
    pub fn remove(&self) -> Result<(), KeyStoreError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failed("remove")(error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> KeyStoreError {
        let place = self.place();
        move |source| KeyStoreError::Io {
            action,
            place,
            source,
        }
    }

    /// Takes back what others were given. A key that was readable may have been read, so it is said aloud.
    fn close_to_others(&self, file: &File) -> Result<(), KeyStoreError> {
        let metadata = file.metadata().map_err(self.failed("read"))?;
        if metadata.permissions().mode() & OTHERS == 0 {
            return Ok(());
        }
        file.set_permissions(fs::Permissions::from_mode(PRIVATE_MODE))
            .map_err(|_| KeyStoreError::Exposed {
                place: self.place(),
            })?;
        tracing::warn!(path = %self.path.display(), "a secret could be read by others of this machine; now only by its owner");
        Ok(())
    }
}

impl KeyStore for FileKeyStore {
    fn load(&self) -> Result<Option<Zeroizing<String>>, KeyStoreError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read")(error)),
        };
        self.close_to_others(&file)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(self.failed("read"))?;
        // What is not UTF-8 is damaged; the caller finds that out from the replacement characters.
        Ok(Some(Zeroizing::new(
            String::from_utf8_lossy(&bytes).into_owned(),
        )))
    }

    fn save(&self, text: &str) -> Result<(), KeyStoreError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(self.failed("write"))?;
        // The temporary file has mode 0600 from its creation on.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(self.failed("write"))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .map_err(self.failed("write"))?;
        file.persist_noclobber(&self.path)
            .map_err(|error| self.failed("write")(error.error))?;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(self.failed("write"))
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}
