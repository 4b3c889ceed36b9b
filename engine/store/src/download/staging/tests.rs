use super::*;
use crate::download::digest::Digest;

/// A place whose manifest wants a commit, and whose swapped folder is of another or the same one.
fn fallen(models: &Path, wanted: &str, swapped: &str) -> Repository {
    let repository = Wanted::parse("ada/tiny").unwrap().repository;
    let folder = models.join(".downloads/ada/tiny");
    let there = folder.join(SWAPPED);
    fs::create_dir_all(&there).unwrap();
    let manifest = |commit: &str| Manifest {
        version: VERSION,
        revision: "main".to_owned(),
        commit: commit.to_owned(),
        files: Vec::new(),
        left_out: BTreeSet::new(),
    };
    write(&folder.join(MANIFEST), &manifest(wanted)).unwrap();
    write(&there.join(ORIGIN), &manifest(swapped)).unwrap();
    fs::write(there.join("weights"), swapped).unwrap();
    repository
}

#[test]
fn new_files_that_did_not_get_to_their_place_are_the_verified_ones_again() {
    let models = tempfile::tempdir().unwrap();
    let repository = fallen(models.path(), "new", "new");
    let staging = Staging::open(models.path(), &repository).unwrap();
    assert_eq!(fs::read(staging.files.join("weights")).unwrap(), b"new");
    assert!(!staging.folder.join(SWAPPED).exists());
}

#[test]
fn old_files_that_gave_up_their_place_are_never_taken_for_verified_ones() {
    let models = tempfile::tempdir().unwrap();
    let repository = fallen(models.path(), "new", "old");
    let staging = Staging::open(models.path(), &repository).unwrap();
    assert!(!staging.files.join("weights").exists());
    assert!(!staging.folder.join(SWAPPED).exists());
}

#[test]
fn who_downloads_is_alone() {
    let models = tempfile::tempdir().unwrap();
    let repository = Wanted::parse("ada/tiny").unwrap().repository;
    let _first = Staging::open(models.path(), &repository).unwrap();
    let second = Staging::open(models.path(), &repository).unwrap_err();
    assert!(matches!(second, DownloadError::Busy { .. }), "{second}");
}

#[test]
fn what_the_cache_has_under_the_right_hash_is_taken_and_nothing_else() {
    let (models, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let repository = Wanted::parse("ada/tiny").unwrap().repository;
    let hello = "ce013625030ba8dba906f756967f9e9ca394464a";
    let other = "a9993e364706816aba3e25717850c26c9cd0d89d";
    let blobs = cache.path().join("models--ada--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(hello), "hello\n").unwrap();
    fs::write(blobs.join(other), "hello\n").unwrap();
    let file = |name: &str, digits: &str| HubFile {
        name: name.to_owned(),
        size: 6,
        digest: Digest::git_blob(digits).unwrap(),
    };
    let listing = Listing {
        commit: hello.to_owned(),
        files: vec![
            file("right", hello),
            file("wrong", other),
            file("none", &"b".repeat(40)),
        ],
    };
    let staging = Staging::open(models.path(), &repository).unwrap();
    let disk = Disk {
        reserve_bytes: 0,
        ..Disk::real()
    };
    staging
        .take_from_cache(&listing, &repository, cache.path(), &disk)
        .unwrap();
    assert_eq!(fs::read(staging.files.join("right")).unwrap(), b"hello\n");
    let here: Vec<bool> = listing
        .files
        .iter()
        .map(|file| staging.is_verified(file))
        .collect();
    assert_eq!(here, [true, false, false]);
    assert_eq!(fs::read_dir(&staging.partial).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 2);
}

#[test]
fn a_folder_of_models_that_is_gone_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("disk");
    let repository = Wanted::parse("ada/tiny").unwrap().repository;
    let error = Staging::open(&models, &repository).unwrap_err();
    assert!(matches!(error, DownloadError::Io { .. }), "{error}");
    assert!(!models.exists());
}
