//! No number in a configuration makes a family's file panic, whichever family it is said to be.

use std::fs;

use models::{inspect, supported};
use serde_json::{Map, Value, json};

use crate::checkpoint::Shape;

/// Fields of all families, with values that fit each other.
const SOUND: &str = r#"{
    "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 6, "head_dim": 32, "vocab_size": 96, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 1024, "rope_theta": 1e4, "sliding_window": 16, "sliding_window_pattern": 1,
    "n_routed_experts": 8, "n_shared_experts": 1, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 1,
    "moe_intermediate_size": 48, "num_experts": 8, "num_local_experts": 8, "top_k_experts": 2,
    "first_k_dense_replace": 1, "moe_layer_freq": 1, "decoder_sparse_step": 1, "interleave_moe_layer_step": 1,
    "kv_lora_rank": 32, "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 12,
    "index_n_heads": 4, "index_head_dim": 16, "index_topk": 8, "rotary_dim": 8, "partial_rotary_factor": 0.5,
    "intermediate_size_mlp": 96, "attention_chunk_size": 8, "floor_scale": 8, "attn_scale": 0.1,
    "global_head_dim": 32, "num_global_key_value_heads": 3, "attention_k_eq_v": true, "enable_moe_block": true,
    "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 96, "num_kv_shared_layers": 1,
    "query_pre_attn_scalar": 24, "no_rope_layer_interval": 4, "logits_scaling": 2.0,
    "attention_multiplier": 0.2, "embedding_multiplier": 6.0, "residual_multiplier": 0.4,
    "linear_num_value_heads": 12, "linear_num_key_heads": 6, "linear_key_head_dim": 8, "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4, "full_attention_interval": 2, "shared_expert_intermediate_size": 48,
    "hybrid_override_pattern": "M*E", "layer_norm_epsilon": 1e-5, "mamba_num_heads": 12, "mamba_head_dim": 16,
    "ssm_state_size": 8, "conv_kernel": 4, "n_groups": 6, "use_conv_bias": true, "moe_latent_size": 24,
    "moe_shared_expert_intermediate_size": 48
}"#;

#[test]
fn no_number_of_any_family_panics() {
    let folder = Shape::tiny("llama").write();
    let path = folder.path().join("config.json");
    let mut sound_families = 0;
    for model_type in supported() {
        let mut fields: Map<String, Value> = serde_json::from_str(SOUND).unwrap();
        fields.insert("model_type".into(), json!(model_type));
        let inspected = |fields: &Map<String, Value>| {
            fs::write(&path, Value::from(fields.clone()).to_string()).unwrap();
            inspect(folder.path(), None, None).is_ok()
        };
        sound_families += usize::from(inspected(&fields));
        let numbers: Vec<String> = fields
            .iter()
            .filter(|(_, value)| value.is_number())
            .map(|(name, _)| name.clone())
            .collect();
        for name in numbers {
            for hostile in [-1, 0, 1 << 24] {
                let mut changed = fields.clone();
                changed.insert(name.clone(), json!(hostile));
                inspected(&changed);
            }
        }
    }
    assert_eq!(sound_families, supported().count());
}
