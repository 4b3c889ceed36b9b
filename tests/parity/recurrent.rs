//! Families whose layers keep a state in the place of keys and values, alone and beside attention.

use anyhow::Result;
use serde_json::{Value, json};
use tests::nodes::start_cluster;

use super::families::{PIPELINES, check_all, merge};
use super::{ALL_WAYS, TOLERANCE_BF16_TENSOR, check};

/// With a tensor split by two.
const BY_TWO: [(&str, usize); 4] = [("auto", 1), ("pipeline", 2), ("pipeline", 3), ("tensor", 2)];

pub(super) fn qwen3_next(more: &Value) -> Value {
    let mut settings = json!({
        "model_type": "qwen3_next", "linear_num_value_heads": 12, "linear_num_key_heads": 6, "linear_key_head_dim": 8,
        "linear_value_head_dim": 16, "linear_conv_kernel_dim": 4, "num_experts": 8, "num_experts_per_tok": 3,
        "decoder_sparse_step": 1, "mlp_only_layers": [], "moe_intermediate_size": 48, "norm_topk_prob": true,
        "shared_expert_intermediate_size": 36, "partial_rotary_factor": 0.5, "full_attention_interval": 3});
    merge(&mut settings, more);
    settings
}

#[test]
fn qwen3_next_equals_mlx_lm() -> Result<()> {
    let settings = [
        qwen3_next(&json!({})),
        qwen3_next(&json!({"original": true, "norm_topk_prob": false, "seed": 2})),
    ];
    check_all(&settings, &ALL_WAYS)?;
    let settings = [
        qwen3_next(&json!({
            "linear_num_value_heads": 2, "linear_num_key_heads": 2, "num_key_value_heads": 2, "attention_bias": true,
            "mlp_only_layers": [1, 4], "full_attention_interval": 2, "tie_word_embeddings": true})),
        qwen3_next(&json!({
            "quantize": 4, "hidden_size": 128, "linear_num_value_heads": 8, "linear_num_key_heads": 4,
            "num_attention_heads": 4, "num_key_value_heads": 4, "moe_intermediate_size": 64,
            "shared_expert_intermediate_size": 64})),
    ];
    check_all(&settings, &BY_TWO)?;
    let odd = json!({
        "linear_num_value_heads": 5, "linear_num_key_heads": 5, "linear_conv_kernel_dim": 2, "num_experts": 0});
    check_all(&[qwen3_next(&odd)], &PIPELINES)
}

pub(super) fn qwen3_5(wrapper: &str, more: &Value) -> Value {
    let mut settings = qwen3_next(&json!({
        "wrapper": wrapper, "model_type": format!("{wrapper}_text"), "rope_theta": null,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e5,
                            "partial_rotary_factor": 0.5}}));
    merge(&mut settings, more);
    settings
}

#[test]
fn qwen3_5_equals_mlx_lm() -> Result<()> {
    let dense = json!({"num_experts": 0});
    let mut as_made = json!({"original": true, "tie_word_embeddings": true});
    merge(&mut as_made, &dense);
    let settings = [
        qwen3_5("qwen3_5", &dense),
        qwen3_5("qwen3_5", &as_made),
        qwen3_5(
            "qwen3_5_moe",
            &json!({"intermediate_size": 1000, "norm_topk_prob": true}),
        ),
        qwen3_5("qwen3_5_moe", &json!({"original": true})),
    ];
    check_all(&settings, &ALL_WAYS)?;
    let quantized = json!({
        "quantize": 4, "hidden_size": 128, "linear_num_value_heads": 8, "linear_num_key_heads": 4,
        "num_attention_heads": 4, "num_key_value_heads": 4, "moe_intermediate_size": 64,
        "shared_expert_intermediate_size": 64});
    check_all(&[qwen3_5("qwen3_5_moe", &quantized)], &BY_TWO)?;
    // As mlx-lm has it where there is text alone.
    let mut flat = qwen3_5("qwen3_5", &dense);
    merge(
        &mut flat,
        &json!({"wrapper": null, "model_type": "qwen3_5"}),
    );
    check_all(&[flat], &BY_TWO[..2])
}

pub(super) fn nemotron_h(pattern: &str, more: &Value) -> Value {
    let mut settings = json!({
        "model_type": "nemotron_h", "hybrid_override_pattern": pattern, "num_hidden_layers": pattern.len(),
        "attention_bias": false, "mamba_num_heads": 12, "mamba_head_dim": 8, "mamba_proj_bias": false,
        "ssm_state_size": 16, "conv_kernel": 4, "n_groups": 6, "mlp_bias": false, "layer_norm_epsilon": 1e-5,
        "use_bias": false, "use_conv_bias": true});
    merge(&mut settings, more);
    settings
}

#[test]
fn nemotron_h_equals_mlx_lm() -> Result<()> {
    let experts = json!({
        "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 3, "moe_intermediate_size": 48,
        "moe_shared_expert_intermediate_size": 36, "n_group": 1, "topk_group": 1, "norm_topk_prob": true,
        "routed_scaling_factor": 2.5});
    let mut as_made = experts.clone();
    let more =
        json!({"original": true, "time_step_limit": [0.2, 0.9], "n_group": 4, "topk_group": 2});
    merge(&mut as_made, &more);
    let mut latent = experts.clone();
    merge(&mut latent, &json!({"moe_latent_size": 60}));
    let settings = [
        nemotron_h("M-M*-M", &json!({})),
        nemotron_h("ME*E", &latent),
        nemotron_h("MEM*EM", &experts),
        nemotron_h("ME*M", &as_made),
    ];
    check_all(&settings, &ALL_WAYS)?;
    let settings = [
        nemotron_h(
            "MM-*M-",
            &json!({
            "n_groups": 2, "num_key_value_heads": 2, "attention_bias": true, "mamba_proj_bias": true, "mlp_bias": true}),
        ),
        nemotron_h(
            "M*-M",
            &json!({
            "quantize": 4, "hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 4, "n_groups": 2,
            "mamba_head_dim": 16, "mamba_num_heads": 8}),
        ),
    ];
    check_all(&settings, &BY_TWO)?;
    let odd = json!({"n_groups": 1, "conv_kernel": 2, "use_conv_bias": false});
    check_all(&[nemotron_h("M*-", &odd)], &PIPELINES)
}

/// States are in float32 whatever the model's type, and what goes in and comes out is rounded elsewhere than in mlx-lm.
#[test]
fn recurrent_families_in_bfloat16_are_near_mlx_lm() -> Result<()> {
    let cluster = start_cluster(2)?;
    for settings in [
        qwen3_next(&json!({"dtype": "bfloat16", "num_experts": 0})),
        nemotron_h("M-M*-M", &json!({"dtype": "bfloat16"})),
    ] {
        check(&cluster, &settings, &BY_TWO[..2], TOLERANCE_BF16_TENSOR)?;
    }
    Ok(())
}
