"""Decode steps of mlx-lm's model in FOLDER: the host's time to build each one's graph, and the time to evaluate it; and those
of as many whole ones of which each is built while the one before is computed, as mlx-lm does when it generates.

Usage: reference.py FOLDER CONTEXT STEPS BATCH. Prints `{"build": [...], "evaluate": [...], "step": [...]}` and evaluates only
what the model itself asks for.
"""

import json
import sys
import time

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model
from pathlib import Path

folder, (context, steps, batch) = Path(sys.argv[1]), map(int, sys.argv[2:5])
model, _ = load_model(folder)
cache = make_prompt_cache(model)
tokens = mx.array([[1 + (row + at) % 255 for at in range(context)] for row in range(batch)])
began = time.perf_counter()
mx.eval(model(tokens, cache=cache))
prefill = time.perf_counter() - began
build, evaluate = [], []
for step in range(steps):
    token = mx.array([[1 + (row + context + step) % 255] for row in range(batch)])
    began = time.perf_counter()
    logits = model(token, cache=cache)[:, -1]
    built = time.perf_counter()
    mx.eval(logits)
    evaluate.append(1e6 * (time.perf_counter() - built))
    build.append(1e6 * (built - began))
whole = []
tokens = [mx.array([[1 + (row + context + step) % 255] for row in range(batch)]) for step in range(steps, 2 * steps + 1)]
following = model(tokens[0], cache=cache)[:, -1]
mx.async_eval(following)
for token in tokens[1:]:
    began = time.perf_counter()
    logits, following = following, model(token, cache=cache)[:, -1]
    mx.async_eval(following)
    mx.eval(logits)
    whole.append(1e6 * (time.perf_counter() - began))
first = logits[:, 0].astype(mx.float32).tolist()
print(json.dumps({"prefill": 1e6 * prefill, "build": build, "evaluate": evaluate, "step": whole, "logits": first}))
