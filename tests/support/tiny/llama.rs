//! Weights of a tiny `llama`, as one safetensors file.

use serde_json::{Map, Value, json};

use crate::random::Random;

/// The sizes of a model. As many heads of keys as of queries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) vocabulary: usize,
    pub(super) hidden: usize,
    pub(super) inner: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    pub(super) context: usize,
}

impl Shape {
    pub(super) fn config(&self, end: u32) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "head_dim": self.head_dim,
            "rms_norm_eps": 1e-5,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "rope_theta": 10000.0,
            "tie_word_embeddings": false,
            "eos_token_id": end,
            "torch_dtype": "float32",
        })
    }

    /// Numbers so large that every part of the network matters.
    pub(super) fn random(&self, random: &mut Random) -> Vec<u8> {
        self.file(|_, shape| {
            let reach = 2.5 / (shape[shape.len() - 1] as f32).sqrt();
            let count = shape.iter().product();
            match shape {
                [_] => vec![1.0; count],
                _ => (0..count).map(|_| random.spread() * reach).collect(),
            }
        })
    }

    /// The file with what `values` says for each tensor's name and shape.
    pub(super) fn file(&self, mut values: impl FnMut(&str, &[usize]) -> Vec<f32>) -> Vec<u8> {
        let (mut header, mut data) = (Map::new(), Vec::new());
        for (name, shape) in self.tensors() {
            let begin = data.len();
            for value in values(&name, &shape) {
                data.extend(value.to_le_bytes());
            }
            let entry =
                json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
            header.insert(format!("{name}.weight"), entry);
        }
        let header = Value::Object(header).to_string();
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &data].concat()
    }

    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, inner, all_heads) = (self.hidden, self.inner, self.heads * self.head_dim);
        let mut all = vec![
            (
                "model.embed_tokens".to_owned(),
                vec![self.vocabulary, hidden],
            ),
            ("model.norm".to_owned(), vec![hidden]),
            ("lm_head".to_owned(), vec![self.vocabulary, hidden]),
        ];
        for layer in 0..self.layers {
            let mut add = |name: &str, shape: &[usize]| {
                all.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
            };
            add("input_layernorm", &[hidden]);
            add("post_attention_layernorm", &[hidden]);
            for name in ["q_proj", "k_proj", "v_proj"] {
                add(&format!("self_attn.{name}"), &[all_heads, hidden]);
            }
            add("self_attn.o_proj", &[hidden, all_heads]);
            add("mlp.gate_proj", &[inner, hidden]);
            add("mlp.up_proj", &[inner, hidden]);
            add("mlp.down_proj", &[hidden, inner]);
        }
        all
    }
}
