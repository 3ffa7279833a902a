"""What was understood of a source of facts: counted in one pass that holds a few numbers a fact, and a sample."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unlearn_audit.api import Fact
from unlearn_audit.facts.spelling import folded
from unlearn_audit.facts.usual import FIELDS

MOST_KEPT = 500
"""Facts of a large set that are looked at closely, evenly spread over it; twice as many are all looked at."""
_MOST_PLACES = 5
_VALUES = attrgetter(*FIELDS)
_NONE = 0

Hashes: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Places:
    """How many rows have something in common, and where the first of them are."""

    count: int
    first: list[str]


class Understood:
    """The facts of one set, counted.

    A hash of 64 bits stands for each text: a million questions would fill the memory that this is to keep free. Two of
    a million texts share one by accident in fewer than one case of ten million.

    Attributes:
        facts: how many.
        relations: relation -> facts.
        sample: some facts with their places, evenly spread, all of a small set.
    """

    def __init__(self, facts: Iterable[tuple[str, Fact]]) -> None:
        """Reads facts, each with its place."""
        self.facts = 0
        self.relations: Counter[str] = Counter()
        self.sample: list[tuple[str, Fact]] = []
        self._step = 1
        self._held = [0] * len(FIELDS)
        self._word = ""
        self._numbers, self._ids, self._subjects = array("q"), array("q"), array("q")
        self._questions, self._answers = array("q"), array("q")
        self._aliases, self._ends = array("q"), array("q")
        for place, fact in facts:
            self._add(place, fact)

    def _add(self, place: str, fact: Fact) -> None:
        if self.facts % self._step == 0:
            self._keep(place, fact)
        self.facts += 1
        for number, value in enumerate(_VALUES(fact)):
            if value:
                self._held[number] += 1
        if fact.relation:
            self.relations[fact.relation] += 1
        self._word, _, number_text = place.rpartition(" ")
        self._numbers.append(int(number_text))
        self._ids.append(hash(folded(fact.id)))
        self._subjects.append(hash(folded(fact.subject)))
        self._questions.append(hash(folded(fact.question)) if fact.question else _NONE)
        self._answers.append(hash(folded(fact.answer)) if fact.answer else _NONE)
        self._aliases.extend(hash(folded(alias)) for alias in fact.aliases)
        self._ends.append(len(self._aliases))

    def _keep(self, place: str, fact: Fact) -> None:
        self.sample.append((place, fact))
        if len(self.sample) > 2 * MOST_KEPT:
            self.sample = self.sample[::2]
            self._step *= 2

    @property
    def held(self) -> dict[str, int]:
        """Field -> facts that have it."""
        return {name: count for name, count in zip(FIELDS, self._held, strict=True) if count}

    @cached_property
    def subject_sizes(self) -> NDArray[np.int64]:
        """How many facts each subject has, however it is spelled."""
        return np.unique(_array(self._subjects), return_counts=True)[1].astype(np.int64)

    @property
    def alone(self) -> Places:
        """Questions that nobody said whom they are about."""
        return self._places(
            np.flatnonzero((_array(self._ids) == _array(self._subjects)) & (_array(self._questions) != _NONE))
        )

    @property
    def same_id(self) -> Places:
        """Facts whose id was used before."""
        return self._places(_again(_array(self._ids))[1])

    @property
    def repeated(self) -> Places:
        """Facts whose question was asked before, with an answer in common."""
        return self._places(self._asked_again[0])

    @property
    def contrary(self) -> Places:
        """Facts whose question was asked before, with another answer."""
        return self._places(self._asked_again[1])

    def shared_with(self, other: Understood) -> Places:
        """Facts of this set that share an id, a question or a subject with another set: they cannot be in both."""
        shared = np.isin(_array(self._ids), _array(other._ids))
        shared |= np.isin(_array(self._subjects), _array(other._subjects))
        asked = _array(self._questions)
        shared |= (asked != _NONE) & np.isin(asked, _array(other._questions))
        return self._places(np.flatnonzero(shared))

    @cached_property
    def _asked_again(self) -> tuple[Hashes, Hashes]:
        questions = _array(self._questions)
        asked = np.flatnonzero(questions != _NONE)
        first, again = (asked[places] for places in _again(questions[asked]))
        agree = np.array(
            [
                not self._answers_of(one).isdisjoint(self._answers_of(two))
                for one, two in zip(first, again, strict=True)
            ],
            dtype=bool,
        )
        return again[agree], again[~agree]

    def _answers_of(self, place: Any) -> set[int]:
        start = self._ends[place - 1] if place else 0
        return {self._answers[place], *self._aliases[start : self._ends[place]]}

    def _places(self, where: Hashes) -> Places:
        first = [f"{self._word} {self._numbers[place]}" for place in sorted(where.tolist())[:_MOST_PLACES]]
        return Places(count=len(where), first=first)


def _array(values: array[int]) -> Hashes:
    return np.frombuffer(values, dtype=np.int64) if values else np.empty(0, dtype=np.int64)


def _again(values: Hashes) -> tuple[Hashes, Hashes]:
    """Places of values that came before, and beside each the place where its value came first."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=values[order][:1] - 1) != 0) if len(order) else order
    sizes = np.diff(np.append(starts, len(order)))
    first = np.repeat(order[starts], sizes)
    later = np.ones(len(order), dtype=bool)
    later[starts] = False
    return first[later], order[later]


def places_of(found: Understood) -> Iterator[tuple[str, Places]]:
    """What a user should look at, by name, where there is any."""
    for name, places in (
        ("without_subject", found.alone),
        ("same_id", found.same_id),
        ("repeated_question", found.repeated),
        ("other_answer", found.contrary),
    ):
        if places.count:
            yield name, places
