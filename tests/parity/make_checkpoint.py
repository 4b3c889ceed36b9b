"""Writes a random checkpoint of a tiny model, made and saved by mlx-lm's own model classes.

Usage: make_checkpoint.py FOLDER '{"model_type": "llama", ...}'. Fields override the defaults below; besides those of
`config.json`: `seed`, `dtype` (float32, bfloat16), `quantize` (bits, 0 for none), `mode` (of quantization: affine, mxfp4,
mxfp8, nvfp4), `endless` (the end-of-text token is never the likeliest), `original` (tensors as the model's makers lay them
out: every expert by itself, keys and values of a latent in one, norms as distances from 1), `wrapper` (a model of several
senses, of which this is the text part), `fp8` (rows and columns of the blocks of which each has a scale: matrices have floats
of 8 bits).
"""

import importlib
import json
import sys
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import tokenizers
from mlx.utils import tree_flatten

folder, overrides = Path(sys.argv[1]), json.loads(sys.argv[2])
settings = {
    "model_type": "llama", "hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 6,
    "num_attention_heads": 6, "num_key_value_heads": 6, "head_dim": 16, "rms_norm_eps": 1e-5, "vocab_size": 512,
    "max_position_embeddings": 1024, "rope_theta": 10000.0, "tie_word_embeddings": False, "eos_token_id": 0,
    "seed": 1, "dtype": "float32", "quantize": 0, "mode": "affine", "endless": False, "original": False,
    "wrapper": None, "fp8": None, "loudness": 2.5,
} | overrides
seed, dtype, bits = settings.pop("seed"), settings.pop("dtype"), settings.pop("quantize")
endless, mode, original = settings.pop("endless"), settings.pop("mode"), settings.pop("original")
wrapper, block, loudness = settings.pop("wrapper"), settings.pop("fp8"), settings.pop("loudness")
vocabulary, end = settings["vocab_size"], settings["eos_token_id"]
if wrapper:
    settings = {"model_type": wrapper, "vocab_size": vocabulary, "eos_token_id": end, "text_config": settings}

mx.random.seed(seed)
module = importlib.import_module(f"mlx_lm.models.{settings['model_type']}")
model = module.Model(module.ModelArgs.from_dict(settings))
# Larger than usual, so that the logits are decided and every part of the network matters.
model.update_modules({})
for name, weight in tree_flatten(model.parameters()):
    is_factor = "norm" in name or "scal" in name
    scale, middle = (0.1, 1.0) if is_factor else (loudness * weight.shape[-1] ** -0.5, 0.0)
    fresh = mx.random.normal(weight.shape) * scale + middle
    model.load_weights([(name, fresh.astype(getattr(mx, dtype)))], strict=False)
if endless:
    # A logit of exactly 0, below the largest of thousands of random ones.
    model.lm_head.weight[end] = 0.0
if bits:
    group_size = 16 if mode == "nvfp4" else 32
    nn.quantize(model, group_size=group_size, bits=bits, mode=mode)
    settings["quantization"] = {"group_size": group_size, "bits": bits, "mode": mode}


def as_made(weights):
    """The tensors by the names and in the shapes that the model's makers give them."""
    if wrapper == "qwen3_5_moe":
        weights = {name.replace(".switch_mlp.", ".experts.switch_glu."): tensor for name, tensor in weights.items()}
    is_zero_centred = any(name.endswith(".linear_attn.norm.weight") for name in weights)
    for name in list(weights):
        if ".switch_mlp." in name:
            single = name.replace(".fc1.", ".up_proj.").replace(".fc2.", ".down_proj.")
            for expert, matrix in enumerate(weights.pop(name)):
                weights[single.replace(".switch_mlp.", f".experts.{expert}.")] = matrix
        elif name.endswith(".conv1d.weight"):
            weights[name] = weights[name].swapaxes(-1, -2)
        elif is_zero_centred and name.endswith("norm.weight") and ".linear_attn.norm." not in name:
            weights[name] -= 1.0
        elif name.endswith(".switch_glu.gate_proj.weight"):
            gate_up = [weights.pop(name), weights.pop(name.replace("gate_proj", "up_proj"))]
            weights[name.replace("switch_glu.gate_proj.weight", "gate_up_proj")] = mx.concatenate(gate_up, axis=1)
        elif name.endswith(".switch_glu.down_proj.weight"):
            weights[name.replace("switch_glu.down_proj.weight", "down_proj")] = weights.pop(name)
        elif name.endswith(".feed_forward.experts.gate_proj.weight"):
            gate_up = [weights.pop(name), weights.pop(name.replace("gate_proj", "up_proj"))]
            weights[name.replace("gate_proj.weight", "gate_up_proj")] = mx.concatenate(gate_up, axis=1).swapaxes(1, 2)
        elif name.endswith(".feed_forward.experts.down_proj.weight"):
            weights[name.removesuffix(".weight")] = weights.pop(name).swapaxes(1, 2)
        elif name.endswith(".embed_q.weight"):
            keys = weights.pop(name).swapaxes(-1, -2)
            values = weights.pop(name.replace("embed_q", "unembed_out"))
            both = mx.concatenate([keys, values], axis=1)
            weights[name.replace("embed_q", "kv_b_proj")] = both.reshape(-1, both.shape[-1])
    if wrapper in ("gemma4", "mistral3", "qwen3_5", "qwen3_5_moe"):
        inner = {name: name.replace("language_model.model.", "model.language_model.") for name in weights}
        weights = {inner[name].removeprefix("language_model."): tensor for name, tensor in weights.items()}
    return weights


def of_8_bits(weights):
    """Matrices of layers as bytes, with a scale for each block."""
    rows, columns = block
    for name in [name for name in weights if name.endswith("_proj.weight") or name.endswith("_mqa.weight")]:
        height, width = weights[name].shape
        padded = mx.pad(weights[name].astype(mx.float32), ((0, -height % rows), (0, -width % columns)))
        blocks = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
        scales = mx.abs(blocks).max(axis=(1, 3)) / 448.0
        scaled = (blocks / scales[:, None, :, None]).reshape(padded.shape)[:height, :width]
        weights[name], weights[name + "_scale_inv"] = mx.to_fp8(scaled), scales
    return weights


def say_of_8_bits(file):
    """MLX writes such bytes as integers: the header is to say what they are."""
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = data[8:8 + length].replace(b'"dtype":"U8"', b'"dtype":"F8_E4M3"')
    file.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + length:])


folder.mkdir(parents=True, exist_ok=True)
weights = dict(tree_flatten(model.parameters()))
weights = as_made(weights) if original else weights
file = folder / "model.safetensors"
mx.save_safetensors(str(file), of_8_bits(weights) if block else weights, {"format": "mlx"})
if block:
    say_of_8_bits(file)
    settings["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": block}
(folder / "config.json").write_text(json.dumps(settings, indent=2))
# Token ids are all that parity needs: a byte-level tokenizer whose vocabulary is filled up with made-up words.
alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
words = ["<end>"] + alphabet + [f"<w{index}>" for index in range(vocabulary - 1 - len(alphabet))]
tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({word: index for index, word in enumerate(words)}, []))
tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = tokenizers.decoders.ByteLevel()
tokenizer.save(str(folder / "tokenizer.json"))
(folder / "tokenizer_config.json").write_text(json.dumps(
    {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>"}))
print(json.dumps({"folder": str(folder)}))
