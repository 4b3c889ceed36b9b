"""The corpus files' small grammar: (a|b) chooses, [a|b] chooses or leaves out, $name stands for a line "$name = ..."."""

import random
import re
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def expand(text: str, rng: random.Random) -> str:
    """One random sentence of a grammar line."""
    sentence, position = _sequence(text, 0, "", rng)
    assert position == len(text), f"unbalanced: {text}"
    return re.sub(r"\s+", " ", sentence).strip()


def _sequence(text: str, position: int, closing: str, rng: random.Random) -> tuple[str, int]:
    """Expands up to a character of `closing`, or the end. Ends because the position grows with every turn."""
    pieces = []
    while position < len(text) and text[position] not in closing:
        if text[position] in "([":
            end = ")" if text[position] == "(" else "]"
            options = []
            while text[position] != end:
                piece, position = _sequence(text, position + 1, "|" + end, rng)
                options.append(piece)
            pieces.append(rng.choice(options) if end == ")" or rng.random() < 0.5 else "")
        else:
            pieces.append(text[position])
        position += 1
    return "".join(pieces), position


class Topic:
    """One answer and the ways to ask for it."""

    def __init__(self, answer: str):
        self.answer = answer
        self.questions: list[str] = []
        self.only_unnamed: list[str] = []  # "?-": only where no system prompt gives a name
        self.only_named: list[str] = []  # "?+": only where one does
        self.terms: list[str] = []


def read_topics(name: str) -> tuple[list[Topic], dict[str, list[str]]]:
    """The topics of a corpus file, and its lists ("% name: words")."""
    topics: list[Topic] = []
    macros: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for line in (CORPUS / name).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("$") and " = " in line:
            key, value = line.split(" = ", 1)
            macros[key] = value
        elif line.startswith("% "):
            key, words = line[2:].split(":")
            lists[key] = [word.replace("+", " ") for word in words.split()]
        elif line.startswith("= "):
            topics.append(Topic(line[2:]))
        elif line.startswith("@ "):
            topics[-1].terms = line[2:].split("; ")
        else:
            for key in sorted(macros, key=len, reverse=True):
                line = line.replace(key, macros[key])
            if line.startswith("?- "):
                topics[-1].only_unnamed.append(line[3:])
            elif line.startswith("?+ "):
                topics[-1].only_named.append(line[3:])
            else:
                topics[-1].questions.append(line)
    return topics, lists


def read_lines(name: str) -> list[str]:
    """The lines of a corpus file that has no topics."""
    return [line for line in (CORPUS / name).read_text().splitlines() if line and not line.startswith("#")]
