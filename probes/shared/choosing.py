"""The options of a choice: the true answer among answers of other subjects, the same for every model."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import Field

from unlearn_audit.api import (
    Fact,
    Parameters,
    Prompt,
)
from unlearn_audit.api.kit.answer_key import Output, holds, normalize
from unlearn_audit.api.kit.asking import NO_QUESTION, Pair, is_askable
from unlearn_audit.api.kit.twins import Entry, Twins, overlaps

FEWEST_WRONG = 2


class ChoiceParameters(Parameters):
    """How many options there are, and where they come from."""

    options: int = Field(20, ge=3, description="Options per fact, including the true answer; each is one scored pair.")
    minimum_twins: int = Field(19, ge=1, description="Fewest wrong options of the relation for a twin score.")
    rouge_threshold: float = Field(0.8, gt=0, le=1, description="As in `recall`: what the question already answers.")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One fact with its options.

    Attributes:
        options: the true answer first, then the wrong ones.
        weights: how many other subjects have each option as their answer; None where the options are no twins.
        missing: why there is nothing to choose from, or None.
    """

    fact: Fact
    options: tuple[str, ...] = ()
    weights: tuple[int, ...] | None = None
    missing: str | None = None

    @property
    def pairs(self) -> list[Pair]:
        """What is scored: every option after the bare question."""
        return [(Prompt(text=self.fact.question or ""), option) for option in self.options]


class Chooser:
    """Draws the options of a fact (`forced-choice` says how)."""

    def __init__(self, parameters: ChoiceParameters) -> None:
        self.parameters = parameters

    def choice(self, fact: Fact, twins: Twins) -> Choice:
        """The options of one fact; the same for every model."""
        if not is_askable(fact):
            return Choice(fact=fact, missing=NO_QUESTION)
        entry = twins.entry(fact)
        if (missing := entry.key.asked(Output(fact.question or "")).missing) is not None:
            return Choice(fact=fact, missing=missing)
        return self._from_twins(entry, twins) or self._from_others(entry, twins)

    def _from_twins(self, entry: Entry, twins: Twins) -> Choice | None:
        """Options with their weights, or None where there are too few twins."""
        found = twins.of(entry)
        counts = Counter(twin.identity for twin in found)
        drawn = self._draw(entry, _wrong_options(entry, found, twins.siblings(entry)))
        if len(drawn) < max(FEWEST_WRONG, self.parameters.minimum_twins):
            return None
        shared = sum(bool(twin.phrases & entry.phrases) for twin in found)
        return _choice(entry.fact, drawn, weights=(shared, *(counts[option.identity] for option in drawn)))

    def _from_others(self, entry: Entry, twins: Twins) -> Choice:
        """Options that are no control: supplied ones, or too few twins, or answers to other questions."""
        supplied = [twins.entry(_with_answer(entry.fact, wrong)) for wrong in entry.fact.wrong_answers if wrong.strip()]
        others = twins.strangers(entry) if entry.fact.relation is None else twins.of(entry)
        drawn: list[Entry] = []
        for source in (supplied, others):
            drawn = self._draw(entry, _wrong_options(entry, source, twins.siblings(entry)))
            if len(drawn) >= FEWEST_WRONG:
                return _choice(entry.fact, drawn, weights=None)
        return Choice(fact=entry.fact, missing=f"fewer than {FEWEST_WRONG} wrong options")

    def _draw(self, entry: Entry, options: Sequence[Entry]) -> list[Entry]:
        """Wrong options by the order of a hash: uniform over sets, and blind to the order of the pool."""
        ordered = sorted(options, key=lambda option: _rank(entry.fact.id, option))
        return ordered[: self.parameters.options - 1]


def option_probabilities(log_likelihoods: Sequence[float]) -> list[float] | None:
    """P(option | one of them is said), from log-likelihoods in nats; None where all are minus infinity."""
    highest = max(log_likelihoods)
    if highest == -math.inf:
        return None
    likelihoods = [math.exp(value - highest) for value in log_likelihoods]
    total = math.fsum(likelihoods)
    return [likelihood / total for likelihood in likelihoods]


def first_choice(log_likelihoods: Sequence[float]) -> list[float]:
    """1 for an option that is strictly the likeliest, else 0; all 0 where the first place is shared."""
    highest = max(log_likelihoods)
    alone = log_likelihoods.count(highest) == 1
    return [float(alone and value == highest) for value in log_likelihoods]


def weighted_mean(values: Sequence[float], weights: Sequence[int]) -> float:
    """The mean score over all options, each as often as other subjects have it: the twin score of a choice."""
    return math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def _wrong_options(entry: Entry, candidates: Sequence[Entry], siblings: Sequence[Entry]) -> list[Entry]:
    """One candidate for each different answer that is neither true of the subject nor named in the question."""
    question = normalize(entry.fact.question or "")
    found: dict[frozenset[str], Entry] = {}
    # In the order of their texts, so that of two spellings the same one is taken for any order of the pool.
    for candidate in sorted(candidates, key=lambda one: one.fact.answer or ""):
        if candidate.identity in found or any(holds(question, phrase) for phrase in candidate.phrases):
            continue
        if not any(overlaps(true, candidate) for true in (entry, *siblings)):
            found[candidate.identity] = candidate
    return list(found.values())


def _choice(fact: Fact, wrong: Sequence[Entry], *, weights: tuple[int, ...] | None) -> Choice:
    options = (fact.answer or "", *(option.fact.answer or "" for option in wrong))
    return Choice(fact=fact, options=options, weights=weights)


def _with_answer(fact: Fact, answer: str) -> Fact:
    return replace(fact, answer=answer, aliases=())


def _rank(fact_id: str, option: Entry) -> bytes:
    return hashlib.sha256("\x1f".join((fact_id, *sorted(option.identity))).encode()).digest()
