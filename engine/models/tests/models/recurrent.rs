//! What checkpoints of families with recurrent layers have: the tensors of a layer, and fields of the configuration.

use serde_json::{Value, json};

use crate::checkpoint::Shape;

/// Their `model_type`s.
pub const ALL: [&str; 2] = ["nemotron_h", "qwen3_5_text"];

/// Elements of a key and of a value, and tokens that the convolution sees.
const KEY: usize = 8;
const VALUE: usize = 16;
const KERNEL: usize = 4;

/// Names below a layer, and shapes.
type Tensors = Vec<(&'static str, Vec<usize>)>;

/// A gated delta net, with two value heads for each key head.
pub fn delta_net(shape: &Shape) -> Tensors {
    let (hidden, heads) = (shape.hidden, 2 * shape.heads);
    let values = heads * VALUE;
    let inputs = 2 * shape.heads * KEY + values;
    vec![
        ("linear_attn.in_proj_qkv", vec![inputs, hidden]),
        ("linear_attn.in_proj_z", vec![values, hidden]),
        ("linear_attn.in_proj_b", vec![heads, hidden]),
        ("linear_attn.in_proj_a", vec![heads, hidden]),
        ("linear_attn.conv1d", vec![inputs, KERNEL, 1]),
        ("linear_attn.norm", vec![VALUE]),
        ("linear_attn.out_proj", vec![hidden, values]),
        ("linear_attn.A_log", vec![heads]),
        ("linear_attn.dt_bias", vec![heads]),
    ]
}

/// A layer of Nemotron-H: of three the first is Mamba-2, the second attention and the third a feed-forward part.
pub fn nemotron(shape: &Shape, layer: usize) -> Tensors {
    let (hidden, heads) = (shape.hidden, 2 * shape.heads);
    let (values, keys) = (heads * VALUE, shape.heads * KEY);
    let attended = shape.heads * shape.head_dim;
    let kept = shape.kv_heads * shape.head_dim;
    let norm = ("norm", vec![hidden]);
    match layer % 3 {
        0 => vec![
            norm,
            ("mixer.in_proj", vec![2 * values + 2 * keys + heads, hidden]),
            ("mixer.conv1d", vec![values + 2 * keys, KERNEL, 1]),
            ("mixer.conv1d.bias", vec![values + 2 * keys]),
            ("mixer.A_log", vec![heads]),
            ("mixer.dt_bias", vec![heads]),
            ("mixer.D", vec![heads]),
            ("mixer.norm", vec![values]),
            ("mixer.out_proj", vec![hidden, values]),
        ],
        1 => vec![
            norm,
            ("mixer.q_proj", vec![attended, hidden]),
            ("mixer.k_proj", vec![kept, hidden]),
            ("mixer.v_proj", vec![kept, hidden]),
            ("mixer.o_proj", vec![hidden, attended]),
        ],
        _ => vec![
            norm,
            ("mixer.up_proj", vec![shape.inner, hidden]),
            ("mixer.down_proj", vec![hidden, shape.inner]),
        ],
    }
}

/// What their configurations say besides what all do.
pub fn fields(shape: &Shape) -> Value {
    let pattern: String = "M*-".chars().cycle().take(shape.layers).collect();
    json!({
        "full_attention_interval": 2,
        "linear_num_key_heads": shape.heads,
        "linear_num_value_heads": 2 * shape.heads,
        "linear_key_head_dim": KEY,
        "linear_value_head_dim": VALUE,
        "linear_conv_kernel_dim": KERNEL,
        "hybrid_override_pattern": pattern,
        "layer_norm_epsilon": 1e-5,
        "mamba_num_heads": 2 * shape.heads,
        "mamba_head_dim": VALUE,
        "n_groups": shape.heads,
        "ssm_state_size": KEY,
        "conv_kernel": KERNEL,
        "use_conv_bias": true,
    })
}

/// What a tensor is called: a few are no weights.
pub fn full_name(name: &str) -> String {
    let ends = [".A_log", ".dt_bias", ".D", ".bias"];
    if ends.iter().any(|end| name.ends_with(end)) {
        name.into()
    } else {
        format!("{name}.weight")
    }
}
