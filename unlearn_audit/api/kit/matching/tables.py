"""Words and endings that the matcher knows: `tables.yaml`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from unlearn_audit.api.kit.matching.folding import fold
from unlearn_audit.api.kit.text_files import read_texts


def _split(text: str) -> list[str]:
    return text.split()


def _split_and_fold(text: str) -> list[str]:
    return fold(text).split()


FoldedSet = Annotated[frozenset[str], BeforeValidator(_split_and_fold)]
Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
WordSet = Annotated[frozenset[str], BeforeValidator(_split)]


class Tables(BaseModel):
    """The data file next to this module."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    particles: Words
    places: Words
    before: dict[str, str]
    behind: dict[str, str]
    bigger: WordSet
    about: WordSet
    dates: FoldedSet
    scales: dict[int, Words]
    alone: WordSet
    counters: Words
    metric: dict[str, tuple[str, float]]
    units: tuple[tuple[str, float, tuple[str, ...]], ...]
    signs: dict[str, str]
    numerals: dict[str, Words]
    subordinate: WordSet
    links: WordSet
    wording: WordSet
    openings: WordSet
    function: WordSet
    verbs: WordSet
    alike: tuple[tuple[str, ...], ...]
    whole: tuple[tuple[str, ...], ...]
    titles: frozenset[str]
    degrees: frozenset[str]
    articles: frozenset[str]
    ordinary: WordSet


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The tables, read once."""
    return read_texts(Tables, Path(__file__).with_name("tables.yaml"))
