//! The key that signs updates: a file with the 32 secret bytes in base64, as Sparkle's own tools export it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// The secret half.
pub struct UpdateKey(SigningKey);

impl UpdateKey {
    /// A new key from the system's random numbers.
    pub fn generate() -> Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).context("the system gives no random numbers")?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// Reads a key file.
    pub fn read(file: &Path) -> Result<Self> {
        let hint = "hint: cargo xtask dist keygen FILE makes one";
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read the key {}\n{hint}", file.display()))?;
        let secret =
            bytes(&text).with_context(|| format!("{} is not a key\n{hint}", file.display()))?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// Writes the key where no file is yet, for its owner's eyes only.
    pub fn write(&self, file: &Path) -> Result<()> {
        let mut output = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .with_context(|| {
                format!(
                    "cannot make {}\nhint: a key is never overwritten; choose another name",
                    file.display()
                )
            })?;
        writeln!(output, "{}", STANDARD.encode(self.0.to_bytes()))?;
        Ok(())
    }

    /// The public half, as Info.plist has it.
    pub fn public(&self) -> String {
        STANDARD.encode(self.0.verifying_key().to_bytes())
    }

    /// A signature over all of `message`, as a feed has it.
    pub fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(self.0.sign(message).to_bytes())
    }
}

/// Checks a signature with the public half of the key.
pub fn check(public: &str, message: &[u8], signature: &str) -> Result<()> {
    let key = VerifyingKey::from_bytes(&bytes(public).context("SUPublicEDKey")?)?;
    let signature = Signature::from_bytes(&bytes(signature).context("edSignature")?);
    key.verify_strict(message, &signature)
        .context("the signature was not made with this key over these bytes")
}

/// Exactly as many bytes as there must be.
fn bytes<const COUNT: usize>(base64: &str) -> Result<[u8; COUNT]> {
    let bytes = STANDARD.decode(base64.trim())?;
    let count = bytes.len();
    bytes
        .try_into()
        .ok()
        .with_context(|| format!("{count} bytes instead of {COUNT}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_written_key_is_private_reads_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let key = UpdateKey::generate().unwrap();
        key.write(&file).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(UpdateKey::read(&file).unwrap().public(), key.public());
        assert!(UpdateKey::generate().unwrap().write(&file).is_err());
        assert_eq!(UpdateKey::read(&file).unwrap().public(), key.public());
    }

    #[test]
    fn another_message_or_key_is_refused() {
        let (key, other) = (
            UpdateKey::generate().unwrap(),
            UpdateKey::generate().unwrap(),
        );
        let signature = key.sign(b"message");
        assert!(check(&key.public(), b"message", &signature).is_ok());
        assert!(check(&key.public(), b"massage", &signature).is_err());
        assert!(check(&other.public(), b"message", &signature).is_err());
        assert!(check(&key.public(), b"message", "AAAA").is_err());
    }
}
