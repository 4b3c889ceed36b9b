use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::{FileKeyStore, Identity, IdentityError, KeyStore};

#[test]
fn a_node_keeps_its_identity() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/node.key");
    let store = FileKeyStore::new(&path);
    let first = Identity::load_or_create(&store).unwrap();
    assert_eq!(
        Identity::load_or_create(&store).unwrap().node_id(),
        first.node_id()
    );
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing half-written is left");
}

#[test]
fn a_damaged_key_is_an_error_and_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.key");
    let store = FileKeyStore::new(&path);
    Identity::load_or_create(&store).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let longer = whole.replace("secret ", "secret 0");
    for damaged in [
        "",
        "x",
        &whole[..whole.len() / 2],
        &longer,
        &whole.to_uppercase(),
        &"\u{0}".repeat(5000),
    ] {
        fs::write(&path, damaged).unwrap();
        let error = Identity::load_or_create(&store).unwrap_err();
        assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("hint: "));
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }
    // One digit of the secret: still hex, no longer the secret of that public key.
    let at = whole.find("secret ").unwrap() + 7;
    let other = if whole.as_bytes()[at] == b'0' {
        "1"
    } else {
        "0"
    };
    fs::write(
        &path,
        format!("{}{other}{}", &whole[..at], &whole[at + 1..]),
    )
    .unwrap();
    assert!(matches!(
        Identity::load_or_create(&store),
        Err(IdentityError::Damaged { .. })
    ));
}

#[test]
fn a_key_that_others_could_read_is_closed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.key");
    let store = FileKeyStore::new(&path);
    Identity::load_or_create(&store).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    Identity::load_or_create(&store).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_key_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileKeyStore::new(folder.path().join("node.key"));
    store.save("first").unwrap();
    assert!(store.save("second").is_err());
    assert_eq!(store.load().unwrap().unwrap().as_str(), "first");
}

#[test]
fn a_secret_is_not_printed() {
    let identity = Identity::generate().unwrap();
    assert_eq!(
        format!("{identity:?}"),
        format!("Identity({})", identity.node_id().short())
    );
}
