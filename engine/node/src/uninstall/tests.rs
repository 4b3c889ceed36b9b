//! What goes and what stays, in words and in real folders.

use std::os::unix::fs::symlink;

use expect_test::{Expect, expect};
use tempfile::TempDir;

use super::*;

const NOTHING: Besides = Besides {
    conversations: false,
    caches: false,
    models: false,
};
const EVERYTHING: Besides = Besides {
    conversations: true,
    caches: true,
    models: true,
};

fn check(found: &[(&str, Kind)], besides: Besides, expected: &Expect) {
    let found = found.iter().map(|(name, kind)| ((*name).to_owned(), *kind));
    let things = decide(found.collect(), besides);
    let lines = things
        .iter()
        .map(|thing| format!("{}: {:?}\n", thing.name, thing.fate));
    expected.assert_eq(&lines.collect::<String>());
}

#[test]
fn models_conversations_and_caches_stay_unless_asked() {
    let found = [
        ("settings.toml", Kind::File),
        ("models", Kind::Folder),
        ("conversations", Kind::Folder),
        ("logs", Kind::Folder),
        ("lock", Kind::File),
        ("thesis.txt", Kind::File),
    ];
    check(
        &found,
        NOTHING,
        &expect![[r#"
            conversations: NotAsked("--conversations")
            lock: NotAsked("--conversations")
            logs: NotAsked("--caches")
            models: NotAsked("--models")
            settings.toml: Goes
            thesis.txt: Unknown
        "#]],
    );
    check(
        &found,
        EVERYTHING,
        &expect![[r"
            conversations: Goes
            lock: Goes
            logs: Goes
            models: Goes
            settings.toml: Goes
            thesis.txt: Unknown
        "]],
    );
}

#[test]
fn what_only_has_the_name_is_not_known() {
    check(
        &[
            ("settings.toml", Kind::Folder),
            ("models", Kind::File),
            ("roster", Kind::Other),
            ("session", Kind::Link),
        ],
        EVERYTHING,
        &expect![[r"
            models: Unknown
            roster: Unknown
            session: Goes
            settings.toml: Unknown
        "]],
    );
}

/// A folder as a node leaves it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    for file in OWN {
        fs::write(data.join(file), "x").unwrap();
    }
    drop(DataFolder::lock(data).unwrap());
    for name in ["models/sprout", "conversations", "logs", "run"] {
        fs::create_dir_all(data.join(name)).unwrap();
        fs::write(data.join(name).join("file"), "x").unwrap();
    }
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let names = found_in(folder).unwrap().into_iter();
    let mut names: Vec<String> = names.map(|(name, _)| name).collect();
    names.sort();
    names
}

#[test]
fn it_removes_what_was_decided_and_can_be_asked_again() {
    let folder = folder();
    let first = Uninstall::prepare(folder.path(), NOTHING).unwrap();
    assert_eq!(first.carry_out(), Mishaps::new());
    assert_eq!(
        names(folder.path()),
        ["conversations", "lock", "logs", "models", "run"]
    );
    assert!(folder.path().join("models/sprout/file").is_file());
    let second = Uninstall::prepare(folder.path(), EVERYTHING).unwrap();
    assert_eq!(second.carry_out(), Mishaps::new());
    assert!(!folder.path().exists());
}

#[test]
fn links_are_removed_and_what_they_lead_to_stays() {
    let folder = folder();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("precious"), "x").unwrap();
    let models = folder.path().join("models");
    symlink(elsewhere.path(), models.join("sprout/linked")).unwrap();
    fs::remove_dir_all(folder.path().join("logs")).unwrap();
    symlink(elsewhere.path(), folder.path().join("logs")).unwrap();
    fs::write(folder.path().join("thesis.txt"), "x").unwrap();
    let all = Uninstall::prepare(folder.path(), EVERYTHING).unwrap();
    assert_eq!(all.carry_out(), Mishaps::new());
    assert_eq!(names(folder.path()), ["thesis.txt"]);
    assert!(elsewhere.path().join("precious").is_file());
}

#[test]
fn a_running_nodes_folder_and_a_strangers_are_refused() {
    let folder = folder();
    let running = DataFolder::lock(folder.path()).unwrap();
    let refused = Uninstall::prepare(folder.path(), EVERYTHING).unwrap_err();
    assert!(matches!(refused, UninstallError::Running(_)), "{refused}");
    drop(running);
    fs::remove_file(folder.path().join(LOCK)).unwrap();
    let refused = Uninstall::prepare(folder.path(), EVERYTHING).unwrap_err();
    assert!(matches!(refused, UninstallError::NotANode(_)), "{refused}");
    assert!(folder.path().join("models/sprout/file").is_file());
}
