//! The text parts of models of several senses, as mlx-lm saves them and by the names that Transformers gives them.

use anyhow::Result;
use serde_json::{Value, json};

use super::ALL_WAYS;
use super::families::{BY_THREE, check_all, gemma4, latent, merge, mistral4};

pub(super) fn wrapped(wrapper: &str, text: &Value, more: &Value) -> Value {
    let mut settings = json!({"wrapper": wrapper});
    merge(&mut settings, text);
    merge(&mut settings, more);
    settings
}

#[test]
fn mistral3_equals_mlx_lm() -> Result<()> {
    let ministral = json!({
        "model_type": "ministral3",
        "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 1.0,
                            "original_max_position_embeddings": 16, "llama_4_scaling_beta": 0.3}});
    let settings = [
        wrapped(
            "mistral3",
            &ministral,
            &json!({"tie_word_embeddings": true, "original": true}),
        ),
        wrapped(
            "mistral3",
            &json!({"model_type": "mistral"}),
            &json!({"original": true}),
        ),
        wrapped(
            "mistral3",
            &json!({"model_type": null, "rope_theta": 1e6}),
            &json!({}),
        ),
    ];
    check_all(&settings, &ALL_WAYS)?;
    let experts = mistral4(&json!({"original": true}));
    check_all(
        &[wrapped("mistral3", &experts, &json!({}))],
        &[("auto", 1), ("pipeline", 2)],
    )?;
    let sizes = json!({"hidden_size": 128, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 32,
                       "quantize": 4});
    check_all(&[wrapped("mistral3", &ministral, &sizes)], &BY_THREE)
}

#[test]
fn kimi_k25_equals_mlx_lm() -> Result<()> {
    let text = |more: &Value| wrapped("kimi_k25", &latent("kimi_k2", &json!({})), more);
    let settings = [
        text(&json!({"original": true})),
        text(&json!({"model_type": null})),
    ];
    check_all(&settings, &ALL_WAYS)
}

#[test]
fn gemma3_equals_mlx_lm() -> Result<()> {
    // What its makers' configurations leave out.
    let text = json!({
        "model_type": "gemma3_text", "num_attention_heads": 8, "num_key_value_heads": 4, "sliding_window": 16,
        "query_pre_attn_scalar": 24, "rope_theta": 1e6, "rope_scaling": {"rope_type": "linear", "factor": 8.0}});
    check_all(
        &[wrapped("gemma3", &text, &json!({}))],
        &[("auto", 1), ("pipeline", 2), ("tensor", 2)],
    )
}

#[test]
fn gemma4_equals_mlx_lm() -> Result<()> {
    let experts = json!({"enable_moe_block": true, "num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 48,
                         "original": true});
    check_all(
        &[wrapped("gemma4", &gemma4(&experts), &json!({}))],
        &BY_THREE,
    )
}

#[test]
fn llama4_equals_mlx_lm() -> Result<()> {
    let text = json!({
        "model_type": "llama4_text", "intermediate_size_mlp": 144, "attention_bias": false, "use_qk_norm": true,
        "attention_chunk_size": 16, "interleave_moe_layer_step": 2, "num_local_experts": 8, "num_experts_per_tok": 1,
        "floor_scale": 12, "attn_scale": 0.3, "rope_scaling": {
            "rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0,
            "original_max_position_embeddings": 32}});
    let every = json!({"interleave_moe_layer_step": 1, "attn_temperature_tuning": 0, "num_key_value_heads": 3,
                       "rope_scaling": null, "attention_bias": true, "original": true});
    check_all(&[wrapped("llama4", &text, &json!({}))], &ALL_WAYS)?;
    check_all(&[wrapped("llama4", &text, &every)], &BY_THREE)
}
