use base::{Message, Parameters, Role};

use super::*;

fn mario() -> DerivedModel {
    DerivedModel {
        base: "sprout".into(),
        system: Some("You are Mario.".into()),
        template: None,
        messages: vec![
            Message::new(Role::User, "Hi"),
            Message::new(Role::Assistant, "Ho"),
        ],
        parameters: Parameters {
            temperature: Some(0.25),
            seed: Some(u64::MAX),
            stop: vec!["END".into()],
            ..Parameters::default()
        },
        licence: Some("free".into()),
    }
}

#[test]
fn kept_replaced_and_removed() {
    let data = tempfile::tempdir().unwrap();
    let models = || DerivedModels::new(data.path().join("derived-models"));
    assert_eq!(models().list(), []);
    models().keep("Acme/mario:v2", &mario()).unwrap();
    // As after a restart, and with other capitals.
    let found = models().get("acme/Mario:V2").unwrap();
    assert_eq!(
        (found.name.as_str(), found.model),
        ("Acme/mario:v2", mario())
    );
    assert!(found.changed_unix_seconds > 0);
    let plain = DerivedModel {
        base: "sprout".into(),
        ..DerivedModel::default()
    };
    models().keep("acme/mario:v2", &plain).unwrap();
    models().keep("luigi", &mario()).unwrap();
    let all = models().list();
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["acme/mario:v2", "luigi"]);
    assert_eq!(all[0].model, plain);
    assert!(models().remove("ACME/mario:v2").unwrap());
    assert!(!models().remove("acme/mario:v2").unwrap());
    assert_eq!(models().list().len(), 1);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let models = DerivedModels::new(data.path().join("derived-models"));
    for name in [
        "",
        "/",
        "a/",
        "/a",
        "..",
        "../a",
        "a/../b",
        "a:",
        ":b",
        "a:b:c",
        "a b",
        "é",
        "a\0",
        "a\\b",
        ".a",
        "-a",
        &"a".repeat(300),
    ] {
        let error = models.keep(name, &mario()).unwrap_err();
        assert!(
            matches!(error, DerivedError::Name { .. }),
            "{name:?}: {error}"
        );
    }
    for name in ["a", "a-b_c.d", "acme/a:8b-q4", "_a"] {
        models.keep(name, &mario()).unwrap();
    }
}

#[test]
fn files_of_others_are_passed_over() {
    let data = tempfile::tempdir().unwrap();
    let models = DerivedModels::new(data.path().to_owned());
    models.keep("mario", &mario()).unwrap();
    let path = models.path("mario");
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(models.path("copied"), &whole).unwrap();
    std::fs::write(data.path().join("notes.json"), "[").unwrap();
    std::fs::write(
        models.path("later"),
        whole.replace("\"version\": 1", "\"version\": 2"),
    )
    .unwrap();
    std::fs::create_dir(models.path("folder")).unwrap();
    for name in ["copied", "later", "folder", "none"] {
        assert_eq!(models.get(name), None, "{name}");
    }
    assert_eq!(models.get("mario").unwrap().model, mario());
    let large = DerivedModel {
        system: Some("x".repeat(FILE_BYTES_MAX)),
        ..mario()
    };
    let error = models.keep("mario", &large).unwrap_err();
    assert!(matches!(error, DerivedError::TooLarge { .. }), "{error}");
    assert_eq!(models.get("mario").unwrap().model, mario());
}
