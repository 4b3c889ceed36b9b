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
            is_own: true,
            is_part: false,
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
        infills: false,
        embeds: false,
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
    check(
        &tags(vec![info("mario"), elsewhere]),
        &expect![[r#"
        {
          "models": [
            {
              "name": "mario:latest",
              "model": "mario:latest",
              "modified_at": "2023-11-14T22:13:20Z",
              "size": 12345678,
              "digest": "abababababababababababababababababababababababababababababababab",
              "details": {
                "parent_model": "sprout",
                "format": "safetensors",
                "family": "llama",
                "families": [
                  "llama"
                ],
                "parameter_size": "3.1M",
                "quantization_level": "BF16",
                "context_length": 1024,
                "embedding_length": 256
              }
            },
            {
              "name": "acme/big:8b",
              "model": "acme/big:8b",
              "modified_at": "1970-01-01T00:00:00Z",
              "size": 0,
              "digest": "abababababababababababababababababababababababababababababababab",
              "details": {
                "parent_model": "",
                "format": "safetensors",
                "family": "unknown",
                "families": [
                  "unknown"
                ],
                "parameter_size": "unknown",
                "quantization_level": "unknown"
              }
            }
          ]
        }
    "#]],
    );
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
    let shown = show(&described("mario", Some(mario)), false);
    expect![[r#"
        # The Modelfile of mario:latest. To make a model like it, change what should differ.

        FROM sprout:latest
        TEMPLATE """{{ messages }}"""
        SYSTEM """You are Mario."""
        MESSAGE user """Hi"""
        MESSAGE assistant """Ho"""
        LICENSE """free"""
        PARAMETER num_ctx 64
        PARAMETER temperature 0.5
        PARAMETER stop "<|end|>\n"
        PARAMETER stop "END"
    "#]]
    .assert_eq(&shown.modelfile);
    expect![[r#"
        num_ctx                        64
        temperature                    0.5
        stop                           "<|end|>\n"
        stop                           "END""#]]
    .assert_eq(&shown.parameters);
    assert_eq!(
        (shown.license.as_str(), shown.system.as_str()),
        ("free", "You are Mario.")
    );
}

#[test]
fn a_model_with_files() {
    check(
        &show(&described("sprout", None), true),
        &expect![[r##"
        {
          "license": "apache-2.0",
          "modelfile": "# The Modelfile of sprout:latest. To make a model like it, change what should differ.\n\nFROM sprout:latest\nTEMPLATE \"\"\"{{ messages }}\"\"\"\n",
          "template": "{{ messages }}",
          "details": {
            "parent_model": "",
            "format": "safetensors",
            "family": "llama",
            "families": [
              "llama"
            ],
            "parameter_size": "3.1M",
            "quantization_level": "BF16",
            "context_length": 1024,
            "embedding_length": 256
          },
          "model_info": {
            "general.architecture": "llama",
            "general.basename": "sprout",
            "general.parameter_count": 3140000,
            "llama.attention.head_count": 8,
            "llama.attention.head_count_kv": 2,
            "llama.block_count": 6,
            "llama.context_length": 1024,
            "llama.embedding_length": 256,
            "llama.feed_forward_length": 768,
            "llama.vocab_size": 4096
          },
          "tensors": [
            {
              "name": "w",
              "type": "BF16",
              "shape": [
                2,
                3
              ]
            }
          ],
          "capabilities": [
            "completion",
            "tools",
            "thinking"
          ],
          "modified_at": "2023-11-14T22:13:20Z"
        }
    "##]],
    );
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
