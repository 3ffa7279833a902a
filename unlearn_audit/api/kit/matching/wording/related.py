"""Words that may stand for each other: of one stem, in one set of synonyms, or derived one from the other.

English only: the sets are those of WordNet 3.1 (Princeton; `LICENSE-WordNet.txt`), whichever of its senses a word has,
so that "influence" stands for "impact" and "attorney" for "lawyer". `benchmarks/related_words.py` wrote `related.txt`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nltk.stem.snowball import SnowballStemmer


@lru_cache(maxsize=1)
def _stemmer() -> SnowballStemmer:
    from nltk.stem.snowball import SnowballStemmer  # slow to import; rouge-score brings it

    return SnowballStemmer("english")


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The stem of a folded English word; any other word as it is."""
    return str(_stemmer().stem(word)) if word.isascii() and word.isalpha() else word


@lru_cache(maxsize=1)
def _related() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in Path(__file__).with_name("related.txt").read_text(encoding="ascii").splitlines():
        one, *others = line.split()
        found.setdefault(one, set()).update(others)
        for other in others:
            found.setdefault(other, set()).add(one)
    return {one: frozenset(others) for one, others in found.items()}


def related(one: str, other: str) -> bool:
    """Whether two stems may stand for each other."""
    return one == other or other in related_to(one)


def related_to(one: str) -> frozenset[str]:
    """All other stems that a stem may stand for."""
    return _related().get(one, frozenset())
