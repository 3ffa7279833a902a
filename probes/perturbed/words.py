"""Words of a text that can be exchanged for others of the same make."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])\w)+")
_SENTENCE_END = re.compile(r"[.!?]\s*[\"'”’)]*\s*$")
FIRST = "first"
_SHORTEST = 4
"""Letters of a word that may be exchanged: shorter ones are grammar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A word with its place in a text.

    Attributes:
        make: what it must have in common with what takes its place: digits, a capital, neither, or the first place of a
            sentence (`FIRST`), where a capital says nothing.
    """

    text: str
    start: int
    end: int
    make: str


def words_in(text: str) -> list[Word]:
    """All words that may be exchanged, in their order; in scripts without blanks, every character."""
    found = []
    for one in _WORD.finditer(text):
        make = _make(one.group(), starts=not text[: one.start()].strip() or _SENTENCE_END.search(text[: one.start()]))
        if make is not None:
            found.append(Word(text=one.group(), start=one.start(), end=one.end(), make=make))
    return found


def starts_in(text: str) -> list[int]:
    """Where words begin, all of them."""
    return [one.start() for one in _WORD.finditer(text)]


def _make(word: str, *, starts: object) -> str | None:
    if word[0].isdigit():
        return f"number of {sum(one.isdigit() for one in word)}"
    if re.match(f"[{_UNSPACED}]", word):
        return "character"
    if word[0].isupper() and not starts:
        return "name"
    if len(word) < _SHORTEST:
        return None
    return FIRST if starts else "word"


def drawn(candidates: Iterable[str], count: int, key: str) -> list[str]:
    """So many of the candidates, by a draw that the key alone decides."""
    ordered = sorted(set(candidates))
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return random.Random(seed).sample(ordered, min(count, len(ordered)))  # noqa: S311 - a draw, not a secret


def spread(words: Sequence[Word], count: int) -> list[Word]:
    """So many of them, evenly spread."""
    if len(words) <= count:
        return list(words)
    return [words[int((place + 0.5) * len(words) / count)] for place in range(count)]
