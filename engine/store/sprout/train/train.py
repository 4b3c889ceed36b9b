"""Trains Sprout: `python train.py OUT`. Seeded; writes the whole model folder, and a checkpoint as it goes.

The README beside this file says what it needs and how long it takes.
"""

import argparse
import json
import pickle
import time
from pathlib import Path

import jax
import jax.numpy as jn
import numpy as np

import model
import tokenizer as sprout_tokenizer
from dialogs import Corpus

SEED = 3775
STEPS = 3600
# From the first of these steps on only answers count; at each of them what must be worked out comes more often.
PART_STEPS = (600, 800)
STEP_TOKENS = 3072
SHORT, LONG = 128, 512  # row lengths: most documents are short, and short rows are cheap
MATRIX_RATE, OTHER_RATE, WEIGHT_DECAY = 0.02, 0.004, 0.02
QUESTION_WEIGHT = 0.1  # how much predicting a question's tokens counts; an answer's count 1
# The learning rate's share of its full value at these steps, straight lines in between.
SCHEDULE = [(0, 0.0), (40, 1.0), (600, 1.0), (800, 0.6), (1800, 0.0), (1830, 0.6), (3600, 0.0)]
CHECKPOINT_STEPS = 100


class Rows:
    """Packs documents into rows of two lengths and hands out batches of one length."""

    def __init__(self, tokenizer, seed: int):
        self.tokenizer, self.corpus = tokenizer, Corpus(seed)
        self.full: dict[int, list] = {SHORT: [], LONG: []}
        self.open: dict[int, list] = {SHORT: [], LONG: []}

    def batch(self, step: int):
        """tokens, targets, weights and segments [rows, length] of the length that is complete first."""
        self.corpus.part = sum(step > begun for begun in PART_STEPS)
        while True:
            for length, rows in self.full.items():
                if len(rows) >= STEP_TOKENS // length:
                    count = STEP_TOKENS // length
                    taken, self.full[length] = rows[:count], rows[count:]
                    return [np.stack(column) for column in zip(*taken)]
            others = 0.0 if self.corpus.part > 0 else QUESTION_WEIGHT
            self.add(sprout_tokenizer.encode(self.tokenizer, self.corpus.document(), others))

    def add(self, document) -> None:
        """Into the first open row with room; a row that has been tried often or is nearly full is closed."""
        tokens, _ = document
        length = SHORT if len(tokens) <= SHORT else LONG
        if len(tokens) > LONG:
            return
        rows = self.open[length]
        for row in rows:
            if sum(len(part[0]) for part in row) + len(tokens) <= length:
                row.append(document)
                return
        rows.append([document])
        if len(rows) > 16:
            self.full[length].append(pack(rows.pop(0), length))


def pack(documents, length: int):
    tokens, targets = np.zeros(length, np.int32), np.zeros(length, np.int32)
    weights, segments = np.zeros(length, np.float32), np.full(length, -1, np.int32)
    at = 0
    for number, (ids, counts) in enumerate(documents):
        end = at + len(ids)
        tokens[at:end], segments[at:end] = ids, number
        targets[at:end - 1], weights[at:end - 1] = ids[1:], counts[1:]
        at = end
    return tokens, targets, weights, segments


def loss(weights, tokens, targets, counts, segments):
    out = model.logits(weights, tokens, segments)
    missed = jax.nn.logsumexp(out, -1) - jn.take_along_axis(out, targets[..., None], -1)[..., 0]
    return jn.sum(missed * counts) / jn.sum(counts)


def orthogonal(g):
    """The nearest matrix with equal singular values, by Newton and Schulz's iteration (the Muon optimizer)."""
    tall = g.shape[-2] > g.shape[-1]
    x = jn.swapaxes(g, -1, -2) if tall else g
    x = x / (jn.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
    for _ in range(5):
        a = x @ jn.swapaxes(x, -1, -2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return jn.swapaxes(x, -1, -2) if tall else x


@jax.jit
def update(weights, state, rate, step, tokens, targets, counts, segments):
    """One step: Muon for the layers' matrices, Adam for the rest."""
    value, gradients = jax.value_and_grad(loss)(weights, tokens, targets, counts, segments)
    new, new_state = {"matrices": {}}, {"matrices": {}}
    for name, w in weights["matrices"].items():
        g = gradients["matrices"][name]
        momentum = 0.95 * state["matrices"][name] + g
        direction = orthogonal(g + 0.95 * momentum) * max(1.0, w.shape[-2] / w.shape[-1]) ** 0.5
        new["matrices"][name] = w * (1 - rate * MATRIX_RATE * WEIGHT_DECAY) - rate * MATRIX_RATE * direction
        new_state["matrices"][name] = momentum
    for name in ("embedding", "norm", "norm_in", "norm_post"):
        mean, square = state[name]
        mean = 0.9 * mean + 0.1 * gradients[name]
        square = 0.95 * square + 0.05 * gradients[name] ** 2
        direction = mean / (1 - 0.9 ** step) / (jn.sqrt(square / (1 - 0.95 ** step)) + 1e-8)
        new[name] = weights[name] - rate * OTHER_RATE * direction
        new_state[name] = (mean, square)
    return new, new_state, value


def rate_at(step: int) -> float:
    return float(np.interp(step - 0.5, *zip(*SCHEDULE)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoint.pickle"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    sample = Corpus(SEED)
    tokenizer = sprout_tokenizer.train([text for _ in range(40_000) for _, text in sample.document()])
    sprout_tokenizer.save(tokenizer, arguments.out)
    (arguments.out / "config.json").write_text(json.dumps(model.CONFIG, indent=2) + "\n")
    generation = {"do_sample": False, "eos_token_id": 0, "pad_token_id": 0}
    (arguments.out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")

    weights = model.initial(SEED)
    state = {"matrices": {name: jn.zeros_like(w) for name, w in weights["matrices"].items()}}
    state |= {name: (jn.zeros_like(weights[name]), jn.zeros_like(weights[name])) for name in weights if name != "matrices"}
    rows, begun, recent, done = Rows(tokenizer, SEED), time.time(), [], 0
    if arguments.checkpoint.exists():
        done, weights, state = pickle.loads(arguments.checkpoint.read_bytes())
    for step in range(1, STEPS + 1):
        batch = rows.batch(step)
        if step <= done:
            continue
        weights, state, value = update(weights, state, rate_at(step), float(step), *batch)
        recent.append(float(value))
        if step % 20 == 0:
            speed = (step - done) * STEP_TOKENS / (time.time() - begun)
            print(f"step {step} loss {np.mean(recent[-20:]):.4f} {speed:.0f} tokens/s {time.time() - begun:.0f} s", flush=True)
        if step % CHECKPOINT_STEPS == 0 or step == STEPS:
            model.save(weights, str(arguments.out / "model.safetensors"))
            arguments.checkpoint.write_bytes(pickle.dumps(jax.device_get((step, weights, state))))


if __name__ == "__main__":
    main()
