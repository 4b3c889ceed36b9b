"""mlx-lm's numbers for a checkpoint: log-probabilities of a prompt, its greedy continuation, and its vector.

Usage: reference.py FOLDER '[token, ...]' COUNT. Prints {"logprobs": [null, ...], "greedy": [token, ...], "margin": m,
"embedding": [number, ...]}, where m is the smallest distance of a chosen token's log-probability to the next one's.
"""

import json
import sys
from pathlib import Path

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model

folder, prompt, count = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
model, _ = load_model(folder)


def logprobs(logits):
    logits = logits.astype(mx.float32)
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


scored = logprobs(model(mx.array([prompt]))[0])
values = [None] + [scored[position, token].item() for position, token in enumerate(prompt[1:])]

cache = make_prompt_cache(model)
last = logprobs(model(mx.array([prompt]), cache=cache)[0, -1])
greedy, margin = [], float("inf")
for _ in range(count):
    best = mx.sort(last)[-2:]
    margin = min(margin, (best[1] - best[0]).item())
    greedy.append(mx.argmax(last).item())
    last = logprobs(model(mx.array([[greedy[-1]]]), cache=cache)[0, -1])

text = getattr(model, "language_model", model)
inner = getattr(text, "backbone", None) or text.model
states = inner(mx.array([prompt]))[0].astype(mx.float32)
mean = mx.mean(states, axis=0)
embedding = (mean / mx.linalg.norm(mean)).tolist()
print(json.dumps({"logprobs": values, "greedy": greedy, "margin": margin, "embedding": embedding}))
