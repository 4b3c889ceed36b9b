//! What a hub holds: the files of a commit, and what git and LFS call them.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::random::Random;

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFile {
    /// Its content,
    pub bytes: Vec<u8>,
    /// and so many zeros after it, which take no memory here.
    pub zeros: u64,
    /// Kept by LFS, at the second host.
    pub is_large: bool,
}

/// All files of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// 40 hexadecimal digits.
    pub commit: String,
    /// By path.
    pub files: BTreeMap<String, RepositoryFile>,
}

/// A commit as a hub has it: what its files are called is worked out once.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) snapshot: Snapshot,
    /// What the API says of it.
    pub(super) listing: Value,
    /// What the `ETag` of each file is, by path.
    pub(super) etags: BTreeMap<String, String>,
}

impl Published {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        let etags = snapshot.files.iter();
        Self {
            listing: snapshot.listing(),
            etags: etags
                .map(|(path, file)| (path.clone(), file.etag()))
                .collect(),
            snapshot,
        }
    }
}

impl RepositoryFile {
    /// A file of these bytes.
    pub fn of(bytes: Vec<u8>, is_large: bool) -> Self {
        Self {
            bytes,
            zeros: 0,
            is_large,
        }
    }

    /// How long it is.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64 + self.zeros
    }

    /// Some of it.
    pub(super) fn range(&self, range: &Range<u64>) -> Vec<u8> {
        let known = self.bytes.len() as u64;
        let (from, to) = (range.start.min(known), range.end.min(known));
        let mut bytes = self.bytes[from as usize..to as usize].to_vec();
        bytes.resize((range.end - range.start) as usize, 0);
        bytes
    }

    /// What its `ETag` is: the blob's id or the SHA-256 of the content.
    pub fn etag(&self) -> String {
        if self.is_large {
            hexadecimal(&Sha256::digest(&self.bytes))
        } else {
            self.blob_id()
        }
    }

    fn blob_id(&self) -> String {
        let blob = Sha1::new_with_prefix(format!("blob {}\0", self.bytes.len()));
        hexadecimal(&blob.chain_update(&self.bytes).finalize())
    }

    fn sibling(&self, path: &str) -> Value {
        let mut sibling = json!({"rfilename": path, "size": self.size(), "blobId": self.blob_id()});
        if self.is_large {
            sibling["lfs"] =
                json!({"sha256": self.etag(), "size": self.size(), "pointerSize": 134});
        }
        sibling
    }
}

impl Snapshot {
    /// What the API says of it.
    fn listing(&self) -> Value {
        let siblings = self.files.iter().map(|(path, file)| file.sibling(path));
        json!({"sha": self.commit, "private": false, "gated": false, "siblings": siblings.collect::<Vec<_>>()})
    }
}

/// A model's repository by its seed: small files, a few weights of up to `weight_bytes` each, and files that nobody needs.
pub fn model(seed: u64, weight_bytes: usize) -> Snapshot {
    let mut random = Random::new(seed);
    let count = 1 + random.below(3);
    let sizes: Vec<usize> = (0..count).map(|_| 1 + random.below(weight_bytes)).collect();
    model_of(seed, &sizes)
}

/// The same with weights of these sizes, in bytes.
pub fn model_of(seed: u64, sizes: &[usize]) -> Snapshot {
    let mut random = Random::new(seed);
    let mut files = BTreeMap::new();
    let mut add = |path: &str, bytes: Vec<u8>, is_large| {
        files.insert(path.to_owned(), RepositoryFile::of(bytes, is_large));
    };
    let config = json!({"model_type": "llama", "seed": seed});
    add("config.json", config.to_string().into_bytes(), false);
    let tokenizer = json!({"version": seed});
    add("tokenizer.json", tokenizer.to_string().into_bytes(), false);
    add("README.md", b"# A model".to_vec(), false);
    add("pytorch_model.bin", vec![0x80; 100], true);
    for (shard, bytes) in sizes.iter().enumerate() {
        let weights = safetensors(&mut random, *bytes);
        add(&format!("model-{shard}.safetensors"), weights, true);
    }
    let commit = commit(&seed.to_le_bytes());
    Snapshot { commit, files }
}

/// The files of a model's folder, as a repository has them.
pub fn of_folder(folder: &Path) -> Result<Snapshot> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().context("no name")?.to_string_lossy();
        let is_large = name.ends_with(".safetensors");
        if path.is_file() && !name.starts_with('.') {
            let bytes = fs::read(&path)?;
            files.insert(name.into_owned(), RepositoryFile::of(bytes, is_large));
        }
    }
    let commit = commit(b"of a folder");
    Ok(Snapshot { commit, files })
}

/// Something like the id of a commit.
pub(super) fn commit(of: &[u8]) -> String {
    hexadecimal(&Sha1::digest(of))
}

/// One tensor of random bytes.
fn safetensors(random: &mut Random, bytes: usize) -> Vec<u8> {
    let header =
        json!({"w": {"dtype": "U8", "shape": [bytes], "data_offsets": [0, bytes]}}).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend((0..bytes).map(|_| random.draw() as u8));
    file
}

fn hexadecimal(hash: &[u8]) -> String {
    hash.iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat()
}
