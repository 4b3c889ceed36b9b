use std::fs;
use std::path::Path;
use std::time::Duration;

use expect_test::{Expect, expect};

use super::*;
use crate::download::{ORIGIN, Unfinished};
use crate::folder::tests::write_model;
use crate::hf_cache;

/// A catalogue with folders of each kind, the disk of the writable one gone if it is not made.
fn catalogue(data: &Path) -> Catalogue {
    let catalogue = Catalogue::open(data).unwrap();
    let place = |name: &str, kind| Place {
        path: data.join(name),
        kind,
    };
    catalogue.places().set(vec![
        place("disk", PlaceKind::Writable),
        place("nfs", PlaceKind::ReadOnly),
        place("models", PlaceKind::ReadOnly),
        place("hub", PlaceKind::HuggingFaceCache),
    ]);
    catalogue
}

fn show(data: &Path, usage: &Usage) -> String {
    let mut lines = Vec::new();
    let name = |path: &Path| {
        let path = path.strip_prefix(data).unwrap_or(path);
        path.display().to_string()
    };
    for place in &usage.places {
        lines.push(format!(
            "{} {:?} {}",
            name(&place.path),
            place.kind,
            place.is_there
        ));
    }
    for model in usage.models.iter().filter(|model| model.name != "sprout") {
        let place = name(&model.place);
        lines.push(format!(
            "{} in {place} {} {}",
            model.name, model.bytes, model.may_delete
        ));
    }
    for begun in &usage.begun {
        lines.push(format!(
            "{} to {} {}",
            begun.repository,
            name(&begun.place),
            begun.bytes
        ));
    }
    for left in &usage.leftovers {
        lines.push(format!(
            "{} {} {:?} {:?}",
            name(&left.path),
            left.bytes,
            left.remains,
            left.fate
        ));
    }
    lines.join("\n")
}

fn check(data: &Path, catalogue: &Catalogue, listed: &[&str], expected: &Expect) {
    let listed = listed.iter().map(|&name| name.to_owned()).collect();
    let usage = catalogue.usage(&listed, SystemTime::now());
    expected.assert_eq(&show(data, &usage));
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn every_place_is_told_with_what_is_in_it() {
    let data = tempfile::tempdir().unwrap();
    let catalogue = catalogue(data.path());
    for model in ["models/a/m", "models/Tiny", "nfs/a/m", "nfs/b/n"] {
        write_model(&data.path().join(model), b"weights");
    }
    hf_cache::tests::write_cached(&data.path().join("hub"), "c--o", "aa", b"cached");
    check(
        data.path(),
        &catalogue,
        &[],
        &expect![[r"
            disk Writable false
            models Own true
            nfs ReadOnly true
            hub HuggingFaceCache true
            Tiny in models 123 true
            a/m in models 123 true
            a/m in nfs 123 false
            b/n in nfs 123 false
            c/o in hub 122 false"]],
    );
}

/// A model as a download left it: with its manifest.
fn downloaded(folder: &Path) {
    write_model(folder, b"weights");
    let file = |name: &str| {
        let digest = "ce013625030ba8dba906f756967f9e9ca394464a";
        format!(r#"{{"name": "{name}", "size": 6, "digest": {{"git_blob": "{digest}"}}}}"#)
    };
    let files = ["config.json", "tokenizer.json", "model.safetensors"].map(file);
    let manifest = format!(
        r#"{{"version": 1, "revision": "main", "commit": "c", "files": [{}]}}"#,
        files.join(", ")
    );
    write(&folder.join(ORIGIN), &manifest);
}

#[test]
fn what_is_left_over_is_told_and_goes_if_nobody_can_want_it() {
    let data = tempfile::tempdir().unwrap();
    let catalogue = catalogue(data.path());
    let models = data.path().join("models");
    let disk = data.path().join("disk");
    write(&models.join(".downloads/a/listed/partial/w"), "12345");
    write(&models.join(".downloads/a/locked/partial/w"), "12345");
    write(&models.join(".downloads/a/left/partial/w"), "12345");
    write(&models.join(".downloads/a/left/mine.txt"), "mine");
    write(&models.join(".downloads/a/swapped/aside/w"), "123");
    write(&models.join(".downloads/a/over/lock"), "");
    write(&disk.join(".downloads/a/recent/manifest.json"), "{}");
    write(&models.join(".deleted-m/w"), "1234");
    downloaded(&models.join("b/whole"));
    for (name, file) in [("b/half", "model.safetensors"), ("b/bare", "config.json")] {
        downloaded(&models.join(name));
        fs::remove_file(models.join(name).join(file)).unwrap();
    }
    downloaded(&models.join("b/mixed"));
    write(&models.join("b/mixed/notes.txt"), "mine");
    fs::remove_file(models.join("b/mixed/tokenizer.json")).unwrap();
    write(&models.join("gguf/model.gguf"), "somebody's");
    write(&data.path().join("nfs/.deleted-x/w"), "theirs");
    let lock = models.join(".downloads/a/locked/lock");
    write(&lock, "");
    let lock = fs::File::open(lock).unwrap();
    lock.lock().unwrap();
    check(
        data.path(),
        &catalogue,
        &["a/listed"],
        &expect![[r#"
            disk Writable true
            models Own true
            nfs ReadOnly true
            b/whole in models 504 true
            a/listed to models 5
            a/locked to models 5
            disk/.downloads/a/recent 2 Download("a/recent") Stays("another node may go on with it: it was changed within the last seven days")
            models/.deleted-m 4 Deletion Goes
            models/.downloads/a/left 9 Download("a/left") Goes
            models/.downloads/a/swapped 3 Download("a/swapped") Goes
            models/b/bare 482 Model { name: "b/bare", reason: "it has no config.json", is_downloaded: true } Goes
            models/b/half 405 Model { name: "b/half", reason: "it has no *.safetensors", is_downloaded: true } Goes
            models/b/mixed 506 Model { name: "b/mixed", reason: "it has no tokenizer.json", is_downloaded: false } Stays("it was not downloaded by a node, so it is yours to delete")"#]],
    );

    let listed = BTreeSet::from(["a/listed".to_owned()]);
    let usage = catalogue.usage(&listed, SystemTime::now());
    let mut paths: BTreeSet<PathBuf> = usage.leftovers.iter().map(|one| one.path.clone()).collect();
    paths.extend([
        "/etc".into(),
        models.clone(),
        models.join("gguf"),
        models.join("b/whole"),
    ]);
    let removed = catalogue.clean(&paths, &listed, SystemTime::now());
    let name = |path: &Path| {
        path.strip_prefix(data.path())
            .unwrap()
            .display()
            .to_string()
    };
    let removed: Vec<_> = removed
        .iter()
        .map(|(one, outcome)| format!("{} {outcome:?}", name(&one.path)))
        .collect();
    expect![[r"
        models/.deleted-m Ok(())
        models/.downloads/a/left Ok(())
        models/.downloads/a/swapped Ok(())
        models/b/bare Ok(())
        models/b/half Ok(())"]]
    .assert_eq(&removed.join("\n"));
    let kept = [
        ".downloads/a/left/mine.txt",
        ".downloads/a/listed/partial/w",
        ".downloads/a/locked/partial/w",
        "b/mixed/notes.txt",
        "gguf/model.gguf",
        "b/whole/model.safetensors",
        "sprout/config.json",
    ];
    for kept in kept {
        assert!(models.join(kept).is_file(), "{kept}");
    }
    for gone in [
        "b/half",
        "b/bare",
        ".deleted-m",
        ".downloads/a/left/partial",
    ] {
        assert!(!models.join(gone).exists(), "{gone}");
    }
    assert!(disk.join(".downloads/a/recent/manifest.json").is_file());
    // In a folder that others use too it goes once nobody has touched it for long.
    let later = SystemTime::now() + Duration::from_hours(8 * 24);
    let usage = catalogue.usage(&listed, later);
    let goes = usage.leftovers.iter().filter(|one| one.fate == Fate::Goes);
    let goes: Vec<_> = goes.map(|one| one.path.clone()).collect();
    assert_eq!(goes, [disk.join(".downloads/a/recent")]);
}

#[test]
fn what_somebody_began_to_use_meanwhile_stays() {
    let data = tempfile::tempdir().unwrap();
    let catalogue = catalogue(data.path());
    let place = data.path().join("models/.downloads/a/m");
    write(&place.join("partial/w"), "12345");
    let usage = catalogue.usage(&BTreeSet::new(), SystemTime::now());
    write(&place.join("lock"), "");
    let lock = fs::File::options()
        .write(true)
        .open(place.join("lock"))
        .unwrap();
    lock.lock().unwrap();
    let refused = usage.leftovers[0].remove().unwrap_err();
    assert!(
        refused.contains("another process downloads a/m"),
        "{refused}"
    );
    assert!(Unfinished::all_in(&data.path().join("models"))[0].is_locked());
    assert!(place.join("partial/w").is_file());
}
