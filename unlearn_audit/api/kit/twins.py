"""Twins: what is true of other subjects, and so what a model that knows nothing of this one might as well say.

Twins count with the frequency that their answers have in the pool, the fact's own answer included where other
subjects share it. Then the mean twin score of a model whose answers do not depend on the subject *equals* its mean
score, however uneven the answers are: with half of all people born in Paris, saying "Paris" every time scores 0.5,
and its twins score 0.5. (With each distinct answer counted once, that model would seem to know half of everything.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

from unlearn_audit.api.facts import Fact
from unlearn_audit.api.judge import Judge
from unlearn_audit.api.kit.answer_key import AnswerKey, Output, answer_key, holds, is_short, normalize, sentences_of
from unlearn_audit.api.kit.asking import is_askable
from unlearn_audit.api.kit.matching.entities import rarity_in
from unlearn_audit.api.terms import shuffled

MATCH = Judge()

ENOUGH = 100
"""Twins of a fact, drawn at random where a relation has more facts: work then grows with the facts and not with their
pairs. A guess rate of 5 % is known to 2 points of one fact, and to 0.1 of 400."""

DIFFERENT = 40
"""Different answers wanted among them, before `MOST` are drawn: half of all may live in one town."""

MOST = 1000

_KEPT = 1024  # facts whose twins are kept, for the next way of asking


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A fact of the pool with its key, read once."""

    fact: Fact
    key: AnswerKey

    @cached_property
    def subject(self) -> str:
        """The subject, normalized."""
        return normalize(self.fact.subject)

    @cached_property
    def answer(self) -> str:
        """The answer, normalized."""
        return normalize(self.fact.answer or "")

    @cached_property
    def phrases(self) -> frozenset[str]:
        """Everything that names the answer: the key's phrases and the whole answer."""
        return frozenset(filter(None, (*self.key.phrases, self.answer)))

    @cached_property
    def identity(self) -> frozenset[str]:
        """What makes two answers the same: their keys, however the sentence around them runs."""
        return self.key.phrases or frozenset({self.answer})

    @cached_property
    def names_subject(self) -> bool:
        """Whether the answer says whom it is about, or a part of the name."""
        return bool(_name_words(self.fact.subject) & set(self.answer.split()))

    @cached_property
    def name_is_key(self) -> bool:
        """Whether the name is what was asked for, or the answer is too short to be retold of someone else."""
        name = _name_words(self.fact.subject)
        return is_short(self.fact.answer or "") or any(name & set(phrase.split()) for phrase in self.key.phrases)


Asked: TypeAlias = tuple[Entry, tuple[AnswerKey, ...]]
"""A twin, and its key without what each of some prompts says."""


class Twins:
    """The pool by subject and relation.

    Attributes:
        judge: says which outputs hold an answer.
    """

    def __init__(self, pool: Sequence[Fact], *, rouge_threshold: float, judge: Judge = MATCH) -> None:
        self.judge = judge
        self._rouge_threshold = rouge_threshold
        asked = sorted((fact for fact in pool if is_askable(fact)), key=lambda one: one.id)  # no draw follows the order
        self._known: dict[Fact, Entry] = {}
        self._rarity = rarity_in(sentences_of(asked))
        entries = [self.entry(fact) for fact in asked]
        self._by_relation: dict[str | None, list[Entry]] = {}
        self._by_subject: dict[tuple[str | None, str], list[Entry]] = {}
        for entry in entries:
            self._by_relation.setdefault(entry.fact.relation, []).append(entry)
            self._by_subject.setdefault((entry.fact.relation, entry.subject), []).append(entry)
        self._told: dict[Fact, list[Entry]] = {}
        self._asked: dict[tuple[Fact, tuple[str, ...]], list[Asked]] = {}

    @classmethod
    def shared(cls, pool: Sequence[Fact], *, rouge_threshold: float, judge: Judge = MATCH) -> Twins:
        """The twins of a pool, read once: every probe that judges alike has the same at every dose of every attack."""
        twins = copy(_shared(tuple(pool), rouge_threshold))
        twins.judge = judge  # no part of what is kept: it may hold a model
        return twins

    def entry(self, fact: Fact) -> Entry:
        """A fact with its key."""
        if fact not in self._known:
            self._known[fact] = self._entry(fact)
        return self._known[fact]

    def _entry(self, fact: Fact) -> Entry:
        return Entry(fact=fact, key=answer_key(fact, rouge_threshold=self._rouge_threshold, rarity=self._rarity))

    def of(self, entry: Entry) -> list[Entry]:
        """The same relation's facts of other subjects, told as if of this one; none without a relation.

        At most about `ENOUGH` of them, drawn at random: with the frequency that their answers have in the pool.
        """
        if entry.fact.relation is None:
            return []
        if entry.fact not in self._told:
            _make_room(self._told)
            self._told[entry.fact] = self._drawn(entry)
        return self._told[entry.fact]

    def asked(self, entry: Entry, prompts: Sequence[Output]) -> list[Asked]:
        """Those twins of a fact that none of these prompts says, each with its key under each prompt."""
        asked = entry.fact, tuple(one.text for one in prompts)
        if asked not in self._asked:
            _make_room(self._asked)
            keys = ((twin, tuple(twin.key.asked(one) for one in prompts)) for twin in self.of(entry))
            self._asked[asked] = [one for one in keys if all(key.missing is None for key in one[1])]
        return self._asked[asked]

    def _drawn(self, entry: Entry) -> list[Entry]:
        others = self._by_relation.get(entry.fact.relation, [])
        found: list[Entry] = []
        answers: set[frozenset[str]] = set()
        for other in shuffled(others, entry.fact.id) if len(others) > ENOUGH else others:
            told = self._retold(entry, other)
            if told is None:
                continue
            found.append(told)
            answers.add(told.identity)
            if len(found) >= (ENOUGH if len(answers) >= DIFFERENT else MOST):
                break
        return found

    def others(self, entry: Entry) -> Iterator[Entry]:
        """The same relation's facts of other subjects, as they are told of those, in a random order of this fact's."""
        same = self._by_relation.get(entry.fact.relation, []) if entry.fact.relation is not None else []
        return (one for one in shuffled(same, entry.fact.id) if one.subject != entry.subject)

    def siblings(self, entry: Entry) -> list[Entry]:
        """The same relation's facts of the same subject: true as well, and so never wrong options."""
        return self._by_subject.get((entry.fact.relation, entry.subject), [])

    def _retold(self, entry: Entry, other: Entry) -> Entry | None:
        if other.subject == entry.subject:
            return None
        return self._tell_of(entry, other) if other.names_subject else other

    def _tell_of(self, entry: Entry, other: Entry) -> Entry | None:
        """Another subject's answer with this subject's name in it, or None where the other's name would show.

        An answer about someone else by name is not a guess that a model could make, so it is not a twin.
        """
        if other.name_is_key:
            return other if entry.names_subject and entry.name_is_key else None
        answer = (other.fact.answer or "").replace(other.fact.subject, entry.fact.subject)
        left = _name_words(other.fact.subject) - _name_words(entry.fact.subject)
        if left & set(normalize(answer).split()):
            return None
        return self._entry(replace(other.fact, subject=entry.fact.subject, answer=answer))


@lru_cache(maxsize=16)
def _shared(pool: tuple[Fact, ...], rouge_threshold: float) -> Twins:
    return Twins(pool, rouge_threshold=rouge_threshold)


def _make_room(kept: dict[Any, Any]) -> None:
    while len(kept) >= _KEPT:
        del kept[next(iter(kept))]


def overlaps(entry: Entry, other: Entry) -> bool:
    """Whether one answer names or contains the other."""
    return any(holds(theirs, own) or holds(own, theirs) for own in entry.phrases for theirs in other.phrases)


def _name_words(subject: str) -> set[str]:
    """The words of a name that give it away: not "of" and "de"."""
    return set(normalize(" ".join(word for word in subject.split() if not word[0].islower())).split())
