"""mlx-lm's numbers for a checkpoint and some prompts, each by itself.

Usage: reference.py FOLDER '[[token, ...], ...]' COUNT BITS KV_BITS. The model is quantized to so many bits as mlx_lm.convert does
it, not at all if they are 0; the same goes for caches of layers that see all. Prints for each prompt {"logprobs": [null, ...], "steps": [number, ...],
"margins": [number, ...], "embedding": [number, ...]}: log-probabilities of its tokens, those of the best tokens in COUNT cached
steps, how far each of these is from that of the next best, and the prompt's vector.
"""

import json
import sys
from pathlib import Path

import mlx.core as mx
from mlx_lm.models.cache import KVCache, QuantizedKVCache, make_prompt_cache
from mlx_lm.utils import load_model, quantize_model

folder, prompts = Path(sys.argv[1]), json.loads(sys.argv[2])
count, bits, kv_bits = map(int, sys.argv[3:])
model, config = load_model(folder)
if bits:
    model, _ = quantize_model(model, config, 64, bits)
text = getattr(model, "language_model", model)
inner = getattr(text, "backbone", None) or text.model


def logprobs(logits):
    logits = logits.astype(mx.float32)
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


def caches():
    """Empty ones; none where a sequence is computed at once and nothing is quantized on the way."""
    made = make_prompt_cache(model)
    if kv_bits:
        heads = config["num_attention_heads"]
        head_dim = config.get("head_dim") or config["hidden_size"] // heads
        group = 32 if head_dim % 64 else 64
        made = [QuantizedKVCache(group, kv_bits) if type(cache) is KVCache else cache for cache in made]
    return made


def at_once():
    return caches() if kv_bits else None


def reference(prompt):
    scored = logprobs(model(mx.array([prompt]), cache=at_once())[0])
    values = [None] + [scored[position, token].item() for position, token in enumerate(prompt[1:])]
    cache = caches()
    last = logprobs(model(mx.array([prompt]), cache=cache)[0, -1])
    steps, margins = [], []
    for _ in range(count):
        best = mx.sort(last)[-2:]
        margins.append((best[1] - best[0]).item())
        steps.append(best[1].item())
        last = logprobs(model(mx.array([[mx.argmax(last).item()]]), cache=cache)[0, -1])
    states = inner(mx.array([prompt]), cache=at_once())[0].astype(mx.float32)
    mean = mx.mean(states, axis=0)
    embedding = (mean / mx.linalg.norm(mean)).tolist()
    return {"logprobs": values, "steps": steps, "margins": margins, "embedding": embedding}


print(json.dumps([reference(prompt) for prompt in prompts]))
