use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

const COMMIT: &str = "0123456789012345678901234567890123456789";

/// A listing of files of one byte each.
fn listing(names: &[&str]) -> Value {
    let file = |name: &&str| json!({"rfilename": name, "size": 1, "blobId": COMMIT});
    json!({"sha": COMMIT, "siblings": names.iter().map(file).collect::<Vec<_>>()})
}

fn with_model(more: &[&str]) -> Value {
    listing(
        &[
            &["config.json", "tokenizer.json", "model.safetensors"],
            more,
        ]
        .concat(),
    )
}

/// The names that are fetched, or why none are.
fn check(answer: &Value, expected: &Expect) {
    let said = match Listing::read(answer.to_string().as_bytes()) {
        Ok(listing) => {
            let names: Vec<_> = listing.files.into_iter().map(|file| file.name).collect();
            names.join(" ")
        }
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&said);
}

#[test]
fn only_what_a_model_needs_is_fetched() {
    check(
        &with_model(&[
            "README.md",
            "modeling.py",
            "pytorch_model.bin",
            "consolidated.safetensors",
            "original/model.safetensors",
            "model.safetensors.index.json",
            "chat_template.jinja",
            "model.pt",
        ]),
        &expect![
            "chat_template.jinja config.json model.safetensors model.safetensors.index.json tokenizer.json"
        ],
    );
    check(
        &listing(&[
            "config.json",
            "tokenizer.json",
            "weights.00.safetensors",
            "weights.01.safetensors",
        ]),
        &expect!["config.json tokenizer.json weights.00.safetensors weights.01.safetensors"],
    );
}

#[test]
fn what_is_no_model_is_said_before_anything_is_fetched() {
    check(
        &listing(&["config.json", "tokenizer.json", "pytorch_model.bin"]),
        &expect![
            "this is no model that can run here: its weights are Python pickles, which can run code and are never fetched (hint: look for a repository with *.safetensors, config.json and tokenizer.json, such as those of mlx-community)"
        ],
    );
    check(
        &listing(&["tokenizer.json", "model.safetensors"]),
        &expect![
            "this is no model that can run here: it has no config.json (hint: look for a repository with *.safetensors, config.json and tokenizer.json, such as those of mlx-community)"
        ],
    );
}

#[test]
fn hostile_names_are_refused_with_reasons() {
    check(
        &with_model(&["../../evil.safetensors"]),
        &expect![[
            r#"the repository is refused for "../../evil.safetensors": its path leads out of the repository (hint: do not use this repository; it is not made as a model's is)"#
        ]],
    );
    check(
        &with_model(&["/etc/cron.d/evil"]),
        &expect![[
            r#"the repository is refused for "/etc/cron.d/evil": its path leads out of the repository (hint: do not use this repository; it is not made as a model's is)"#
        ]],
    );
    check(
        &with_model(&["model\u{202e}x.safetensors"]),
        &expect![[
            r#"the repository is refused for "model\u{202e}x.safetensors": it has characters other than letters, digits, dot, dash and underscore (hint: do not use this repository; it is not made as a model's is)"#
        ]],
    );
    check(
        &with_model(&[
            "model.SAFETENSORS",
            "modeL.safetensors",
            "model-A.safetensors",
            "model-a.safetensors",
        ]),
        &expect![[
            r#"the repository is refused for "model-a.safetensors": it differs from model-A.safetensors by its capitals alone (hint: do not use this repository; it is not made as a model's is)"#
        ]],
    );
}

#[test]
fn absurd_sizes_and_missing_hashes_are_refused() {
    let mut answer = with_model(&[]);
    answer["siblings"][0]["size"] = json!(1_u64 << 30);
    check(
        &answer,
        &expect![[
            r#"the repository is refused for "config.json": it has 1073741824 bytes, more than 67108864 (hint: do not use this repository; it is not made as a model's is)"#
        ]],
    );
    let mut answer = with_model(&[]);
    answer["siblings"][2]["size"] = json!(u64::MAX);
    check(
        &answer,
        &expect![[
            r#"the repository is refused for "its list": the sizes are absurd (hint: do not use this repository; it is not made as a model's is)"#
        ]],
    );
    let mut answer = with_model(&[]);
    answer["siblings"][2]["blobId"] = Value::Null;
    check(
        &answer,
        &expect![
            "the hub answered what cannot be used: it says no size or no hash of model.safetensors (hint: check HF_ENDPOINT; it must speak the API of huggingface.co)"
        ],
    );
}
