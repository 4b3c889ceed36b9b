"""Asks a model folder the held-out questions: `python eval.py MODEL_FOLDER`, greedily, through mlx-lm.

Refuses to run if a held-out question is in the training corpus in the same wording. An answer counts when it has
any of the accepted words, is whole sentences and was ended by the model itself.
"""

import json
import re
import sys
from pathlib import Path

import mlx.core as mx
from mlx_lm import load
from mlx_lm.generate import generate_step

from dialogs import PART_WEIGHTS, Corpus

SEED, PART_DOCUMENTS = 3775, 100_000  # of each part of the training: together more than a run draws
ANSWER_TOKENS_MAX = 200


def plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def refuse_known(questions: list[dict]) -> None:
    corpus, known = Corpus(SEED), set()
    for corpus.part in range(len(PART_WEIGHTS)):
        documents = (corpus.document() for _ in range(PART_DOCUMENTS))
        known.update(plain(text) for document in documents for role, text in document if role == "user")
    asked = [question["messages"][-1]["content"] for question in questions]
    seen = [text for text in asked if plain(text) in known]
    assert not seen, f"in the corpus: {seen}"


def answer(network, tokenizer, messages: list[dict]) -> tuple[str, bool, float]:
    """The answer, whether the model ended it, and the smallest lead of a chosen token over the next (in nats)."""
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    tokens, lead = [], float("inf")
    for token, logprobs in generate_step(mx.array(prompt), network, max_tokens=ANSWER_TOKENS_MAX):
        best = mx.sort(logprobs)[-2:]
        lead = min(lead, (best[1] - best[0]).item())
        if token == tokenizer.eos_token_id:
            return tokenizer.decode(tokens), True, lead
        tokens.append(token)
    return tokenizer.decode(tokens), False, lead


def main() -> None:
    mx.set_default_device(mx.cpu)
    network, tokenizer = load(sys.argv[1])
    questions = json.loads((Path(__file__).parent / "heldout.json").read_text())
    refuse_known(questions)
    right = 0
    for question in questions:
        text, ended, lead = answer(network, tokenizer, question["messages"])
        whole = ended and re.fullmatch(r"[A-Z0-9].*[.!?]", text, re.DOTALL) is not None
        correct = whole and any(words in text for words in question["accept"])
        right += correct
        print(f"{'right' if correct else 'WRONG'}  lead {lead:.2f}  {question['messages'][-1]['content']}\n       {text}")
    print(f"{right} of {len(questions)} right")
    sys.exit(0 if right >= 0.8 * len(questions) else 1)


if __name__ == "__main__":
    main()
