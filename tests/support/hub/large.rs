//! Repositories as large as the largest real ones: headers as these have them, and zeros for data.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::repository::{RepositoryFile, Snapshot, commit};

/// Of the files that DeepSeek V3 was published in.
const FILE_BYTES: u64 = 4_300_000_000;

const VOCABULARY: [u64; 2] = [129_280, 7168];

/// Name, element type, and shape of a tensor.
type Tensor = (String, &'static str, Vec<u64>);

/// DeepSeek V3 as it was published, by its configuration: FP8, a tensor for each matrix of each of 256 experts, and a layer more
/// that predicts a further token.
pub fn deepseek_v3() -> Snapshot {
    snapshot(&deepseek_config(), Deepseek::of(true))
}

/// The same in 8 bits as mlx-lm writes it: experts of a layer in one tensor.
pub fn deepseek_v3_8bit() -> Snapshot {
    let mut config = deepseek_config();
    config["quantization"] = json!({"group_size": 64, "bits": 8, "mode": "affine"});
    snapshot(&config, Deepseek::of(false))
}

fn deepseek_config() -> Value {
    json!({
        "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
        "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 129_280,
        "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
        "n_group": 8, "topk_group": 4, "routed_scaling_factor": 2.5, "norm_topk_prob": true, "moe_layer_freq": 1,
        "topk_method": "noaux_tc", "scoring_func": "sigmoid", "rms_norm_eps": 1e-6, "rope_theta": 10_000,
        "max_position_embeddings": 163_840, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128],
            "activation_scheme": "dynamic"},
        "rope_scaling": {"type": "yarn", "factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0,
            "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096},
    })
}

/// Tensors in the order of layers.
struct Deepseek {
    all: Vec<Tensor>,
    /// FP8, experts one by one, and the layer that mlx-lm leaves out.
    original: bool,
}

impl Deepseek {
    fn of(original: bool) -> Vec<Tensor> {
        let all = Vec::new();
        Self { all, original }.tensors()
    }

    fn plain(&mut self, name: String, element: &'static str, shape: &[u64]) {
        self.all.push((name, element, shape.to_vec()));
    }

    /// A matrix, or several in one tensor.
    fn matrix(&mut self, name: &str, before: &[u64], [rows, columns]: [u64; 2]) {
        let mut part = |part: &str, element, last: [u64; 2]| {
            self.all
                .push((format!("{name}.{part}"), element, [before, &last].concat()));
        };
        if self.original {
            part("weight", "F8_E4M3", [rows, columns]);
            part(
                "weight_scale_inv",
                "F32",
                [rows.div_ceil(128), columns.div_ceil(128)],
            );
        } else {
            part("weight", "U32", [rows, columns / 4]);
            part("scales", "BF16", [rows, columns / 64]);
            part("biases", "BF16", [rows, columns / 64]);
        }
    }

    /// The embedding, or the matrix that makes logits: FP8 leaves them alone.
    fn end(&mut self, name: &str) {
        if self.original {
            self.plain(format!("{name}.weight"), "BF16", &VOCABULARY);
        } else {
            self.matrix(name, &[], VOCABULARY);
        }
    }

    fn attention(&mut self, layer: &str) {
        for (norm, width) in [
            ("input_layernorm", 7168),
            ("post_attention_layernorm", 7168),
            ("self_attn.q_a_layernorm", 1536),
            ("self_attn.kv_a_layernorm", 512),
        ] {
            self.plain(format!("{layer}.{norm}.weight"), "BF16", &[width]);
        }
        for (part, size) in [
            ("q_a_proj", [1536, 7168]),
            ("q_b_proj", [128 * 192, 1536]),
            ("kv_a_proj_with_mqa", [576, 7168]),
            ("kv_b_proj", [128 * 256, 512]),
            ("o_proj", [7168, 128 * 128]),
        ] {
            self.matrix(&format!("{layer}.self_attn.{part}"), &[], size);
        }
    }

    fn mlp(&mut self, name: &str, before: &[u64], inner: u64) {
        self.matrix(&format!("{name}.gate_proj"), before, [inner, 7168]);
        self.matrix(&format!("{name}.up_proj"), before, [inner, 7168]);
        self.matrix(&format!("{name}.down_proj"), before, [7168, inner]);
    }

    fn experts(&mut self, mlp: &str) {
        self.plain(format!("{mlp}.gate.e_score_correction_bias"), "F32", &[256]);
        self.plain(format!("{mlp}.gate.weight"), "BF16", &[256, 7168]);
        self.mlp(&format!("{mlp}.shared_experts"), &[], 2048);
        if self.original {
            for expert in 0..256 {
                self.mlp(&format!("{mlp}.experts.{expert}"), &[], 2048);
            }
        } else {
            self.mlp(&format!("{mlp}.switch_mlp"), &[256], 2048);
        }
    }

    /// What only the layer has that predicts a further token.
    fn further(&mut self, layer: &str) {
        for norm in ["enorm", "hnorm", "shared_head.norm"] {
            self.plain(format!("{layer}.{norm}.weight"), "BF16", &[7168]);
        }
        self.plain(format!("{layer}.eh_proj.weight"), "BF16", &[7168, 14336]);
        self.end(&format!("{layer}.embed_tokens"));
        self.end(&format!("{layer}.shared_head.head"));
    }

    fn tensors(mut self) -> Vec<Tensor> {
        self.end("model.embed_tokens");
        for layer in 0..61 + u64::from(self.original) {
            let name = format!("model.layers.{layer}");
            let mlp = format!("{name}.mlp");
            self.attention(&name);
            if layer < 3 {
                self.mlp(&mlp, &[], 18432);
            } else {
                self.experts(&mlp);
            }
            if layer == 61 {
                self.further(&name);
            }
        }
        self.plain("model.norm.weight".into(), "BF16", &[7168]);
        self.end("lm_head");
        self.all
    }
}

fn snapshot(config: &Value, tensors: Vec<Tensor>) -> Snapshot {
    let mut files = BTreeMap::from([
        (
            "config.json".to_owned(),
            RepositoryFile::of(config.to_string().into_bytes(), false),
        ),
        (
            "tokenizer.json".to_owned(),
            RepositoryFile::of(b"{}".to_vec(), false),
        ),
    ]);
    let mut parts: Vec<Vec<Tensor>> = vec![vec![]];
    let mut filled = 0;
    for tensor in tensors {
        if filled + bytes(&tensor) > FILE_BYTES && filled > 0 {
            parts.push(vec![]);
            filled = 0;
        }
        filled += bytes(&tensor);
        if let Some(part) = parts.last_mut() {
            part.push(tensor);
        }
    }
    let count = parts.len();
    for (part, at) in parts.into_iter().zip(1..) {
        files.insert(
            format!("model-{at:05}-of-{count:06}.safetensors"),
            file(&part),
        );
    }
    Snapshot {
        commit: commit(b"large"),
        files,
    }
}

fn bytes((_, element, shape): &Tensor) -> u64 {
    let each = match *element {
        "F32" | "U32" => 4,
        "BF16" => 2,
        _ => 1,
    };
    shape.iter().product::<u64>() * each
}

fn file(tensors: &[Tensor]) -> RepositoryFile {
    let mut end = 0;
    let entries = tensors.iter().map(|tensor| {
        let start = end;
        end += bytes(tensor);
        let (name, element, shape) = tensor;
        (
            name.clone(),
            json!({"dtype": element, "shape": shape, "data_offsets": [start, end]}),
        )
    });
    let header = Value::Object(entries.collect()).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    RepositoryFile {
        bytes,
        zeros: end,
        is_large: true,
    }
}
