//! What a model is, in 32 bytes that cost milliseconds: nodes compare it before they share one.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use base::{Fingerprint, HubRevision};
use sha2::{Digest, Sha256};

use crate::folder::{FolderError, read_capped};
use crate::weights::{INDEX, WeightFile};

/// Samples of each weight file's data: a fine-tuned model has its base model's headers and other numbers.
const SAMPLES: u64 = 16;
/// Bytes of a sample; one page of the disk.
const SAMPLE_BYTES: u64 = 4096;

/// SHA-256 over the configuration, the tokenizer, the index, and of each weight file its name, length, header and samples
/// of its data. Each piece is preceded by its length, so that no two sets of files run into the same bytes.
pub(crate) fn of(folder: &Path, files: &[WeightFile]) -> Result<Fingerprint, FolderError> {
    let mut hash = Sha256::new();
    for name in ["config.json", "tokenizer.json", INDEX] {
        add(&mut hash, &read_capped(folder, name)?.unwrap_or_default());
    }
    for file in files {
        add(&mut hash, file.name.as_bytes());
        add(&mut hash, &file.bytes.to_le_bytes());
        add(&mut hash, &file.header);
        let path = folder.join(&file.name);
        add_samples(&mut hash, &path, file).map_err(|error| FolderError::read(&path, error))?;
    }
    Ok(Fingerprint(hash.finalize().into()))
}

/// What a commit of a repository is, for whoever has not all of it. The whole of it has another fingerprint too.
pub fn of_commit(origin: &HubRevision) -> Fingerprint {
    let mut hash = Sha256::new();
    for piece in ["commit", &origin.repository, &origin.revision] {
        add(&mut hash, piece.as_bytes());
    }
    Fingerprint(hash.finalize().into())
}

fn add(hash: &mut Sha256, piece: &[u8]) {
    hash.update((piece.len() as u64).to_le_bytes());
    hash.update(piece);
}

/// Samples spread evenly from the first byte of the data to the last.
fn add_samples(hash: &mut Sha256, path: &Path, weights: &WeightFile) -> std::io::Result<()> {
    let begin = 8 + weights.header.len() as u64;
    let room = (weights.bytes - begin).saturating_sub(SAMPLE_BYTES);
    let mut file = File::open(path)?;
    for sample in 0..SAMPLES {
        file.seek(SeekFrom::Start(begin + room / (SAMPLES - 1) * sample))?;
        let mut piece = Vec::new();
        Read::by_ref(&mut file)
            .take(SAMPLE_BYTES)
            .read_to_end(&mut piece)?;
        add(hash, &piece);
    }
    Ok(())
}
