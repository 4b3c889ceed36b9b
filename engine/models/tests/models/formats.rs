//! Weights that are held otherwise than they lie in the files: floats of 8 bits with scales, and matrices that are quantized as
//! they are loaded.

use std::path::Path;

use base::{QuantizedBits, ShardSpec, Sharding, TensorSlice};
use mlx_rs::{Array, Dtype, memory};
use models::{Group, MlxBackend, inspect};
use serde_json::json;
use tempfile::TempDir;

use crate::checkpoint::{File, Shape, folder, random};
use crate::newer;
use crate::ranks::{alone, spec, together};
use crate::recurrent;
use crate::script::{Logits, assert_close, flat, in_chunks, run, tokens};

/// How the names of blocks' scales end.
const BLOCKS: &str = "_scale_inv";

/// Elements with one scale when matrices are quantized on load.
const GROUP: usize = 64;

/// Divides by two ranks in groups of 64.
fn wide(model_type: &'static str) -> Shape {
    Shape {
        bf16: true,
        hidden: 128,
        inner: 256,
        heads: 4,
        kv_heads: 4,
        ..Shape::tiny(model_type)
    }
}

/// The model with matrices of 8 bits, and one of the very numbers that these stand for. The names of scales have this `end`.
fn write_fp8(shape: &Shape, block: [usize; 2], end: &str) -> (TempDir, TempDir) {
    let (mut scaled_file, mut plain_file) = (File::default(), File::default());
    for (name, size) in shape.tensors() {
        let values = random(&name, &size);
        let [rows, columns] = size[..] else {
            scaled_file.add_floats(&name, &size, &values, true);
            plain_file.add_floats(&name, &size, &values, true);
            continue;
        };
        let bytes: Vec<u8> = values
            .iter()
            .map(|value| ((value * 1e4) as i32 % 0x78) as u8)
            .collect();
        let grid = [rows.div_ceil(block[0]), columns.div_ceil(block[1])];
        let scales = random(&format!("{name} scales"), &[grid[0] * grid[1]]);
        let scales: Vec<f32> = scales.iter().map(|scale| scale * 0.01).collect();
        scaled_file.add(&name, "F8_E4M3", &size, &bytes);
        scaled_file.add_floats(&format!("{name}{end}"), &grid, &scales, false);
        let numbers = Array::from_slice(&bytes, &[bytes.len() as i32]);
        let numbers = numbers.from_fp8(Dtype::Float32).unwrap();
        numbers.eval().unwrap();
        let product = |(at, value): (usize, &f32)| {
            let (row, column) = (at / columns, at % columns);
            value * scales[row / block[0] * grid[1] + column / block[1]]
        };
        let products: Vec<f32> = numbers
            .as_slice::<f32>()
            .iter()
            .enumerate()
            .map(product)
            .collect();
        plain_file.add_floats(&name, &size, &rounded(&products), true);
    }
    let mut config = shape.config();
    let plain = folder(&config, &plain_file);
    config["quantization_config"] =
        json!({"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": block});
    (folder(&config, &scaled_file), plain)
}

/// To bfloat16 as MLX does it.
fn rounded(values: &[f32]) -> Vec<f32> {
    let array = Array::from_slice(values, &[values.len() as i32]);
    let array = array
        .as_dtype(Dtype::Bfloat16)
        .unwrap()
        .as_dtype(Dtype::Float32)
        .unwrap();
    array.eval().unwrap();
    array.as_slice::<f32>().to_vec()
}

fn load(folder: &Path, spec: &ShardSpec) -> MlxBackend {
    models::load(folder, spec, Group::single(), |_, _| ()).unwrap()
}

/// The whole of three layers, quantized as it is loaded.
fn quantized(bits: u8) -> ShardSpec {
    ShardSpec {
        quantize: QuantizedBits::new(bits),
        kv_bits: None,
        ..spec(0, 1, 3, Sharding::Pipeline)
    }
}

fn logits(backend: &mut MlxBackend) -> Logits {
    run(backend, &in_chunks(0, &tokens(20), 7))
}

#[test]
fn floats_of_8_bits_are_what_they_stand_for() {
    // 192 rows and 64 columns: blocks that do not fill them, and that no rank's part begins with; rows, and all at once.
    for (model_type, block, end) in [
        ("llama", [128, 128], BLOCKS),
        ("llama", [50, 24], BLOCKS),
        ("llama", [1, usize::MAX], "_scale"),
        ("llama", [usize::MAX; 2], BLOCKS),
        ("deepseek_v32", [100, 128], BLOCKS),
    ] {
        let (scaled, plain) = write_fp8(&Shape::tiny(model_type), block, end);
        let expected = flat(&logits(&mut alone(plain.path(), 3)));
        assert_close(&flat(&logits(&mut alone(scaled.path(), 3))), &expected, 0.0);
        let script = in_chunks(0, &tokens(20), 7);
        for world in [2, 3] {
            let of = |folder: &TempDir| {
                let (logits, _) = together(folder.path(), 3, world, Sharding::Tensor, &script);
                flat(&logits)
            };
            assert_close(&of(&scaled), &of(&plain), 0.0);
        }
        assert_eq!(
            inspect(scaled.path(), None, None).unwrap(),
            inspect(plain.path(), None, None).unwrap()
        );
    }
}

#[test]
fn floats_of_8_bits_without_fitting_scales_are_refused() {
    for (scales, said) in [
        (None, "no scales"),
        (Some(vec![2, 2]), "no scale for each block"),
    ] {
        let shape = Shape::tiny("llama");
        let mut file = File::default();
        for (name, size) in shape.tensors() {
            if name != "model.layers.1.mlp.up_proj.weight" {
                file.add_floats(&name, &size, &random(&name, &size), true);
                continue;
            }
            file.add(&name, "F8_E4M3", &size, &vec![0x38; size[0] * size[1]]);
            if let Some(grid) = &scales {
                file.add_floats(&format!("{name}_scale_inv"), grid, &[1.0; 4], false);
            }
        }
        let folder = folder(&shape.config(), &file);
        let whole = spec(0, 1, 3, Sharding::Pipeline);
        let refused = models::load(folder.path(), &whole, Group::single(), |_, _| ());
        let refused = refused.err().unwrap().to_string();
        assert!(
            refused.contains("model.layers.1.mlp.up_proj") && refused.contains(said),
            "{refused}"
        );
    }
}

#[test]
fn what_is_quantized_on_load_is_what_is_quantized_before() {
    for bits in QuantizedBits::ALL {
        let shape = Shape {
            bf16: false,
            ..wide("llama")
        };
        let (packed, _) = shape.write_quantized_by(GROUP as i32, i32::from(bits));
        let expected = flat(&logits(&mut alone(packed.path(), 3)));
        let dense = shape.write();
        let ours = flat(&logits(&mut load(dense.path(), &quantized(bits))));
        assert_close(&ours, &expected, 0.0);
        let card = inspect(dense.path(), QuantizedBits::new(bits), None).unwrap();
        let stored = inspect(packed.path(), None, None).unwrap();
        assert_eq!(
            (card.layers, card.head_bytes),
            (stored.layers, stored.head_bytes)
        );
        assert_eq!(card.tensor_degrees, stored.tensor_degrees);
        let twice = inspect(packed.path(), QuantizedBits::new(bits), None).unwrap_err();
        assert!(twice.to_string().contains("quantized already"), "{twice}");
    }
}

#[test]
fn a_cut_through_a_group_is_refused_with_what_is_possible() {
    // 192 columns are three groups.
    let folder = Shape::tiny("llama").write();
    let cut = |of| ShardSpec {
        tensor: TensorSlice { index: 0, of },
        ..quantized(4)
    };
    let card = inspect(folder.path(), QuantizedBits::new(4), None).unwrap();
    assert_eq!(card.tensor_degrees, [1, 3]);
    let refused = models::load(folder.path(), &cut(2), Group::single(), |_, _| ());
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("tensor splits by [1, 3]"), "{refused}");
    assert!(models::load(folder.path(), &cut(3), Group::single(), |_, _| ()).is_ok());
}

/// What a model takes in arrays: when it is loaded, and at most while it is.
fn held(folder: &Path, quantize: Option<QuantizedBits>, layers: u32) -> [u64; 2] {
    let whole = ShardSpec {
        quantize,
        ..spec(0, 1, layers, Sharding::Pipeline)
    };
    let said = inspect(folder, quantize, None).unwrap().weights_bytes();
    // What MLX uses again may be larger than what is asked for.
    memory::set_cache_limit(0).unwrap();
    let before = memory::active_memory().unwrap() as u64;
    memory::reset_peak_memory().unwrap();
    let mut last = (0, 0);
    let heard = |done, total| last = (done, total);
    let backend = models::load(folder, &whole, Group::single(), heard).unwrap();
    let peak = memory::peak_memory().unwrap() as u64;
    let held = memory::active_memory().unwrap() as u64 - before;
    drop(backend);
    assert_eq!(last, (said, said));
    [held, peak - before]
}

/// The planner's bytes are those of the arrays, but for what a family makes for itself.
#[test]
fn what_is_held_is_what_the_card_says() {
    let all = ["llama"]
        .into_iter()
        .chain(newer::ALL)
        .chain(recurrent::ALL);
    for model_type in all {
        let dense = wide(model_type).write();
        let (scaled, _) = write_fp8(&wide(model_type), [128, 128], BLOCKS);
        let said = |folder: &TempDir, quantize| {
            inspect(folder.path(), quantize, None)
                .unwrap()
                .weights_bytes()
        };
        let made = held(dense.path(), None, 3)[0] - said(&dense, None);
        for (folder, bits) in [(&dense, 4), (&scaled, 0), (&scaled, 8)] {
            let quantize = QuantizedBits::new(bits);
            let held = held(folder.path(), quantize, 3)[0];
            let said = said(folder, quantize);
            println!("{model_type} {bits}: {held} of {said}, {made} are made");
            assert_eq!(held, said + made, "{model_type} {bits}");
        }
    }
}

/// One layer of experts, most of the model, each by itself.
fn experts(count: usize, of_8_bits: bool) -> TempDir {
    let shape = Shape {
        layers: 1,
        ..wide("qwen3")
    };
    let mut file = File::default();
    let mut add = |name: &str, size: &[usize], is_fp8: bool| {
        if is_fp8 {
            file.add(name, "F8_E4M3", size, &vec![0x38; size[0] * size[1]]);
            let grid = [size[0].div_ceil(128), size[1].div_ceil(128)];
            file.add_floats(
                &format!("{name}_scale_inv"),
                &grid,
                &vec![0.01; grid[0] * grid[1]],
                false,
            );
        } else {
            file.add_floats(name, size, &random(name, size), true);
        }
    };
    for (name, size) in shape.tensors() {
        if !name.contains(".mlp.") {
            add(&name, &size, false);
        }
    }
    add("model.layers.0.mlp.gate.weight", &[count, 128], false);
    for expert in 0..count {
        for (name, size) in [
            ("gate_proj", [256, 128]),
            ("up_proj", [256, 128]),
            ("down_proj", [128, 256]),
        ] {
            let name = format!("model.layers.0.mlp.experts.{expert}.{name}.weight");
            add(&name, &size, of_8_bits);
        }
    }
    let mut config = shape.config();
    config["model_type"] = json!("qwen3_moe");
    for (field, value) in [
        ("num_experts", count),
        ("num_experts_per_tok", 2),
        ("moe_intermediate_size", 256),
    ] {
        config[field] = json!(value);
    }
    for (field, value) in [
        ("decoder_sparse_step", json!(1)),
        ("mlp_only_layers", json!([])),
        ("norm_topk_prob", json!(true)),
    ] {
        config[field] = value;
    }
    folder(&config, &file)
}

#[test]
fn experts_are_never_there_twice() {
    for of_8_bits in [false, true] {
        let folder = experts(64, of_8_bits);
        for bits in [0, 4] {
            let [held, peak] = held(folder.path(), QuantizedBits::new(bits), 1);
            println!("8 bits: {of_8_bits}, quantized to {bits}: {held} held, {peak} at most");
            assert!(peak <= held + held / 8, "{peak} for {held}");
        }
    }
}
