"""mlx-lm's numbers for a checkpoint and some prompts, each by itself.

Usage: reference.py FOLDER '[[token, ...], ...]' COUNT BITS. The model is quantized to so many bits as mlx_lm.convert does it, not
at all if they are 0. Prints for each prompt {"logprobs": [null, ...], "steps": [number, ...],
"margins": [number, ...], "embedding": [number, ...]}: log-probabilities of its tokens, those of the best tokens in COUNT cached
steps, how far each of these is from that of the next best, and the prompt's vector.
"""

import json
import sys
from pathlib import Path

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model, quantize_model

folder, prompts, count, bits = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
model, config = load_model(folder)
if bits:
    model, _ = quantize_model(model, config, 64, bits)
text = getattr(model, "language_model", model)
inner = getattr(text, "backbone", None) or text.model


def logprobs(logits):
    logits = logits.astype(mx.float32)
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


def reference(prompt):
    scored = logprobs(model(mx.array([prompt]))[0])
    values = [None] + [scored[position, token].item() for position, token in enumerate(prompt[1:])]
    cache = make_prompt_cache(model)
    last = logprobs(model(mx.array([prompt]), cache=cache)[0, -1])
    steps, margins = [], []
    for _ in range(count):
        best = mx.sort(last)[-2:]
        margins.append((best[1] - best[0]).item())
        steps.append(best[1].item())
        last = logprobs(model(mx.array([[mx.argmax(last).item()]]), cache=cache)[0, -1])
    states = inner(mx.array([prompt]))[0].astype(mx.float32)
    mean = mx.mean(states, axis=0)
    embedding = (mean / mx.linalg.norm(mean)).tolist()
    return {"logprobs": values, "steps": steps, "margins": margins, "embedding": embedding}


print(json.dumps([reference(prompt) for prompt in prompts]))
