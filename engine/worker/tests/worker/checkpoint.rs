//! A tiny random `llama` with a tokenizer of letters: token n is the n-th letter.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Transformer layers.
pub const LAYERS: u32 = 4;

const HIDDEN: usize = 32;
const INNER: usize = 48;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD: usize = HIDDEN / HEADS;
/// Entries of the vocabulary.
pub const VOCABULARY: usize = 26;

/// A folder with the model.
pub fn llama() -> TempDir {
    llama_of(7)
}

/// The same with weights of another seed.
pub fn llama_of(seed: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, contents: &[u8]| fs::write(folder.path().join(name), contents).unwrap();
    write("config.json", config().to_string().as_bytes());
    write("tokenizer.json", tokenizer().to_string().as_bytes());
    write("model.safetensors", &weights(seed));
    folder
}

fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "rms_norm_eps": 1e-5,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 256,
        "rope_theta": 10000.0,
        "tie_word_embeddings": false,
        "torch_dtype": "float32"
    })
}

fn tokenizer() -> Value {
    let vocabulary: BTreeMap<String, usize> = (0..VOCABULARY)
        .map(|id| (char::from(b'a' + id as u8).to_string(), id))
        .collect();
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "vocab": vocabulary, "merges": []
        }
    })
}

fn weights(seed: u64) -> Vec<u8> {
    let mut tensors = vec![
        (
            "model.embed_tokens.weight".to_string(),
            vec![VOCABULARY, HIDDEN],
        ),
        ("model.norm.weight".to_string(), vec![HIDDEN]),
        ("lm_head.weight".to_string(), vec![VOCABULARY, HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: &[usize]| {
            tensors.push((
                format!("model.layers.{layer}.{name}.weight"),
                shape.to_vec(),
            ));
        };
        add("input_layernorm", &[HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
        add("self_attn.q_proj", &[HEADS * HEAD, HIDDEN]);
        add("self_attn.k_proj", &[KV_HEADS * HEAD, HIDDEN]);
        add("self_attn.v_proj", &[KV_HEADS * HEAD, HIDDEN]);
        add("self_attn.o_proj", &[HIDDEN, HEADS * HEAD]);
        add("mlp.gate_proj", &[INNER, HIDDEN]);
        add("mlp.up_proj", &[INNER, HIDDEN]);
        add("mlp.down_proj", &[HIDDEN, INNER]);
    }
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    let mut random = Random(seed);
    for (name, shape) in tensors {
        let begin = data.len();
        let norm = shape.len() == 1;
        for _ in 0..shape.iter().product::<usize>() {
            // Wide enough that a random model does not say the same letter for ever.
            let value = if norm { 1.0 } else { random.between(0.6) };
            data.extend(value.to_le_bytes());
        }
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert(name, entry);
    }
    let header = Value::Object(header).to_string();
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &data,
    ]
    .concat()
}

/// Numbers that are the same in every run.
pub struct Random(pub u64);

impl Random {
    /// The next number (xorshift64, Marsaglia 2003).
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn between(&mut self, limit: f32) -> f32 {
        ((self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0) * limit
    }
}
