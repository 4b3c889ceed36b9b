//! Beginnings that are kept on disk are found by the next worker, and only by one that holds the same part of the model.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::{Sharding, TokenEvent, TokenId, TokenRequest};

use crate::process::Cluster;
use crate::{PATIENCE, checkpoint, request, tokens};

/// Whole blocks of prompt and answer together: 90 and 16 tokens.
const BLOCKS: usize = 3;
/// Of them so many tokens begin the same prompt again.
const FOUND: u32 = 64;

fn long() -> TokenRequest {
    let prompt: Vec<TokenId> = (0..90).map(|n| n * 7 % 26).collect();
    request(1, &prompt, 16)
}

/// All files of blocks under `root`.
fn blocks(root: &Path) -> Vec<PathBuf> {
    let mut blocks = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|name| name == "block") {
                blocks.push(path);
            }
        }
    }
    blocks
}

/// The text of an answer and how much of its prompt was found, by workers that end then, when `files` blocks are kept.
fn answer(
    folder: &Path,
    (world, sharding): (u32, Sharding),
    root: &Path,
    files: usize,
) -> (Vec<TokenId>, u32) {
    let mut cluster = Cluster::keeping(folder, world, sharding, root);
    let events = cluster.answer(long());
    let deadline = Instant::now() + PATIENCE;
    while blocks(root).len() < files {
        assert!(Instant::now() < deadline, "{:?}", blocks(root));
        std::thread::sleep(Duration::from_millis(5));
    }
    let found = events.iter().find_map(|event| match event {
        TokenEvent::Recalled { tokens } => Some(*tokens),
        _ => None,
    });
    (tokens(&events), found.unwrap_or(0))
}

#[test]
fn what_one_worker_kept_the_next_finds_after_any_change_of_plan() {
    let folder = checkpoint::llama();
    let root = tempfile::tempdir().unwrap();
    let single = (1, Sharding::Pipeline);
    let (text, found) = answer(folder.path(), single, root.path(), BLOCKS);
    assert_eq!(found, 0);
    assert_eq!(
        answer(folder.path(), single, root.path(), BLOCKS),
        (text.clone(), FOUND)
    );
    let mut files = BLOCKS;
    for plan in [(2, Sharding::Pipeline), (2, Sharding::Tensor)] {
        files += 2 * BLOCKS;
        let first = answer(folder.path(), plan, root.path(), files);
        assert_eq!(
            first,
            (text.clone(), 0),
            "{plan:?}: other ranks hold other layers"
        );
        let again = answer(folder.path(), plan, root.path(), files);
        assert_eq!(again, (text.clone(), FOUND), "{plan:?}");
    }
    // What one of two ranks does not have, none uses.
    let of_rank = |path: &PathBuf| path.to_string_lossy().contains("/0-");
    for path in blocks(root.path()).iter().filter(|path| of_rank(path)) {
        std::fs::remove_file(path).unwrap();
    }
    let left = blocks(root.path()).len();
    assert!(left > 0 && left < files);
    let plan = (2, Sharding::Pipeline);
    let again = answer(folder.path(), plan, root.path(), 2 * BLOCKS);
    assert_eq!(again, (text.clone(), 0));
    // What is damaged is as good as not there.
    for path in blocks(root.path()) {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    assert_eq!(answer(folder.path(), plan, root.path(), 0), (text, 0));
}
