"""Information hygiene: does a text that an attack trains on, or puts into a prompt, give away what is being scored?

Attacks drop such texts themselves (`AttackContext.screen`), and the runner checks again what each dose says that its
model was shown: a leak of the audit's own making would read as a leak of the checkpoint.

Answers are shared among subjects (two people are born in one town), so an answer alone gives nothing away. A text
does if it asks a scored fact's own question, repeats a scored passage, or names a scored subject *and* holds the
answer. Names and answers
are compared as runs of whole words, in one spelling (NFKC, case folded, punctuation gone), and fuzzily from five
letters on: "Hsiao Yun-Hwa" is found in "hsiao yunhwa", and no "Mann" in "Manning".
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearn_audit.api import Fact

ALIKE = 88
"""Least similarity of two runs of words, in percent (normalised indel similarity): one letter in four or five."""

FUZZY_FROM = 5
"""Letters from which a run of words may be misspelt and still count; shorter ones must be exact."""

LEAK_SHARE = 0.8
"""Share of a scored answer's words that gives it away, where the fact has no aliases."""

PASSAGE_SHARE = 0.95
"""Share of a scored passage's words that gives it away without its subject: others may be cut from one template."""

_WORD = re.compile(r"\w+", re.UNICODE)
_WINDOWS_AT_ONCE = 4096


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in one spelling: NFKC, case folded, punctuation gone."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Screening:
    """What was found in some texts.

    Attributes:
        gives_away: for each text, whether it states a scored fact.
        share_a_value: texts that hold a scored answer without its subject: kept, since every role meets them alike.
    """

    gives_away: tuple[bool, ...]
    share_a_value: int

    @property
    def dropped(self) -> int:
        """How many texts give something away."""
        return sum(self.gives_away)


class Screen:
    """Checks texts against the facts that will be scored."""

    def __init__(self, scored: Iterable[Fact]) -> None:
        self._by_subject: dict[str, list[Fact]] = {}
        self._passages: list[Counter[str]] = []
        questions: set[str] = set()
        values: set[str] = set()
        for fact in scored:
            self._by_subject.setdefault(_joined(fact.subject) or fact.subject, []).append(fact)
            questions.update(_joined(text) for text in (fact.question, *fact.paraphrases) if text)
            values.update(_joined(alias) for alias in fact.aliases or ((fact.answer,) if fact.answer else ()))
            if fact.question is None and fact.text:
                self._passages.append(Counter(words_of(fact.text)))
        self._questions = tuple(sorted(filter(None, questions)))
        self._values = tuple(sorted(filter(None, values)))
        self._subjects = tuple(sorted(self._by_subject))

    def __call__(self, texts: Sequence[str]) -> Screening:
        """Screens whole texts: a prompt with its answer, a passage, a suffix."""
        spelt = [words_of(text) for text in texts]
        named = _runs_alike(spelt, self._subjects)
        gives_away = tuple(
            _holds_any(words, self._questions)
            or any(_holds_share(words, passage, PASSAGE_SHARE) for passage in self._passages)
            or any(self._states(words, self._subjects[place]) for place in places)
            for words, places in zip(spelt, named, strict=True)
        )
        mentions = sum(
            not gives and _holds_any(words, self._values) for words, gives in zip(spelt, gives_away, strict=True)
        )
        return Screening(gives_away=gives_away, share_a_value=mentions)

    def _states(self, words: tuple[str, ...], subject: str) -> bool:
        return any(_holds_answer(words, fact) for fact in self._by_subject[subject])


def _holds_answer(words: tuple[str, ...], fact: Fact) -> bool:
    if fact.aliases:
        aliases = tuple(filter(None, map(_joined, fact.aliases)))
        return bool(_runs_alike([words], aliases)[0])
    return _holds_share(words, Counter(words_of(fact.answer or fact.text or "")), LEAK_SHARE)


def _holds_share(words: tuple[str, ...], wanted: Counter[str], share: float) -> bool:
    """Whether a text holds this share of some words, in any order."""
    least = share * wanted.total()
    return bool(wanted) and len(words) >= least and (wanted & Counter(words)).total() >= least


def _joined(text: str) -> str:
    return " ".join(words_of(text))


def _holds_any(words: tuple[str, ...], runs: Sequence[str]) -> bool:
    """Whether one of the runs of words stands in the text; the blanks at both ends keep words whole."""
    text = f" {' '.join(words)} "
    return any(f" {run} " in text for run in runs)


def _runs_alike(texts: Sequence[tuple[str, ...]], runs: Sequence[str]) -> list[set[int]]:
    """For each text, the places of the runs of words that it holds, exactly or nearly.

    A run of n words is compared with each n words of a text, and with each n - 1 and n + 1, since spellings differ in
    their blanks, too.
    """
    found: list[set[int]] = [set() for _ in texts]
    lengths = sorted({len(run.split()) for run in runs})
    for length in lengths:
        places = [place for place, run in enumerate(runs) if len(run.split()) == length]
        holders: dict[str, list[int]] = {}
        for number, words in enumerate(texts):
            for window in set(_windows(words, length)):
                holders.setdefault(window, []).append(number)
        for window, place in _alike(list(holders), [runs[place] for place in places]):
            for number in holders[window]:
                found[number].add(places[place])
    return found


def _windows(words: tuple[str, ...], length: int) -> Iterable[str]:
    for size in range(max(1, length - 1), length + 2):
        for start in range(len(words) - size + 1):
            yield " ".join(words[start : start + size])


def _alike(windows: Sequence[str], runs: Sequence[str]) -> Iterable[tuple[str, int]]:
    """Pairs of a window and the place of a run that are alike; blanks do not count."""
    import numpy as np
    from rapidfuzz import fuzz, process

    bare = [run.replace(" ", "") for run in runs]
    exact = np.array([len(run) < FUZZY_FROM for run in bare])
    for start in range(0, len(windows), _WINDOWS_AT_ONCE):
        part = windows[start : start + _WINDOWS_AT_ONCE]
        scores = process.cdist(
            [window.replace(" ", "") for window in part], bare, scorer=fuzz.ratio, score_cutoff=ALIKE, dtype=np.float32
        )
        for row, place in np.argwhere(np.where(exact, scores >= 100, scores >= ALIKE)):
            yield part[row], int(place)
