//! Random checkpoints: a configuration and one safetensors file, written here byte by byte.

use std::fs;
use std::path::Path;

use mlx_rs::{Array, ops};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::{newer, recurrent};

/// Elements that share a scale in quantized checkpoints.
const GROUP: i32 = 32;

/// What to make.
#[derive(Debug, Clone)]
pub struct Shape {
    pub model_type: &'static str,
    pub bf16: bool,
    pub hidden: usize,
    pub inner: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub vocabulary: usize,
    pub tied: bool,
}

impl Shape {
    /// Divides by two and by three ranks, also in groups of 32.
    pub fn tiny(model_type: &'static str) -> Self {
        Self {
            model_type,
            bf16: false,
            hidden: 64,
            inner: 192,
            layers: 3,
            heads: 6,
            kv_heads: 6,
            head_dim: 32,
            vocabulary: 96,
            tied: false,
        }
    }

    /// About 29 million parameters.
    pub fn llama_29m() -> Self {
        Self {
            hidden: 512,
            inner: 1408,
            layers: 8,
            heads: 8,
            kv_heads: 8,
            head_dim: 64,
            vocabulary: 4096,
            ..Self::tiny("llama")
        }
    }

    /// The same of Nemotron-H, which has names of its own.
    fn tensors_of_nemotron(&self) -> Vec<(String, Vec<usize>)> {
        let table = vec![self.vocabulary, self.hidden];
        let mut all = vec![
            ("backbone.embeddings.weight".to_string(), table.clone()),
            ("backbone.norm_f.weight".into(), vec![self.hidden]),
            ("lm_head.weight".into(), table),
        ];
        for layer in 0..self.layers {
            for (name, shape) in recurrent::nemotron(self, layer) {
                let name = recurrent::full_name(name);
                all.push((format!("backbone.layers.{layer}.{name}"), shape));
            }
        }
        all
    }

    /// Name and shape of every tensor.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        if self.model_type == "nemotron_h" {
            return self.tensors_of_nemotron();
        }
        let (hidden, inner) = (self.hidden, self.inner);
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut all = vec![
            (
                "model.embed_tokens.weight".to_string(),
                vec![self.vocabulary, hidden],
            ),
            ("model.norm.weight".into(), vec![hidden]),
        ];
        if !self.tied {
            all.push(("lm_head.weight".into(), vec![self.vocabulary, hidden]));
        }
        let beside = newer::ends(self).into_iter();
        all.extend(beside.map(|(name, shape)| (name.to_string(), shape)));
        for layer in 0..self.layers {
            if let Some(own) = newer::layer(self, layer) {
                let named = |(name, shape)| (format!("model.layers.{layer}.{name}"), shape);
                all.extend(own.into_iter().map(named));
                continue;
            }
            let mut add = |name: &str, shape: &[usize]| {
                let name = recurrent::full_name(name);
                all.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
            };
            add("input_layernorm", &[hidden]);
            add("post_attention_layernorm", &[hidden]);
            add("mlp.gate_proj", &[inner, hidden]);
            add("mlp.up_proj", &[inner, hidden]);
            add("mlp.down_proj", &[hidden, inner]);
            if self.is_hybrid() && layer.is_multiple_of(2) {
                for (name, shape) in recurrent::delta_net(self) {
                    add(name, &shape);
                }
                continue;
            }
            let queries = if self.is_hybrid() { 2 * q } else { q };
            add("self_attn.q_proj", &[queries, hidden]);
            add("self_attn.k_proj", &[kv, hidden]);
            add("self_attn.v_proj", &[kv, hidden]);
            add("self_attn.o_proj", &[hidden, q]);
            if self.model_type == "qwen3" || self.is_hybrid() {
                add("self_attn.q_norm", &[self.head_dim]);
                add("self_attn.k_norm", &[self.head_dim]);
            }
        }
        all
    }

    /// Whether its layers are of two kinds.
    fn is_hybrid(&self) -> bool {
        self.model_type == "qwen3_5_text"
    }

    pub fn config(&self) -> Value {
        let mut config = json!({
            "model_type": self.model_type,
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "rms_norm_eps": 1e-5,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": 1024,
            "rope_theta": 10000.0,
            "tie_word_embeddings": self.tied,
        });
        let own = [newer::settings(self.model_type), recurrent::fields(self)];
        for own in own {
            if let (Some(all), Value::Object(own)) = (config.as_object_mut(), own) {
                all.extend(own);
            }
        }
        config
    }

    /// A folder with the model, dense.
    pub fn write(&self) -> TempDir {
        let mut file = File::default();
        for (name, shape) in self.tensors() {
            file.add_floats(&name, &shape, &random(&name, &shape), self.bf16);
        }
        folder(&self.config(), &file)
    }

    /// The model quantized, and a dense one of the very numbers that the quantized one stands for.
    pub fn write_quantized(&self, bits: i32) -> (TempDir, TempDir) {
        self.write_quantized_by(GROUP, bits)
    }

    /// The same in groups of so many.
    pub fn write_quantized_by(&self, group: i32, bits: i32) -> (TempDir, TempDir) {
        let (mut packed_file, mut dense_file) = (File::default(), File::default());
        for (name, shape) in self.tensors() {
            let values = random(&name, &shape);
            if shape.len() == 1 {
                packed_file.add_floats(&name, &shape, &values, false);
                dense_file.add_floats(&name, &shape, &values, false);
                continue;
            }
            let matrix = Array::from_slice(&values, &[shape[0] as i32, shape[1] as i32]);
            let (packed, scales, biases) = ops::quantize(&matrix, group, bits).unwrap();
            let dense = ops::dequantize(&packed, &scales, &biases, group, bits).unwrap();
            let groups = [shape[0], shape[1] / group as usize];
            packed_file.add_packed(&name, &packed);
            let path = name.trim_end_matches(".weight");
            packed_file.add_floats(&format!("{path}.scales"), &groups, &floats(&scales), false);
            packed_file.add_floats(&format!("{path}.biases"), &groups, &floats(&biases), false);
            dense_file.add_floats(&name, &shape, &floats(&dense), false);
        }
        let mut config = self.config();
        let dense = folder(&config, &dense_file);
        config["quantization"] = json!({"group_size": group, "bits": bits});
        (folder(&config, &packed_file), dense)
    }
}

/// A safetensors file in the making.
#[derive(Default)]
pub struct File {
    header: Map<String, Value>,
    data: Vec<u8>,
}

impl File {
    pub fn add(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) {
        let offsets = [self.data.len(), self.data.len() + bytes.len()];
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
        self.header.insert(name.into(), entry);
        self.data.extend_from_slice(bytes);
    }

    pub fn add_floats(&mut self, name: &str, shape: &[usize], values: &[f32], bf16: bool) {
        if bf16 {
            let halves = values.iter().map(|value| (value.to_bits() >> 16) as u16);
            let bytes: Vec<u8> = halves.flat_map(u16::to_le_bytes).collect();
            self.add(name, "BF16", shape, &bytes);
        } else {
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            self.add(name, "F32", shape, &bytes);
        }
    }

    fn add_packed(&mut self, name: &str, packed: &Array) {
        let shape: Vec<usize> = packed.shape().iter().map(|&size| size as usize).collect();
        packed.eval().unwrap();
        let words = packed.as_slice::<u32>().iter();
        let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        self.add(name, "U32", &shape, &bytes);
    }

    fn write(&self, path: &Path) {
        let header = Value::Object(self.header.clone()).to_string();
        let length = (header.len() as u64).to_le_bytes();
        fs::write(path, [&length[..], header.as_bytes(), &self.data].concat()).unwrap();
    }
}

pub fn folder(config: &Value, file: &File) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    file.write(&folder.path().join("model.safetensors"));
    folder
}

fn floats(array: &Array) -> Vec<f32> {
    array.eval().unwrap();
    array.as_slice::<f32>().to_vec()
}

/// Numbers that depend on the tensor's name only, so large that every part of the network matters to the logits.
pub fn random(name: &str, shape: &[usize]) -> Vec<f32> {
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let (middle, reach) = match shape {
        [_] => (1.0, 0.2),
        _ => (0.0, 2.5 * (shape[shape.len() - 1] as f32).powf(-0.5)),
    };
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..shape.iter().product())
        .map(|_| middle + reach * next())
        .collect()
}
