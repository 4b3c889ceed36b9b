//! Each family, with what is peculiar to it: windows shorter than the prompt, groups of experts, every kind of rope.

use anyhow::Result;
use serde_json::{Value, json};
use tests::nodes::start_cluster;

use super::{ALL_WAYS, TOLERANCE, TOLERANCE_ROUNDED, check};

/// Where tensor ranks cannot share the work.
pub(super) const PIPELINES: [(&str, usize); 3] = [("auto", 1), ("pipeline", 2), ("pipeline", 3)];
/// Where three heads are shared by several.
pub(super) const BY_THREE: [(&str, usize); 3] = [("auto", 1), ("pipeline", 2), ("tensor", 3)];

pub(super) fn check_all(settings: &[Value], ways: &[(&str, usize)]) -> Result<()> {
    let cluster = start_cluster(3)?;
    for settings in settings {
        let tolerance = match settings["quantize"] {
            Value::Null => TOLERANCE,
            _ => TOLERANCE_ROUNDED,
        };
        check(&cluster, settings, ways, tolerance)?;
    }
    Ok(())
}

/// The same, and in half precision by as many ranks as round alike.
fn check_both(settings: &[Value], ways: &[(&str, usize)]) -> Result<()> {
    check_all(settings, ways)?;
    let cluster = start_cluster(2)?;
    for settings in settings {
        let mut half = settings.clone();
        merge(&mut half, &json!({"dtype": "bfloat16"}));
        let ways = [("auto", 1), ("pipeline", 2)];
        check(&cluster, &half, &ways, TOLERANCE_ROUNDED)?;
    }
    Ok(())
}

pub(super) fn yarn() -> Value {
    json!({"rope_type": "yarn", "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
           "beta_fast": 32, "beta_slow": 1})
}

#[test]
fn every_quantization_equals_mlx_lm() -> Result<()> {
    let sizes = json!({"hidden_size": 128, "num_attention_heads": 8, "num_key_value_heads": 4});
    let settings = [
        ("affine", 2),
        ("affine", 3),
        ("affine", 5),
        ("affine", 6),
        ("mxfp4", 4),
        ("mxfp8", 8),
        ("nvfp4", 4),
    ];
    let settings = settings.map(|(mode, bits)| {
        let mut settings = json!({"quantize": bits, "mode": mode});
        merge(&mut settings, &sizes);
        settings
    });
    check_all(&settings, &[("auto", 1), ("tensor", 2)])
}

#[test]
fn quantized_experts_equal_mlx_lm() -> Result<()> {
    let sizes = json!({"hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 4,
                       "moe_intermediate_size": 64, "intermediate_size": 128, "quantize": 4});
    let mut qwen = json!({"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 3,
                          "decoder_sparse_step": 1, "mlp_only_layers": [2], "norm_topk_prob": false});
    merge(&mut qwen, &sizes);
    let mut gpt = json!({"model_type": "gpt_oss", "num_local_experts": 8, "num_experts_per_tok": 2,
                         "sliding_window": 16, "mode": "mxfp4"});
    merge(&mut gpt, &sizes);
    let mut deepseek = latent(
        "deepseek_v3",
        &json!({"q_lora_rank": 32, "qk_nope_head_dim": 32, "v_head_dim": 32, "kv_lora_rank": 64}),
    );
    merge(&mut deepseek, &sizes);
    check_all(
        &[qwen, gpt, deepseek],
        &[("auto", 1), ("pipeline", 2), ("tensor", 2)],
    )
}

#[test]
fn as_its_makers_lay_it_out_it_is_the_same() -> Result<()> {
    let settings = [
        latent("deepseek_v3", &json!({"original": true})),
        json!({"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 48,
               "decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": true, "original": true}),
    ];
    check_all(&settings, &[("auto", 1), ("tensor", 2)])
}

#[test]
fn qwen2_equals_mlx_lm() -> Result<()> {
    check_both(&[json!({"model_type": "qwen2", "seed": 3})], &ALL_WAYS)?;
    let grouped = json!({"model_type": "qwen2", "num_key_value_heads": 3, "tie_word_embeddings": true,
                         "rope_scaling": yarn()});
    check_both(&[grouped], &BY_THREE)
}

#[test]
fn qwen3_moe_equals_mlx_lm() -> Result<()> {
    let settings = |layers: Value| {
        json!({"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 48,
               "decoder_sparse_step": 1, "mlp_only_layers": layers, "norm_topk_prob": true})
    };
    check_all(&[settings(json!([])), settings(json!([1, 4]))], &ALL_WAYS)
}

pub(super) fn latent(model_type: &str, more: &Value) -> Value {
    let mut settings = json!({
        "model_type": model_type, "kv_lora_rank": 32, "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16,
        "v_head_dim": 12, "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2,
        "moe_intermediate_size": 48, "first_k_dense_replace": 1, "routed_scaling_factor": 2.5, "norm_topk_prob": true,
        "n_group": 1, "topk_group": 1, "head_dim": null});
    merge(&mut settings, more);
    settings
}

pub(super) fn merge(settings: &mut Value, more: &Value) {
    let (Some(settings), Some(more)) = (settings.as_object_mut(), more.as_object()) else {
        return;
    };
    settings.extend(more.clone());
}

#[test]
fn deepseek_v3_equals_mlx_lm() -> Result<()> {
    let mut scaled = yarn();
    merge(&mut scaled, &json!({"mscale": 1.0, "mscale_all_dim": 0.7}));
    let settings = [
        latent(
            "deepseek_v3",
            &json!({"n_group": 4, "topk_group": 2, "rope_scaling": scaled}),
        ),
        latent(
            "deepseek_v3",
            &json!({"q_lora_rank": null, "n_shared_experts": null, "num_experts_per_tok": 1}),
        ),
        latent("glm4_moe_lite", &json!({"n_shared_experts": 2})),
    ];
    check_all(&settings, &ALL_WAYS)
}

#[test]
fn deepseek_v32_equals_mlx_lm() -> Result<()> {
    // With few heads, some positions score nothing at all: which of these are chosen is arbitrary.
    let indexer = json!({"index_n_heads": 32, "index_head_dim": 16, "index_topk": 12, "seed": 5});
    let mut scaled = yarn();
    merge(&mut scaled, &json!({"mscale": 1.0, "mscale_all_dim": 0.7}));
    let mut settings = [
        latent(
            "deepseek_v32",
            &json!({"n_group": 4, "topk_group": 2, "rope_scaling": scaled}),
        ),
        latent(
            "deepseek_v32",
            &json!({"indexer_rope_interleave": true, "original": true}),
        ),
        latent(
            "glm_moe_dsa",
            &json!({
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "topk_method": "noaux_tc",
            "scoring_func": "sigmoid", "moe_layer_freq": 1, "attention_bias": true}),
        ),
    ];
    for settings in &mut settings {
        merge(settings, &indexer);
    }
    check_all(&settings, &ALL_WAYS)
}

#[test]
fn four_tensor_ranks_equal_mlx_lm() -> Result<()> {
    let sizes = json!({"hidden_size": 96, "intermediate_size": 128, "num_attention_heads": 8, "num_key_value_heads": 4,
                       "head_dim": 12});
    let experts = json!({"num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 48,
                         "decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": true});
    let mut qwen = json!({"model_type": "qwen3_moe"});
    merge(&mut qwen, &experts);
    let mut several = [
        json!({"model_type": "llama"}),
        json!({"model_type": "qwen3"}),
        qwen,
    ];
    for settings in &mut several {
        merge(settings, &sizes);
    }
    let latent = latent(
        "deepseek_v3",
        &json!({"num_attention_heads": 4, "num_key_value_heads": 4}),
    );
    let cluster = start_cluster(4)?;
    for settings in several.iter().chain([&latent]) {
        check(&cluster, settings, &[("tensor", 4)], TOLERANCE)?;
    }
    Ok(())
}

#[test]
fn glm4_moe_equals_mlx_lm() -> Result<()> {
    let settings = |more: &Value| {
        let mut settings = json!({
            "model_type": "glm4_moe", "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2,
            "moe_intermediate_size": 48, "first_k_dense_replace": 1, "routed_scaling_factor": 1.5, "n_group": 1,
            "topk_group": 1, "norm_topk_prob": true, "use_qk_norm": true, "attention_bias": true, "rope_scaling": null,
            "partial_rotary_factor": 0.5});
        merge(&mut settings, more);
        settings
    };
    let plain = json!({"use_qk_norm": false, "attention_bias": false, "num_key_value_heads": 3});
    check_all(&[settings(&json!({}))], &ALL_WAYS)?;
    check_all(&[settings(&plain)], &BY_THREE)
}

#[test]
fn gpt_oss_equals_mlx_lm() -> Result<()> {
    let settings = |rope: Value| {
        json!({"model_type": "gpt_oss", "num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": 16,
               "rope_scaling": rope, "layer_types": null})
    };
    check_all(&[settings(Value::Null), settings(yarn())], &ALL_WAYS)
}

/// Several windows long, and longer than what caches hold of it.
#[test]
fn long_prompts_of_windows_equal_mlx_lm() -> Result<()> {
    let prompts = json!([950, 800]);
    let settings = [
        json!({"model_type": "gpt_oss", "num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": 16,
               "prompts": prompts}),
        json!({"model_type": "gemma3_text", "num_key_value_heads": 3, "query_pre_attn_scalar": 24, "prompts": prompts,
               "sliding_window": 100, "sliding_window_pattern": 3, "rope_theta": 1e6}),
    ];
    check_all(&settings, &BY_THREE)
}

#[test]
fn minimax_equals_mlx_lm() -> Result<()> {
    let settings = |normalizes: bool| {
        json!({"model_type": "minimax", "num_local_experts": 8, "num_experts_per_tok": 2, "rotary_dim": 8,
               "shared_intermediate_size": 0, "num_key_value_heads": 3, "use_qk_norm": normalizes})
    };
    check_all(&[settings(true), settings(false)], &BY_THREE)
}

#[test]
fn gemma3_text_equals_mlx_lm() -> Result<()> {
    let settings = json!({
        "model_type": "gemma3_text", "num_key_value_heads": 3, "query_pre_attn_scalar": 24, "sliding_window": 16,
        "sliding_window_pattern": 3, "rope_theta": 1e6, "rope_scaling": {"rope_type": "linear", "factor": 8.0}});
    check_both(&[settings], &BY_THREE)
}

pub(super) fn mistral4(more: &Value) -> Value {
    let rope = json!({"rope_type": "yarn", "type": "yarn", "rope_theta": 1e4, "factor": 4.0, "beta_fast": 32.0,
                      "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
                      "original_max_position_embeddings": 16, "llama_4_scaling_beta": 0.3});
    let mut settings = latent("mistral4", &json!({"rope_parameters": rope}));
    merge(&mut settings, more);
    settings
}

#[test]
fn mistral4_equals_mlx_lm() -> Result<()> {
    let settings = [
        mistral4(&json!({"n_group": 4, "topk_group": 2, "tie_word_embeddings": true})),
        mistral4(&json!({"rope_interleave": false, "q_lora_rank": null, "original": true})),
    ];
    check_all(&settings, &ALL_WAYS)
}

#[test]
fn ministral3_equals_mlx_lm() -> Result<()> {
    let rope = json!({"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0,
                      "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 16,
                      "llama_4_scaling_beta": 0.3});
    let mut plain = rope.clone();
    merge(&mut plain, &json!({"rope_type": "default"}));
    let kinds = json!([
        "sliding_attention",
        "full_attention",
        "sliding_attention",
        "full_attention",
        "sliding_attention",
        "full_attention"
    ]);
    let settings = [
        json!({"model_type": "ministral3", "rope_parameters": rope, "tie_word_embeddings": true}),
        json!({"model_type": "ministral3", "rope_parameters": plain, "layer_types": kinds, "sliding_window": 12,
               "num_key_value_heads": 3}),
    ];
    check_both(&settings[..1], &ALL_WAYS)?;
    check_both(&settings[1..], &BY_THREE)
}

pub(super) fn gemma4(more: &Value) -> Value {
    let mut settings = json!({
        "model_type": "gemma4_text", "num_key_value_heads": 3, "global_head_dim": 32, "num_global_key_value_heads": 3,
        "attention_k_eq_v": true, "sliding_window": 16, "sliding_window_pattern": 3, "tie_word_embeddings": true,
        "final_logit_softcapping": 6.0, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0});
    merge(&mut settings, more);
    settings
}

#[test]
fn gemma4_text_equals_mlx_lm() -> Result<()> {
    let experts = json!({"enable_moe_block": true, "num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 48});
    let mut apart = json!({
        "num_key_value_heads": 6, "attention_k_eq_v": false, "tie_word_embeddings": false,
        "final_logit_softcapping": null,
        "rope_parameters": {
            "full_attention": {"rope_type": "proportional", "rope_theta": 1e5, "partial_rotary_factor": 0.5},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}});
    check_all(&[gemma4(&json!({}))], &BY_THREE)?;
    merge(&mut apart, &experts);
    check_all(&[gemma4(&apart)], &ALL_WAYS)
}

#[test]
fn small_gemma4_text_equals_mlx_lm() -> Result<()> {
    // The last three layers attend to keys of the second and the third, which may be on another rank.
    let small = json!({
        "attention_k_eq_v": false, "sliding_window_pattern": 2, "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 512, "num_kv_shared_layers": 3, "use_double_wide_mlp": true});
    let mut shared = small.clone();
    merge(
        &mut shared,
        &json!({"hidden_size_per_layer_input": 0, "attention_k_eq_v": true}),
    );
    let ways = [("auto", 1), ("pipeline", 2), ("pipeline", 3), ("tensor", 3)];
    check_both(&[gemma4(&small), gemma4(&shared)], &ways)
}

#[test]
fn llama4_text_equals_mlx_lm() -> Result<()> {
    let settings = json!({
        "model_type": "llama4_text", "intermediate_size_mlp": 144, "tie_word_embeddings": true, "use_qk_norm": true,
        "no_rope_layers": [1, 1, 0, 1, 1, 0], "num_key_value_heads": 3});
    check_both(&[settings], &BY_THREE)
}

#[test]
fn other_dense_families_equal_mlx_lm() -> Result<()> {
    let settings = [
        json!({"model_type": "granite", "logits_scaling": 3.0, "attention_multiplier": 0.2, "embedding_multiplier": 6.0,
               "residual_multiplier": 0.4, "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true}),
        json!({"model_type": "smollm3"}),
        json!({"model_type": "seed_oss", "attention_bias": true, "attention_out_bias": false, "head_dim": 24}),
    ];
    check_both(&settings, &ALL_WAYS)?;
    let factors: Vec<f64> = (0..8).map(|pair| 1.0 + f64::from(pair) * 0.4).collect();
    let settings = [
        json!({"model_type": "olmo3", "sliding_window": 16, "rope_scaling": yarn(), "num_key_value_heads": 3}),
        json!({"model_type": "phi3", "num_key_value_heads": 3}),
        json!({"model_type": "phi3", "original_max_position_embeddings": 64, "max_position_embeddings": 1024,
               "rope_scaling": {"type": "longrope", "long_factor": factors, "short_factor": factors}}),
    ];
    check_both(&settings, &BY_THREE)
}
