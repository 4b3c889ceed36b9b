use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

/// A safetensors file with one tensor of these bytes.
pub(crate) fn safetensors(data: &[u8]) -> Vec<u8> {
    let header = format!(
        r#"{{"__metadata__":{{"format":"pt"}},"w":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#,
        data.len()
    );
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// A whole model, as far as this crate looks.
pub(crate) fn write_model(folder: &Path, data: &[u8]) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("config.json"), r#"{"model_type":"llama"}"#).unwrap();
    std::fs::write(folder.join("tokenizer.json"), "{}").unwrap();
    std::fs::write(folder.join("model.safetensors"), safetensors(data)).unwrap();
}

/// The error for a model after `spoil`, its paths relative to the folder.
fn check(spoil: impl Fn(&Path), expected: &Expect) {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), b"weights");
    spoil(folder.path());
    let error = ModelFolder::check(folder.path()).unwrap_err().to_string();
    expected.assert_eq(&error.replace(&folder.path().display().to_string(), "MODEL"));
}

#[test]
fn a_whole_folder_is_found_whole() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), b"weights");
    let model = ModelFolder::check(folder.path()).unwrap();
    assert_eq!(model.weights_bytes, safetensors(b"weights").len() as u64);
    assert_eq!(model, ModelFolder::check(folder.path()).unwrap());
}

#[test]
fn missing_files() {
    let remove =
        |file: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(file)).unwrap();
    check(
        remove("config.json"),
        &expect![
            "MODEL has no config.json (hint: a model's folder holds config.json, tokenizer.json and *.safetensors)"
        ],
    );
    check(
        remove("tokenizer.json"),
        &expect![
            "MODEL has no tokenizer.json (hint: a model's folder holds config.json, tokenizer.json and *.safetensors)"
        ],
    );
    check(
        remove("model.safetensors"),
        &expect![
            "MODEL has no *.safetensors (hint: a model's folder holds config.json, tokenizer.json and *.safetensors)"
        ],
    );
}

#[test]
fn damaged_weights() {
    let weights = |bytes: Vec<u8>| {
        move |folder: &Path| std::fs::write(folder.join("model.safetensors"), &bytes).unwrap()
    };
    let cut = safetensors(b"weights");
    check(
        weights(cut[..cut.len() - 1].to_vec()),
        &expect![
            "MODEL/model.safetensors is damaged: its tensors take 7 bytes and 6 are there (hint: fetch the file again)"
        ],
    );
    check(
        weights(u64::MAX.to_le_bytes().to_vec()),
        &expect![
            "MODEL/model.safetensors is damaged: its header claims 18446744073709551615 bytes and the file has 8 (hint: fetch the file again)"
        ],
    );
    check(
        weights(b"short".to_vec()),
        &expect![
            "MODEL/model.safetensors is damaged: it is too short for a header (hint: fetch the file again)"
        ],
    );
}

#[test]
fn an_index_stays_in_its_folder() {
    let index = |name: &'static str| {
        move |folder: &Path| {
            let json = serde_json::json!({"weight_map": {"w": name}}).to_string();
            std::fs::write(folder.join("model.safetensors.index.json"), json).unwrap();
        }
    };
    check(
        index("../other/model.safetensors"),
        &expect![[
            r#"MODEL/model.safetensors.index.json is damaged: it points outside the folder: "../other/model.safetensors" (hint: fetch the file again)"#
        ]],
    );
    check(
        index("/etc/model.safetensors"),
        &expect![[
            r#"MODEL/model.safetensors.index.json is damaged: it points outside the folder: "/etc/model.safetensors" (hint: fetch the file again)"#
        ]],
    );
    check(
        index("pickled.bin"),
        &expect![[
            r#"MODEL/model.safetensors.index.json is damaged: it points outside the folder: "pickled.bin" (hint: fetch the file again)"#
        ]],
    );
    check(
        index("model-00001-of-00002.safetensors"),
        &expect![
            "MODEL/model-00001-of-00002.safetensors is damaged: it is missing (hint: fetch the file again)"
        ],
    );
}

#[test]
fn any_change_changes_the_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let mut data = vec![7; 100_000];
    write_model(folder.path(), &data);
    let print = || ModelFolder::check(folder.path()).unwrap().fingerprint;
    let original = print();
    // The same shapes with other numbers: a fine-tuned model.
    data.fill(8);
    write_model(folder.path(), &data);
    let tuned = print();
    std::fs::write(
        folder.path().join("config.json"),
        r#"{"model_type": "llama"}"#,
    )
    .unwrap();
    let configured = print();
    assert!(original != tuned && tuned != configured && configured != original);
}

proptest! {
    #[test]
    fn any_bytes_as_weights_are_an_error(bytes: Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        write_model(folder.path(), b"weights");
        std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        prop_assert!(ModelFolder::check(folder.path()).is_err());
    }

    #[test]
    fn any_header_is_taken_or_refused(header in "\\{\"w\":\\{\"data_offsets\":\\[[0-9]{1,21},[0-9]{1,21}\\]\\}\\}") {
        let folder = tempfile::tempdir().unwrap();
        write_model(folder.path(), b"weights");
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
        let _ = ModelFolder::check(folder.path());
    }
}
