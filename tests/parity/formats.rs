//! Weights that are held otherwise than they lie in the files: quantized while they load, as `mlx_lm.convert -q` would have
//! written them, and floats of 8 bits with scales.

use anyhow::Result;
use serde_json::{Value, json};
use tests::nodes::start_cluster;

use super::families::{check_all, gemma4, latent, merge, mistral4};
use super::recurrent::{nemotron_h, qwen3_5, qwen3_next};
use super::wrapped::wrapped;
use super::{ALL_WAYS, TOLERANCE_ROUNDED, check};

/// All that is cut has two groups of 64.
fn sizes() -> Value {
    json!({"hidden_size": 128, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 32,
           "moe_intermediate_size": 128, "on_load": 4})
}

fn check_on_load(settings: impl IntoIterator<Item = Value>, ways: &[(&str, usize)]) -> Result<()> {
    let cluster = start_cluster(2)?;
    for more in settings {
        let mut settings = sizes();
        merge(&mut settings, &more);
        check(&cluster, &settings, ways, TOLERANCE_ROUNDED)?;
    }
    Ok(())
}

const BY_TWO: [(&str, usize); 3] = [("auto", 1), ("pipeline", 2), ("tensor", 2)];

#[test]
fn dense_models_quantized_on_load_equal_converted_ones() -> Result<()> {
    let llama = |bits: u8| json!({"model_type": "llama", "on_load": bits, "tie_word_embeddings": bits == 8});
    let granite = json!({"model_type": "granite", "logits_scaling": 3.0, "attention_multiplier": 0.2,
                         "embedding_multiplier": 6.0, "residual_multiplier": 0.4, "attention_bias": true, "mlp_bias": true});
    let small = gemma4(&json!({
        "attention_k_eq_v": false, "sliding_window_pattern": 2, "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 512, "num_kv_shared_layers": 3, "global_head_dim": 64,
        "num_key_value_heads": 4, "num_global_key_value_heads": 4}));
    let settings = [2, 3, 4, 5, 6, 8].map(llama);
    let others = [
        json!({"model_type": "qwen3", "num_key_value_heads": 2}),
        json!({"model_type": "phi3"}),
        granite,
        small,
    ];
    check_on_load(settings.into_iter().chain(others), &BY_TWO)
}

#[test]
fn experts_quantized_on_load_equal_converted_ones() -> Result<()> {
    let qwen = |original: bool| {
        json!({"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 3, "decoder_sparse_step": 1,
               "mlp_only_layers": [2], "norm_topk_prob": true, "original": original})
    };
    let glm = json!({"model_type": "glm4_moe", "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2,
                     "first_k_dense_replace": 1, "routed_scaling_factor": 1.5, "n_group": 1, "topk_group": 1,
                     "norm_topk_prob": true, "use_qk_norm": true, "attention_bias": true, "rope_scaling": null,
                     "partial_rotary_factor": 0.5});
    let gpt = json!({"model_type": "gpt_oss", "num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": 16,
                     "rope_scaling": null, "layer_types": null});
    let minimax = json!({"model_type": "minimax", "num_local_experts": 8, "num_experts_per_tok": 2, "rotary_dim": 8,
                         "shared_intermediate_size": 0, "use_qk_norm": true});
    let gemma = gemma4(&json!({
        "enable_moe_block": true, "num_experts": 8, "top_k_experts": 2, "attention_k_eq_v": false,
        "num_key_value_heads": 4, "num_global_key_value_heads": 4}));
    let llama = |original: bool| {
        let text = json!({
            "model_type": "llama4_text", "intermediate_size_mlp": 128, "attention_bias": false, "use_qk_norm": true,
            "attention_chunk_size": 16, "interleave_moe_layer_step": 2, "num_local_experts": 8, "num_experts_per_tok": 1,
            "floor_scale": 12, "attn_scale": 0.3, "rope_scaling": null, "original": original});
        wrapped("llama4", &text, &json!({}))
    };
    let settings = [
        qwen(false),
        qwen(true),
        glm,
        gpt,
        minimax,
        gemma,
        llama(false),
        llama(true),
    ];
    check_on_load(settings, &BY_TWO)
}

#[test]
fn recurrent_models_quantized_on_load_equal_converted_ones() -> Result<()> {
    let heads = json!({
        "linear_num_value_heads": 8, "linear_num_key_heads": 4, "shared_expert_intermediate_size": 128, "original": true});
    let experts = json!({
        "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 3, "moe_intermediate_size": 128,
        "moe_shared_expert_intermediate_size": 128, "n_group": 1, "topk_group": 1, "norm_topk_prob": true,
        "routed_scaling_factor": 2.5, "mamba_num_heads": 16, "n_groups": 2, "moe_latent_size": 64});
    let settings = [
        qwen3_next(&heads),
        qwen3_5("qwen3_5_moe", &heads),
        nemotron_h("ME-*", &experts),
    ];
    let settings = settings.map(|mut settings| {
        merge(&mut settings, &json!({"moe_intermediate_size": 128}));
        settings
    });
    check_on_load(settings, &BY_TWO)
}

/// Windows stay as they are, in mlx-lm as here. An element that lies between two levels may come to either, which changes a
/// log-probability by up to 0.1; so the weights are such that this is not magnified from layer to layer, and the seed is one with
/// which it happens to none of four bits.
#[test]
fn quantized_caches_equal_mlx_lm() -> Result<()> {
    let cluster = start_cluster(2)?;
    let ways = [("auto", 1), ("pipeline", 2), ("tensor", 2)];
    for kv_bits in [8, 4] {
        for settings in [
            json!({"model_type": "llama", "head_dim": 64, "num_attention_heads": 4, "num_key_value_heads": 2}),
            json!({"model_type": "gemma3_text", "head_dim": 32, "num_attention_heads": 4, "num_key_value_heads": 2,
                   "query_pre_attn_scalar": 24, "sliding_window": 16, "sliding_window_pattern": 3, "rope_theta": 1e6}),
        ] {
            let mut settings = settings;
            merge(
                &mut settings,
                &json!({"kv_bits": kv_bits, "loudness": 1.0, "seed": 3}),
            );
            check(&cluster, &settings, &ways, TOLERANCE_ROUNDED)?;
        }
    }
    Ok(())
}

/// What keys and values of a latent are made of is quantized when it has been taken apart.
#[test]
fn latents_quantized_on_load_equal_converted_ones() -> Result<()> {
    let wide = json!({"kv_lora_rank": 64, "q_lora_rank": 64, "qk_nope_head_dim": 64, "v_head_dim": 32,
                      "moe_intermediate_size": 128, "original": true});
    let narrow = json!({"moe_intermediate_size": 128, "v_head_dim": 32, "original": true});
    let mut mistral = mistral4(&wide);
    merge(&mut mistral, &json!({"original": false}));
    let settings = [
        latent("deepseek_v3", &wide),
        latent("deepseek_v3", &narrow),
        latent("glm4_moe_lite", &wide),
        mistral,
    ];
    check_on_load(settings, &BY_TWO)
}

#[test]
fn floats_of_8_bits_equal_mlx_lm() -> Result<()> {
    // Neither 192 rows nor 96 columns are whole blocks, nor is any rank's part. What is not of 8 bits has 32, which MLX's
    // processor needs to multiply by experts.
    let mut settings = latent(
        "deepseek_v3",
        &json!({"fp8": [128, 128], "original": true, "v_head_dim": 32}),
    );
    check_all(std::slice::from_ref(&settings), &ALL_WAYS)?;
    merge(&mut settings, &sizes());
    check_on_load([settings], &BY_TWO)
}
