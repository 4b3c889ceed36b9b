//! How much of the disk all kept blocks may take, of whatever model and shard: the ones used longest ago go first.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What files of whole blocks end with.
pub(super) const EXTENSION: &str = "block";
/// Of what is free on the disk and what blocks take already, one part in so many is theirs at most.
const SHARE_OF_DISK: u64 = 10;
/// When room is made, one part in so many of what blocks may take becomes free: looking is work.
pub(super) const SLACK_SHARE: u64 = 16;
/// Other files are drafts, and one that is so old was left behind by a worker that died.
const DRAFT_AGE_MAX: Duration = Duration::from_mins(10);

struct Found {
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

/// Removes blocks under `root` until the others take less than `bytes_max` and a tenth of the disk. Returns how many more
/// bytes there is room for.
pub(super) fn make(root: &Path, bytes_max: u64) -> io::Result<u64> {
    let mut found = Vec::new();
    for model in folders(root)? {
        for shard in folders(&model)? {
            blocks(&shard, &mut found)?;
        }
    }
    let mut taken: u64 = found.iter().map(|block| block.bytes).sum();
    let disk = rustix::fs::statvfs(root)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let bytes_max = bytes_max.min(free.saturating_add(taken) / SHARE_OF_DISK);
    found.sort_unstable_by_key(|block| block.used);
    let aim = bytes_max - bytes_max / SLACK_SHARE;
    for block in found {
        if taken <= aim {
            break;
        }
        // One that another worker has removed meanwhile is gone as well.
        let _ = std::fs::remove_file(&block.path);
        taken -= block.bytes;
    }
    Ok(bytes_max.saturating_sub(taken))
}

fn folders(of: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(of)? {
        let entry = entry?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// The blocks of a shard; drafts that nobody writes any more are removed on the way.
fn blocks(shard: &Path, found: &mut Vec<Found>) -> io::Result<()> {
    for entry in std::fs::read_dir(shard)? {
        let path = entry?.path();
        // A file that is gone by now counts for nothing.
        let Ok(metadata) = path.symlink_metadata() else {
            continue;
        };
        let used = metadata.modified()?;
        if path.extension().is_some_and(|name| name == EXTENSION) {
            found.push(Found {
                used,
                bytes: metadata.len(),
                path,
            });
        } else if used.elapsed().is_ok_and(|age| age > DRAFT_AGE_MAX) {
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_whoevers_it_is() {
        let root = tempfile::tempdir().unwrap();
        let ages = [
            ("a/1/x.block", 30),
            ("a/2/y.block", 10),
            ("b/1/z.block", 20),
        ];
        let now = SystemTime::now();
        for (name, age) in ages
            .into_iter()
            .chain([("b/1/old.draft", 1000), ("b/1/new.draft", 1)])
        {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, [0; 100]).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        }
        let there = |name: &str| root.path().join(name).exists();
        assert_eq!(make(root.path(), 1000).unwrap(), 700);
        assert!(!there("b/1/old.draft") && there("b/1/new.draft"));
        assert_eq!(make(root.path(), 250).unwrap(), 50);
        assert_eq!(ages.map(|(name, _)| there(name)), [false, true, true]);
        assert_eq!(make(root.path(), 0).unwrap(), 0);
        assert_eq!(ages.map(|(name, _)| there(name)), [false; 3]);
    }
}
