//! Tiny models of families that are peculiar in what a query sees, what is cached, or what goes from layer to layer. All three
//! layers of each have something of it, and all divide by two and by three ranks.

use serde_json::{Value, json};

use crate::checkpoint::Shape;

/// Their `model_type`s.
pub const ALL: [&str; 3] = ["deepseek_v32", "gemma4_text", "llama4_text"];

/// What their configurations have besides the usual; nothing for a family that is usual.
pub fn settings(model_type: &str) -> Value {
    match model_type {
        "deepseek_v32" => json!({
            "kv_lora_rank": 32, "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 12,
            "moe_intermediate_size": 48, "num_experts_per_tok": 1, "index_n_heads": 4, "index_head_dim": 16,
            "index_topk": 8,
        }),
        // The last layer attends to the keys of the one before it.
        "gemma4_text" => json!({
            "global_head_dim": 64, "sliding_window": 8, "num_kv_shared_layers": 1, "use_double_wide_mlp": true,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
            "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 96,
        }),
        "llama4_text" => json!({
            "intermediate_size_mlp": 96, "num_local_experts": 4, "interleave_moe_layer_step": 2,
            "attention_chunk_size": 8, "use_qk_norm": true, "no_rope_layers": [1, 0, 1], "floor_scale": 6,
        }),
        "mistral" => json!({
            "sliding_window": 300,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        }),
        _ => json!({}),
    }
}

/// The tensors of a layer, below it; `None` for a family that is usual.
pub fn layer(shape: &Shape, layer: usize) -> Option<Vec<(&'static str, Vec<usize>)>> {
    let norms = [
        "input_layernorm.weight",
        "post_attention_layernorm.weight",
        "pre_feedforward_layernorm.weight",
        "post_feedforward_layernorm.weight",
    ];
    let norms = norms.map(|name| (name, vec![shape.hidden]));
    let (first, rest) = match shape.model_type {
        "deepseek_v32" => (2, latent(shape)),
        "gemma4_text" => (4, gemma(shape, layer)),
        "llama4_text" => (2, llama4(shape, layer)),
        _ => return None,
    };
    Some(norms.into_iter().take(first).chain(rest).collect())
}

/// Tensors beside the layers.
pub fn ends(shape: &Shape) -> Vec<(&'static str, Vec<usize>)> {
    if shape.model_type != "gemma4_text" {
        return Vec::new();
    }
    let all = 8 * shape.layers;
    vec![
        (
            "model.embed_tokens_per_layer.weight",
            vec![shape.vocabulary, all],
        ),
        (
            "model.per_layer_model_projection.weight",
            vec![all, shape.hidden],
        ),
        ("model.per_layer_projection_norm.weight", vec![8]),
    ]
}

fn latent(shape: &Shape) -> Vec<(&'static str, Vec<usize>)> {
    let (hidden, heads) = (shape.hidden, shape.heads);
    let own = vec![
        ("self_attn.q_a_proj.weight", vec![24, hidden]),
        ("self_attn.q_a_layernorm.weight", vec![24]),
        ("self_attn.q_b_proj.weight", vec![heads * 24, 24]),
        ("self_attn.kv_a_proj_with_mqa.weight", vec![40, hidden]),
        ("self_attn.kv_a_layernorm.weight", vec![32]),
        ("self_attn.kv_b_proj.weight", vec![heads * 28, 32]),
        ("self_attn.o_proj.weight", vec![hidden, heads * 12]),
        ("self_attn.indexer.wq_b.weight", vec![64, 24]),
        ("self_attn.indexer.wk.weight", vec![16, hidden]),
        ("self_attn.indexer.k_norm.weight", vec![16]),
        ("self_attn.indexer.k_norm.bias", vec![16]),
        ("self_attn.indexer.weights_proj.weight", vec![4, hidden]),
    ];
    own.into_iter().chain(mlp(hidden, shape.inner)).collect()
}

fn gemma(shape: &Shape, layer: usize) -> Vec<(&'static str, Vec<usize>)> {
    let hidden = shape.hidden;
    let head_dim = if layer == 0 { shape.head_dim } else { 64 };
    let mut all = vec![
        (
            "self_attn.q_proj.weight",
            vec![shape.heads * head_dim, hidden],
        ),
        (
            "self_attn.o_proj.weight",
            vec![hidden, shape.heads * head_dim],
        ),
        ("self_attn.q_norm.weight", vec![head_dim]),
        ("per_layer_input_gate.weight", vec![8, hidden]),
        ("per_layer_projection.weight", vec![hidden, 8]),
        ("post_per_layer_input_norm.weight", vec![hidden]),
        ("layer_scalar", vec![1]),
    ];
    let shares = layer + 1 == shape.layers;
    if !shares {
        let keys = vec![shape.kv_heads * head_dim, hidden];
        all.extend([
            ("self_attn.k_proj.weight", keys.clone()),
            ("self_attn.v_proj.weight", keys),
            ("self_attn.k_norm.weight", vec![head_dim]),
        ]);
    }
    let inner = shape.inner * if shares { 2 } else { 1 };
    all.into_iter().chain(mlp(hidden, inner)).collect()
}

fn mlp(hidden: usize, inner: usize) -> [(&'static str, Vec<usize>); 3] {
    [
        ("mlp.gate_proj.weight", vec![inner, hidden]),
        ("mlp.up_proj.weight", vec![inner, hidden]),
        ("mlp.down_proj.weight", vec![hidden, inner]),
    ]
}

fn llama4(shape: &Shape, layer: usize) -> Vec<(&'static str, Vec<usize>)> {
    let (hidden, inner) = (shape.hidden, shape.inner);
    let (q, kv) = (
        shape.heads * shape.head_dim,
        shape.kv_heads * shape.head_dim,
    );
    let mut all = vec![
        ("self_attn.q_proj.weight", vec![q, hidden]),
        ("self_attn.k_proj.weight", vec![kv, hidden]),
        ("self_attn.v_proj.weight", vec![kv, hidden]),
        ("self_attn.o_proj.weight", vec![hidden, q]),
    ];
    if layer.is_multiple_of(2) {
        all.extend([
            ("feed_forward.gate_proj.weight", vec![96, hidden]),
            ("feed_forward.up_proj.weight", vec![96, hidden]),
            ("feed_forward.down_proj.weight", vec![hidden, 96]),
        ]);
        return all;
    }
    all.extend([
        ("feed_forward.router.weight", vec![4, hidden]),
        (
            "feed_forward.experts.gate_proj.weight",
            vec![4, inner, hidden],
        ),
        (
            "feed_forward.experts.up_proj.weight",
            vec![4, inner, hidden],
        ),
        (
            "feed_forward.experts.down_proj.weight",
            vec![4, hidden, inner],
        ),
        (
            "feed_forward.shared_expert.gate_proj.weight",
            vec![inner, hidden],
        ),
        (
            "feed_forward.shared_expert.up_proj.weight",
            vec![inner, hidden],
        ),
        (
            "feed_forward.shared_expert.down_proj.weight",
            vec![hidden, inner],
        ),
    ]);
    all
}
