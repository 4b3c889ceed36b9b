//! Models as clients read of them.

use base::{DerivedModel, Fingerprint, Message, ModelShape, Parameters, TensorInfo};
use expect_test::{Expect, expect};
use serde::Serialize;

use super::*;
use crate::ModelOnDisk;

fn info(id: &str) -> ModelInfo {
    ModelInfo {
        id: id.into(),
        created_unix_seconds: 1_700_000_000,
        fingerprint: Some(Fingerprint([0xab; 32])),
        base: (id != "sprout").then(|| "sprout".into()),
        on_disk: Some(ModelOnDisk {
            weights_bytes: 12_345_678,
            family: "llama".into(),
            weights_format: "bfloat16".into(),
            licence: "apache-2.0".into(),
            folder: "/models/sprout".into(),
            shape: ModelShape {
                parameters: Some(3_140_000),
                context_tokens: Some(1024),
                hidden_size: Some(256),
                layers: Some(6),
                heads: Some(8),
                key_value_heads: Some(2),
                feed_forward_size: Some(768),
                vocabulary_size: Some(4096),
            },
        }),
    }
}

fn described(id: &str, derived: Option<DerivedModel>) -> ModelDescription {
    ModelDescription {
        info: info(id),
        derived,
        template: "{{ messages }}".into(),
        thinks: true,
        licence_text: String::new(),
        tensors: vec![TensorInfo {
            name: "w".into(),
            element: "BF16".into(),
            shape: vec![2, 3],
        }],
    }
}

#[track_caller]
fn check(value: &impl Serialize, expected: &Expect) {
    let mut json = serde_json::to_string_pretty(value).unwrap();
    json.push('\n');
    expected.assert_eq(&json);
}

#[test]
fn the_list() {
    let elsewhere = ModelInfo {
        on_disk: None,
        created_unix_seconds: 0,
        base: None,
        ..info("acme/big:8b")
    };
    check(&tags(vec![info("mario"), elsewhere]), &expect![[]]);
}

#[test]
fn a_model_that_was_created() {
    let mario = DerivedModel {
        base: "sprout".into(),
        system: Some("You are Mario.".into()),
        template: None,
        messages: vec![
            Message::new(Role::User, "Hi"),
            Message::new(Role::Assistant, "Ho"),
        ],
        parameters: Parameters {
            temperature: Some(0.5),
            context_tokens: Some(64),
            stop: vec!["<|end|>\n".into(), "END".into()],
            ..Parameters::default()
        },
        licence: Some("free".into()),
    };
    let shown = show(described("mario", Some(mario)), false);
    expect![[]].assert_eq(&shown.modelfile);
    expect![[]].assert_eq(&shown.parameters);
    assert_eq!(
        (shown.license.as_str(), shown.system.as_str()),
        ("free", "You are Mario.")
    );
}

#[test]
fn a_model_with_files() {
    check(&show(described("sprout", None), true), &expect![[]]);
}

#[test]
fn counts_in_short() {
    for (count, said) in [
        (999, "999"),
        (12_345, "12.3K"),
        (134_515_008, "134.5M"),
        (8_030_261_248, "8.0B"),
        (671_000_000_000, "671.0B"),
    ] {
        assert_eq!(in_short(count), said);
    }
}
