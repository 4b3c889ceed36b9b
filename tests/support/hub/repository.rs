//! What a hub holds: the files of a commit, and what git and LFS call them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::random::Random;

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFile {
    /// Its content.
    pub bytes: Vec<u8>,
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

impl RepositoryFile {
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
        let mut sibling =
            json!({"rfilename": path, "size": self.bytes.len(), "blobId": self.blob_id()});
        if self.is_large {
            sibling["lfs"] =
                json!({"sha256": self.etag(), "size": self.bytes.len(), "pointerSize": 134});
        }
        sibling
    }
}

impl Snapshot {
    /// What the API says of it.
    pub fn listing(&self) -> Value {
        let siblings = self.files.iter().map(|(path, file)| file.sibling(path));
        json!({"sha": self.commit, "private": false, "gated": false, "siblings": siblings.collect::<Vec<_>>()})
    }
}

/// A model's repository by its seed: small files, a few weights of up to `weight_bytes` each, and files that nobody needs.
pub fn model(seed: u64, weight_bytes: usize) -> Snapshot {
    let mut random = Random::new(seed);
    let mut files = BTreeMap::new();
    let mut add = |path: &str, bytes: Vec<u8>, is_large| {
        files.insert(path.to_owned(), RepositoryFile { bytes, is_large });
    };
    add(
        "config.json",
        json!({"model_type": "llama", "seed": seed})
            .to_string()
            .into_bytes(),
        false,
    );
    add(
        "tokenizer.json",
        json!({"version": seed}).to_string().into_bytes(),
        false,
    );
    add("README.md", b"# A model".to_vec(), false);
    add("pytorch_model.bin", vec![0x80; 100], true);
    for shard in 0..=random.below(3) {
        let bytes = 1 + random.below(weight_bytes);
        add(
            &format!("model-{shard}.safetensors"),
            safetensors(&mut random, bytes),
            true,
        );
    }
    let commit = commit(&seed.to_le_bytes());
    Snapshot { commit, files }
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
