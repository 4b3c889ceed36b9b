use std::os::unix::fs::symlink;

use super::*;
use crate::ModelFolder;
use crate::folder::tests::write_model;

/// A model as `huggingface_hub` lays it out: files that are links to blobs.
pub(crate) fn write_cached(cache: &Path, repository: &str, commit: &str, data: &[u8]) {
    let repository = cache.join(format!("models--{repository}"));
    let (blobs, snapshot) = (
        repository.join("blobs"),
        repository.join("snapshots").join(commit),
    );
    let written = repository.join("written");
    write_model(&written, data);
    for folder in [&blobs, &snapshot, &repository.join("refs")] {
        fs::create_dir_all(folder).unwrap();
    }
    for file in fs::read_dir(&written).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        let blob = format!("{commit}-{name}");
        fs::rename(file.path(), blobs.join(&blob)).unwrap();
        symlink(format!("../../blobs/{blob}"), snapshot.join(&name)).unwrap();
    }
    fs::remove_dir(written).unwrap();
    fs::write(repository.join("refs/main"), commit).unwrap();
}

/// A cache with one model, and its snapshot.
fn cached() -> (tempfile::TempDir, PathBuf) {
    let cache = tempfile::tempdir().unwrap();
    write_cached(cache.path(), "ada--m", "aa", b"first");
    let (name, snapshot) = entries(cache.path()).pop().unwrap();
    assert_eq!(name, "ada/m");
    (cache, snapshot)
}

fn refused(cache: &Path, snapshot: &Path) -> String {
    check(cache, snapshot).unwrap_err().to_string()
}

#[test]
fn a_snapshot_is_a_model_of_its_repository() {
    let (cache, snapshot) = cached();
    check(cache.path(), &snapshot).unwrap();
    let model = ModelFolder::check(&snapshot).unwrap();
    // The newest one is what `main` is, whatever else there is.
    write_cached(cache.path(), "ada--m", "bb", b"second");
    let [(_, newer)] = entries(cache.path()).try_into().unwrap();
    assert_ne!(
        ModelFolder::check(&newer).unwrap().fingerprint,
        model.fingerprint
    );
    let main = cache.path().join("models--ada--m/refs/main");
    fs::write(&main, "aa\n").unwrap();
    assert_eq!(
        entries(cache.path()),
        [("ada/m".to_owned(), snapshot.clone())]
    );
    fs::write(&main, "../../../..").unwrap();
    assert_eq!(entries(cache.path()), []);
    // Somebody who fetched a commit by its id has no `main`: then it must be the only one.
    fs::remove_file(&main).unwrap();
    assert_eq!(entries(cache.path()), []);
    fs::remove_dir_all(newer).unwrap();
    assert_eq!(entries(cache.path()), [("ada/m".to_owned(), snapshot)]);
}

#[test]
fn names_are_those_of_models() {
    for (folder, name) in [
        (
            "models--mlx-community--Qwen3-0.6B-4bit",
            Some("mlx-community/Qwen3-0.6B-4bit"),
        ),
        ("models--gpt2", Some("gpt2")),
        ("models--a--b--c", None),
        ("models--", None),
        ("models--a--..", None),
        ("datasets--ada--words", None),
        ("version.txt", None),
    ] {
        assert_eq!(model_name(folder).as_deref(), name, "{folder}");
    }
    assert_eq!(entries(Path::new("/not/there")), []);
}

#[test]
fn a_snapshot_that_is_not_whole_is_refused() {
    let (cache, snapshot) = cached();
    let blobs = cache.path().join("models--ada--m/blobs");
    let fetching = blobs.join("0123.incomplete");
    fs::write(&fetching, "").unwrap();
    assert!(refused(cache.path(), &snapshot).contains("still being fetched"));
    fs::remove_file(fetching).unwrap();
    fs::rename(blobs.join("aa-config.json"), blobs.join("elsewhere")).unwrap();
    assert!(refused(cache.path(), &snapshot).contains("it is not fetched yet"));
    fs::rename(blobs.join("elsewhere"), blobs.join("aa-config.json")).unwrap();
    symlink(
        "../../blobs/aa-model.safetensors",
        snapshot.join("model-00002-of-00002.safetensors"),
    )
    .unwrap();
    let part = refused(cache.path(), &snapshot);
    assert!(
        part.contains("model-00001-of-00002.safetensors is damaged"),
        "{part}"
    );
}

#[test]
fn a_link_out_of_the_cache_is_not_followed() {
    let (cache, snapshot) = cached();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.json"), "{}").unwrap();
    let link = snapshot.join("secret.json");
    symlink(outside.path().join("secret.json"), &link).unwrap();
    assert!(refused(cache.path(), &snapshot).contains("leads out of the cache"));
    fs::remove_file(link).unwrap();
    // A cache may itself be reached by a link.
    let linked = outside.path().join("hub");
    symlink(cache.path(), &linked).unwrap();
    check(&linked, &linked.join("models--ada--m/snapshots/aa")).unwrap();
    let real = outside.path().join("real");
    write_model(&real, b"first");
    fs::remove_dir_all(&snapshot).unwrap();
    symlink(real, &snapshot).unwrap();
    assert!(refused(cache.path(), &snapshot).contains("leads out of the cache"));
}

#[test]
fn a_blob_is_found_by_its_hash() {
    let (cache, _) = cached();
    let blob = |hash| blob(cache.path(), "ada", "m", hash);
    assert!(blob("aa-config.json").is_some_and(|path| path.is_file()));
    assert_eq!(blob("cc"), None);
}
