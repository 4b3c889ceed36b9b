"""Sprout's tokenizer: byte-level BPE with all 256 bytes, so that any UTF-8 text round-trips, and its chat template."""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
END, ROLE = 0, {"system": 1, "user": 2, "assistant": 3}
VOCABULARY = 1280
# One digit at a time, with the space before it, so that numbers are spelled and not learned by heart.
PIECES = r" ?\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CHAT_TEMPLATE = """{%- for message in messages -%}
{%- if message['role'] not in ['system', 'user', 'assistant'] -%}
{{- raise_exception('Sprout knows the roles system, user and assistant, not ' + message['role']) -}}
{%- endif -%}
{{- '<|' + message['role'] + '|>' + message['content'] | trim + '<|end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"""


def train(texts: list[str]) -> Tokenizer:
    """Learns the merges from the corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PIECES), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, min_frequency=2, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    tokenizer.train_from_iterator(texts, trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """tokenizer.json and what the Hugging Face format keeps beside it."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 1024, "clean_up_tokenization_spaces": False,
        "bos_token": None, "eos_token": "<|end|>", "pad_token": "<|end|>",
        "additional_special_tokens": SPECIAL[1:], "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def encode(tokenizer: Tokenizer, document: list[tuple[str, str]], others: float) -> tuple[list[int], list[float]]:
    """A document's tokens, and how much predicting each of them counts: answers fully, the rest `others`."""
    tokens, weights = [], []
    for role, text in document:
        ids = tokenizer.encode(text, add_special_tokens=False).ids + [END]
        counts = 1.0 if role in ("assistant", "text") else others
        if role in ROLE:
            tokens.append(ROLE[role])
            weights.append(0.0)
        tokens += ids
        weights += [counts] * len(ids)
    return tokens, weights
