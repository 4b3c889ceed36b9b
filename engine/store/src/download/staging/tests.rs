use super::*;

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
