use expect_test::{Expect, expect};

use super::*;
use crate::folder::tests::write_model;
use crate::{Place, PlaceKind};

/// A data folder with Sprout and two small models.
fn catalogue() -> (tempfile::TempDir, Catalogue) {
    let data = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::open(data.path()).unwrap();
    write_model(&data.path().join("models/Tiny"), b"tiny");
    write_model(&data.path().join("models/org/Small-1B"), b"small");
    (data, catalogue)
}

fn names(catalogue: &Catalogue) -> Vec<String> {
    catalogue
        .list()
        .into_iter()
        .map(|(model, _)| model.name.0)
        .collect()
}

fn place(path: impl Into<PathBuf>, kind: PlaceKind) -> Place {
    Place {
        path: path.into(),
        kind,
    }
}

fn refused(wanted: &str, expected: &Expect) {
    let (data, catalogue) = catalogue();
    let failure = Failure::from(catalogue.by_name(wanted).unwrap_err());
    let text = format!("{}: {failure}", failure.code.name());
    expected.assert_eq(&text.replace(&data.path().display().to_string(), "DATA"));
}

#[test]
fn lists_what_is_there() {
    let (data, catalogue) = catalogue();
    std::fs::create_dir(data.path().join("models/empty")).unwrap();
    std::fs::write(data.path().join("models/Tiny/.hidden"), "").unwrap();
    assert_eq!(names(&catalogue), ["Tiny", "org/Small-1B", "sprout"]);
    std::fs::remove_file(data.path().join("models/Tiny/tokenizer.json")).unwrap();
    assert_eq!(names(&catalogue), ["org/Small-1B", "sprout"]);
}

#[test]
fn other_folders_are_looked_in_after_its_own() {
    let (_data, catalogue) = catalogue();
    let own = names(&catalogue);
    let disk = tempfile::tempdir().unwrap();
    let sprout = catalogue.by_name("sprout").unwrap().folder.path;
    for name in ["acme/tiny", "sprout"] {
        let folder = disk.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for file in std::fs::read_dir(&sprout).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }
    let places = catalogue.places();
    places.set(vec![
        place("/not/connected", PlaceKind::ReadOnly),
        place(disk.path(), PlaceKind::Writable),
    ]);
    let mut both = own.clone();
    both.push("acme/tiny".to_owned());
    both.sort();
    assert_eq!(names(&catalogue), both);
    assert_eq!(catalogue.by_name("sprout").unwrap().folder.path, sprout);
    places.set(Vec::new());
    assert_eq!(names(&catalogue), own);
}

#[test]
fn of_a_model_in_several_places_the_one_that_may_be_changed_counts() {
    let (_data, catalogue) = catalogue();
    let [read, written] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for disk in [&read, &written] {
        write_model(&disk.path().join("org/Both"), b"both");
        write_model(&disk.path().join("Tiny"), b"tiny");
    }
    write_model(&read.path().join("Read"), b"read");
    catalogue.places().set(vec![
        place(read.path(), PlaceKind::ReadOnly),
        place(written.path(), PlaceKind::Writable),
    ]);
    let listed = catalogue.list();
    let found: Vec<_> = listed
        .iter()
        .map(|(model, may_delete)| (model.name.0.as_str(), *may_delete))
        .collect();
    let expected = [
        ("Read", false),
        ("Tiny", true),
        ("org/Both", true),
        ("org/Small-1B", true),
        ("sprout", false),
    ];
    assert_eq!(found, expected);
    let lies = |name: &str| catalogue.by_name(name).unwrap().folder.path;
    assert_eq!(lies("org/Both"), written.path().join("org/Both"));
    catalogue.remove("org/Both").unwrap();
    assert_eq!(lies("org/Both"), read.path().join("org/Both"));
    let left: Vec<_> = std::fs::read_dir(written.path())
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    for name in ["Read", "org/Both"] {
        let refused = Failure::from(catalogue.remove(name).unwrap_err()).to_string();
        assert!(refused.contains(read.path().to_str().unwrap()), "{refused}");
        assert!(lies(name).join("config.json").is_file());
    }
}

#[test]
fn what_other_tools_fetched_is_listed_and_not_deleted() {
    let (_data, catalogue) = catalogue();
    let cache = tempfile::tempdir().unwrap();
    crate::hf_cache::tests::write_cached(cache.path(), "ada--m", "aa", b"cached");
    crate::hf_cache::tests::write_cached(cache.path(), "ada--half", "bb", b"half");
    let half = cache.path().join("models--ada--half");
    std::fs::write(half.join("blobs/x.incomplete"), "").unwrap();
    let cached = place(cache.path(), PlaceKind::HuggingFaceCache);
    catalogue.places().set(vec![cached]);
    assert_eq!(
        names(&catalogue),
        ["Tiny", "ada/m", "org/Small-1B", "sprout"]
    );
    assert!(catalogue.by_name("ada/half").is_err());
    let folder = catalogue.by_name("ada/m").unwrap().folder.path;
    assert_eq!(folder, cache.path().join("models--ada--m/snapshots/aa"));
    let refused = catalogue.remove("ada/m").unwrap_err().to_string();
    assert!(
        refused.contains("the cache of Hugging Face's own tools"),
        "{refused}"
    );
    assert!(folder.join("config.json").is_file());
}

#[test]
fn names_in_any_capitals() {
    let (_data, catalogue) = catalogue();
    for (wanted, name) in [
        ("sprout", "sprout"),
        ("Sprout", "sprout"),
        ("tiny", "Tiny"),
        ("ORG/small-1b", "org/Small-1B"),
    ] {
        assert_eq!(catalogue.by_name(wanted).unwrap().name.0, name);
    }
}

#[test]
fn unknown_names_say_what_to_do() {
    refused(
        "sprot",
        &expect![[
            r#"model_not_found: there is no model "sprot" here (hint: did you mean "sprout"?)"#
        ]],
    );
    refused(
        "gpt-oss-120b",
        &expect![[
            r#"model_not_found: there is no model "gpt-oss-120b" here (hint: these are: Tiny, org/Small-1B, sprout; or give the path of a model's folder)"#
        ]],
    );
}

#[test]
fn a_name_never_leads_out_of_the_folder() {
    let (data, catalogue) = catalogue();
    let path = data.path().join("models/Tiny").display().to_string();
    for name in [
        path.as_str(),
        "../models/Tiny",
        "./Tiny",
        "Tiny/",
        "org/../Tiny",
        "",
        ".",
    ] {
        assert!(
            matches!(catalogue.by_name(name), Err(ResolveError::Unknown { .. })),
            "{name}"
        );
    }
}

#[test]
fn paths_are_for_the_operator() {
    let (_data, catalogue) = catalogue();
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = elsewhere.path().join("my-model");
    write_model(&folder, b"mine");
    let model = catalogue.resolve(folder.to_str().unwrap()).unwrap();
    assert_eq!(model.name.0, "my-model");
    // Until then requests know nothing of it.
    assert!(catalogue.by_name("my-model").is_err());
    catalogue.remember(&model);
    catalogue.remember(&model);
    assert_eq!(catalogue.by_name("My-Model").unwrap(), model);
    assert_eq!(
        names(&catalogue),
        ["Tiny", "my-model", "org/Small-1B", "sprout"]
    );
    assert!(matches!(
        catalogue.remove("my-model"),
        Err(RemoveError::NotOurs { .. })
    ));
    let missing = catalogue.resolve(elsewhere.path().join("no").to_str().unwrap());
    assert!(matches!(missing, Err(ResolveError::NotAFolder { .. })));
    let no_model = catalogue.resolve(elsewhere.path().to_str().unwrap());
    assert!(matches!(
        no_model,
        Err(ResolveError::Folder(FolderError::Missing { .. }))
    ));
}

#[test]
fn a_placed_model_is_the_same_one_or_none() {
    let (_data, here) = catalogue();
    let (there_data, there) = catalogue();
    let model = there.by_name("Tiny").unwrap();
    let locate = |path: &Path| here.locate(&model.name, path, model.folder.fingerprint);
    // The other machine's path leads nowhere here: the model of the same name is taken.
    let found = locate(Path::new("/no/such/folder")).unwrap();
    assert_eq!(found, here.by_name("Tiny").unwrap().folder);
    assert_eq!(
        locate(&model.folder.path).unwrap().path,
        there_data.path().join("models/Tiny")
    );
    write_model(&found.path, b"other");
    assert!(matches!(
        locate(Path::new("/no/such/folder")),
        Err(ResolveError::Different { .. })
    ));
}

#[test]
fn the_embedded_model_is_whole() {
    let (_data, catalogue) = catalogue();
    let sprout = catalogue.by_name("sprout").unwrap();
    assert!(sprout.folder.weights_bytes > 10_000_000);
}

fn of_tiny() -> DerivedModel {
    DerivedModel {
        base: "Tiny".into(),
        ..DerivedModel::default()
    }
}

#[test]
fn a_derived_model_stands_for_the_one_that_it_runs() {
    let (data, catalogue) = catalogue();
    catalogue.derive("mario", &of_tiny()).unwrap();
    assert_eq!(catalogue.by_name("MARIO").unwrap().name.0, "Tiny");
    assert_eq!(catalogue.derived("mario").unwrap().model, of_tiny());
    assert_eq!(catalogue.derived("Tiny"), None);
    let taken = catalogue.derive("TINY", &of_tiny()).unwrap_err();
    assert!(matches!(taken, DerivedError::Taken { .. }), "{taken}");
    // A folder that came later has the name from then on.
    write_model(&data.path().join("models/mario"), b"real");
    assert_eq!(catalogue.by_name("mario").unwrap().name.0, "mario");
    assert_eq!(catalogue.derived("mario"), None);
    assert_eq!(catalogue.list_derived(), []);
}

#[test]
fn only_what_is_its_own_is_removed() {
    let (data, catalogue) = catalogue();
    let refused = |name: &str| {
        let failure = Failure::from(catalogue.remove(name).unwrap_err());
        format!("{}: {failure}", failure.code.name())
    };
    expect!["invalid_request: sprout comes with this program and cannot be deleted"]
        .assert_eq(&refused("Sprout"));
    expect![[r#"model_not_found: there is no model "none" here"#]].assert_eq(&refused("none"));
    catalogue.derive("mario", &of_tiny()).unwrap();
    expect!["invalid_request: Tiny is what mario runs (hint: delete mario first)"]
        .assert_eq(&refused("tiny"));
    catalogue.remove("mario").unwrap();
    catalogue.remove("tiny").unwrap();
    catalogue.remove("org/Small-1B").unwrap();
    assert_eq!(names(&catalogue), ["sprout"]);
    let left = std::fs::read_dir(data.path().join("models")).unwrap();
    assert_eq!(left.count(), 1);
    let disk = tempfile::tempdir().unwrap();
    let theirs = disk.path().join("theirs");
    write_model(&theirs, b"theirs");
    std::os::unix::fs::symlink(&theirs, data.path().join("models/linked")).unwrap();
    catalogue.remove("linked").unwrap();
    let read_only = place(disk.path(), PlaceKind::ReadOnly);
    catalogue.places().set(vec![read_only]);
    let failure = catalogue.remove("theirs").unwrap_err().to_string();
    assert!(
        failure.contains("take the folder out of the settings"),
        "{failure}"
    );
    assert!(theirs.join("config.json").is_file());
}
