"""The Llama architecture in JAX, as small as training needs it, and its weights under their Hugging Face names."""

import jax
import jax.numpy as jn
import numpy as np
from safetensors.numpy import save_file

HIDDEN, LAYERS, HEADS, HEAD_DIM, INNER, VOCABULARY = 192, 6, 6, 32, 528, 1280
ROPE_THETA, NORM_EPS, CONTEXT = 10000.0, 1e-5, 1024

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER,
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": HEAD_DIM,
    "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "rope_theta": ROPE_THETA, "rope_scaling": None,
    "rms_norm_eps": NORM_EPS, "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True,
    "bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0, "torch_dtype": "float32",
}
MATRICES = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
            "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
NORMS = {"norm_in": "input_layernorm", "norm_post": "post_attention_layernorm"}


def initial(seed: int) -> dict:
    """Random weights; the matrices of all layers are stacked along the first axis."""
    rng = np.random.default_rng(seed)

    def normal(*shape, scale):
        return jn.asarray(rng.normal(size=shape) * scale, jn.float32)

    wide = HIDDEN ** -0.5
    shapes = {"q": (HIDDEN, HIDDEN), "k": (HIDDEN, HIDDEN), "v": (HIDDEN, HIDDEN), "gate": (INNER, HIDDEN), "up": (INNER, HIDDEN)}
    matrices = {name: normal(LAYERS, *shape, scale=wide) for name, shape in shapes.items()}
    # What is added to the residual stream begins at nothing.
    matrices |= {"o": jn.zeros((LAYERS, HIDDEN, HIDDEN)), "down": jn.zeros((LAYERS, HIDDEN, INNER))}
    return {"matrices": matrices, "embedding": normal(VOCABULARY, HIDDEN, scale=0.02), "norm": jn.ones(HIDDEN),
            "norm_in": jn.ones((LAYERS, HIDDEN)), "norm_post": jn.ones((LAYERS, HIDDEN))}


def logits(weights: dict, tokens, segments):
    """Logits [rows, length, vocabulary]; tokens of different segments of a row do not see each other."""
    rows, length = tokens.shape
    angles = np.arange(length)[:, None] * ROPE_THETA ** (-np.arange(HEAD_DIM // 2) / (HEAD_DIM // 2))
    cos, sin = jn.asarray(np.cos(angles), jn.float32), jn.asarray(np.sin(angles), jn.float32)
    seen = (segments[:, :, None] == segments[:, None, :]) & np.tril(np.ones((length, length), bool))
    mask = jn.where(seen, 0.0, -1e9)[:, None]

    def norm(x, weight):
        return x * jax.lax.rsqrt(jn.mean(x * x, -1, keepdims=True) + NORM_EPS) * weight

    def rotate(x):
        a, b = jn.split(x, 2, -1)
        return jn.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def heads(x):
        return x.reshape(rows, length, HEADS, HEAD_DIM).transpose(0, 2, 1, 3)

    x = weights["embedding"][tokens]
    for layer in range(LAYERS):
        w = {name: matrix[layer] for name, matrix in weights["matrices"].items()}
        y = norm(x, weights["norm_in"][layer])
        q, k, v = rotate(heads(y @ w["q"].T)), rotate(heads(y @ w["k"].T)), heads(y @ w["v"].T)
        scores = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) * HEAD_DIM ** -0.5 + mask, -1)
        x = x + (scores @ v).transpose(0, 2, 1, 3).reshape(rows, length, HIDDEN) @ w["o"].T
        y = norm(x, weights["norm_post"][layer])
        x = x + (jax.nn.silu(y @ w["gate"].T) * (y @ w["up"].T)) @ w["down"].T
    return norm(x, weights["norm"]) @ weights["embedding"].T


def save(weights: dict, path: str) -> None:
    """model.safetensors in float32: exact, and the fast number format on processors."""
    tensors = {"model.embed_tokens.weight": weights["embedding"], "model.norm.weight": weights["norm"]}
    for layer in range(LAYERS):
        for name, full in MATRICES.items():
            tensors[f"model.layers.{layer}.{full}.weight"] = weights["matrices"][name][layer]
        for name, full in NORMS.items():
            tensors[f"model.layers.{layer}.{full}.weight"] = weights[name][layer]
    save_file({name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}, path, {"format": "pt"})
