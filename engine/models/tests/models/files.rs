//! Files that are damaged, hostile or of another kind are refused with a word on which and why.

use std::fs;
use std::path::Path;

use base::{ModelCard, Sharding, TensorSlice};
use models::{Group, LoadError};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::checkpoint::Shape;
use crate::ranks::spec;
use crate::recurrent;

fn edit_config(folder: &TempDir, change: impl FnOnce(&mut Value)) {
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
}

fn inspect(folder: &Path) -> Result<ModelCard, LoadError> {
    models::inspect(folder, None, None)
}

#[test]
fn models_that_are_known_can_run() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/known_models.toml");
    let text = fs::read_to_string(file).unwrap();
    let families = text
        .lines()
        .filter_map(|line| line.strip_prefix("family = "));
    let families: Vec<&str> = families.map(|family| family.trim_matches('"')).collect();
    assert!(families.len() > 20);
    for family in families {
        let mut supported = models::supported();
        assert!(supported.any(|known| known == family), "{family}");
    }
}

fn load_whole(folder: &Path) -> Result<(), LoadError> {
    let spec = spec(0, 1, 3, Sharding::Pipeline);
    models::load(folder, &spec, Group::single(), |_, _| ()).map(drop)
}

#[test]
fn the_card_counts_what_is_there() {
    let shape = Shape {
        kv_heads: 2,
        ..Shape::tiny("qwen3")
    };
    let card = inspect(shape.write().path()).unwrap();
    assert_eq!(
        (card.layer_count(), card.hidden_size, card.vocabulary_size),
        (3, 64, 96)
    );
    assert_eq!(card.tensor_degrees, [1, 2]);
    assert_eq!(card.layers[0].cache_bytes_per_token, 2 * 2 * 32 * 4);
    assert_eq!(card.embedding_bytes, 96 * 64 * 4);
    assert_eq!(card.head_bytes, (96 * 64 + 64) * 4);
    let elements = 2 * 64 + 2 * 32 + 2 * 64 * 192 + 2 * 64 * 64 + 3 * 64 * 192;
    assert_eq!(card.layers[2].weights_bytes, elements * 4);
}

#[test]
fn only_layers_that_remember_positions_count_them() {
    // In each the last inputs of the convolution, and a matrix for each head.
    let state = 3 * (2 * 6 * 8 + 12 * 16) * 4 + 12 * 16 * 8 * 4;
    for (model_type, last) in recurrent::ALL.into_iter().zip([0, state]) {
        let card = inspect(Shape::tiny(model_type).write().path()).unwrap();
        let cache = card.layers.iter().map(|layer| layer.cache_bytes_per_token);
        assert_eq!(cache.collect::<Vec<_>>(), [0, 2 * 6 * 32 * 4, 0]);
        let states = card.layers.iter().map(|layer| layer.state_bytes);
        assert_eq!(states.collect::<Vec<_>>(), [state, 0, last]);
        assert_eq!(card.tensor_degrees, [1, 2, 3, 6]);
    }
}

#[test]
fn every_rank_holds_all_of_a_latent() {
    let card = inspect(Shape::tiny("deepseek_v32").write().path()).unwrap();
    let bytes = (32 + 8 + 16) * 4;
    for layer in &card.layers {
        let cache = (
            layer.cache_bytes_per_token,
            layer.replicated_cache_bytes_per_token,
        );
        assert_eq!(cache, (bytes, bytes));
    }
}

#[test]
fn sizes_of_states_that_do_not_fit_are_refused() {
    let delta_net = [
        ("linear_num_key_heads", json!(0)),
        ("linear_num_key_heads", json!(4)),
        ("linear_num_value_heads", json!(-12)),
        ("linear_key_head_dim", json!(1 << 24)),
        ("linear_value_head_dim", json!(i32::MAX)),
        ("linear_conv_kernel_dim", json!(1)),
        ("linear_conv_kernel_dim", json!(i32::MIN)),
        ("linear_conv_kernel_dim", json!(3)),
        ("full_attention_interval", json!(3)),
        ("num_experts", json!(8)),
        ("num_experts", json!(-1)),
        ("partial_rotary_factor", json!("all")),
    ];
    let mamba = [
        ("mamba_num_heads", json!(0)),
        ("mamba_num_heads", json!(1 << 20)),
        ("mamba_head_dim", json!(i32::MIN)),
        ("n_groups", json!(5)),
        ("n_groups", json!(-6)),
        ("ssm_state_size", json!(i32::MAX)),
        ("conv_kernel", json!(0)),
        ("use_conv_bias", json!(null)),
        ("time_step_limit", json!([0.5])),
        ("hybrid_override_pattern", json!("M*")),
        ("hybrid_override_pattern", json!("M*?")),
        ("hybrid_override_pattern", json!("M*E")),
        ("hybrid_override_pattern", json!(["M", "-", "*"])),
        ("hybrid_override_pattern", json!(null)),
    ];
    let delta_net = delta_net.map(|case| ("qwen3_5_text", case));
    let mamba = mamba.map(|case| ("nemotron_h", case));
    for (model_type, (field, value)) in delta_net.into_iter().chain(mamba) {
        let folder = Shape::tiny(model_type).write();
        edit_config(&folder, |config| config[field] = value.clone());
        let _ = inspect(folder.path());
        assert!(load_whole(folder.path()).is_err(), "{field}: {value}");
    }
}

#[test]
fn progress_ends_at_the_shards_own_bytes() {
    let folder = Shape::tiny("llama").write();
    let mut last = (0, 0);
    let spec = spec(0, 1, 3, Sharding::Pipeline);
    models::load(folder.path(), &spec, Group::single(), |done, total| {
        assert!(last.0 <= done && done <= total);
        last = (done, total);
    })
    .unwrap();
    assert_eq!(last.0, last.1);
    assert_eq!(last.1, inspect(folder.path()).unwrap().weights_bytes());
}

#[test]
fn another_model_type_is_named_beside_the_supported() {
    let folder = Shape::tiny("llama").write();
    edit_config(&folder, |config| config["model_type"] = json!("mystery"));
    let refused = inspect(folder.path()).unwrap_err().to_string();
    for word in ["mystery", "llama", "qwen3"] {
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn a_truncated_file_is_named_with_a_tensor() {
    let folder = Shape::tiny("llama").write();
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for kept in [0, 7, 8, 100, whole.len() - 1] {
        fs::write(&path, &whole[..kept]).unwrap();
        let refused = load_whole(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("model.safetensors"), "{refused}");
        assert!(
            kept + 1 < whole.len() || refused.contains("tensor "),
            "{refused}"
        );
    }
    fs::write(&path, [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat()).unwrap();
    assert!(matches!(
        inspect(folder.path()),
        Err(LoadError::Damaged { .. })
    ));
}

#[test]
fn only_the_files_of_the_index_count() {
    let folder = Shape::tiny("llama").write();
    let path = |name| folder.path().join(name);
    fs::copy(path("model.safetensors"), path("consolidated.safetensors")).unwrap();
    let refused = load_whole(folder.path()).unwrap_err().to_string();
    for word in ["tensor ", "model.safetensors", "consolidated.safetensors"] {
        assert!(refused.contains(word), "{refused}");
    }
    let index = |file| json!({"weight_map": {"model.norm.weight": file}}).to_string();
    let write = |file| fs::write(path("model.safetensors.index.json"), index(file)).unwrap();
    write("model.safetensors");
    load_whole(folder.path()).unwrap();
    for outside in ["../model.safetensors", "/model.safetensors"] {
        write(outside);
        let refused = load_whole(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("outside the folder"), "{refused}");
    }
}

#[test]
fn configurations_that_do_not_fit_the_weights_are_refused() {
    let cases: [(&str, Value); 12] = [
        ("hidden_size", json!(32)),
        ("num_hidden_layers", json!(4)),
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(-6)),
        ("num_key_value_heads", json!(4)),
        ("head_dim", json!(1 << 24)),
        ("intermediate_size", json!(1u64 << 40)),
        ("vocab_size", json!(97)),
        ("rms_norm_eps", json!("small")),
        (
            "rope_scaling",
            json!({"rope_type": "dynamic", "factor": 4.0}),
        ),
        ("quantization", json!({"group_size": 0, "bits": 4})),
        ("attention_bias", json!(true)),
    ];
    for (field, value) in cases {
        let folder = Shape::tiny("llama").write();
        edit_config(&folder, |config| config[field] = value.clone());
        // `inspect` reads less; neither may panic.
        let _ = inspect(folder.path());
        assert!(load_whole(folder.path()).is_err(), "{field}: {value}");
    }
}

#[test]
fn products_of_huge_sizes_are_refused_not_computed() {
    let folder = Shape::tiny("llama").write();
    edit_config(&folder, |config| {
        for field in [
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
            "hidden_size",
        ] {
            config[field] = json!(1 << 24);
        }
    });
    assert!(inspect(folder.path()).is_err());
}

#[test]
fn shards_that_cannot_be_are_refused() {
    let folder = Shape::tiny("llama").write();
    let mut beyond = spec(0, 1, 4, Sharding::Pipeline);
    assert!(matches!(
        models::load(folder.path(), &beyond, Group::single(), |_, _| ()),
        Err(LoadError::Shard(_))
    ));
    beyond = spec(0, 1, 3, Sharding::Tensor);
    beyond.tensor = TensorSlice { index: 0, of: 4 };
    assert!(matches!(
        models::load(folder.path(), &beyond, Group::single(), |_, _| ()),
        Err(LoadError::Shard(_))
    ));
    let other_world = spec(1, 2, 3, Sharding::Pipeline);
    assert!(matches!(
        models::load(folder.path(), &other_world, Group::single(), |_, _| ()),
        Err(LoadError::Shard(_))
    ));
}
