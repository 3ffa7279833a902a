"""The options of a choice: the true answer among answers of other subjects, the same for every model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from pydantic import Field

from unlearn_audit.api import (
    AnswerScore,
    Fact,
    Parameters,
    Prompt,
    shuffled,
)
from unlearn_audit.api.kit.answer_key import Output, holds, normalize
from unlearn_audit.api.kit.asking import NO_QUESTION, Pair, is_askable, unreadable
from unlearn_audit.api.kit.twins import Entry, Twins, overlaps

from .naming import Subjects, filled, masked
from .question_types import QuestionTypes
from .sayings import Kind, Saying, Sayings, alike, saying_of

FEWEST_WRONG = 2
NAMES_ANOTHER = "the right answer names another subject, and no wrong option may"
NO_MASS = "every option has probability 0"
NOBODY = "this one"
TOO_FEW = f"fewer than {FEWEST_WRONG} wrong options of the same form"
TOO_FEW_SUPPLIED = f"fewer than {FEWEST_WRONG} wrong answers were supplied"
HAS_HONEST = "the fact has options that are true of others, which are better than supplied ones"
NO_RELATION = "the fact has no relation, and no other subject is asked the same: no honest wrong options"


class ChoiceParameters(Parameters):
    """How many options there are, and where they come from."""

    options: int = Field(
        31,
        ge=3,
        description="Options per fact, including the true answer, if there are so many; each is one scored pair. With "
        "31, guessing is right in a third of 10 % of cases.",
    )
    minimum_twins: int = Field(19, ge=1, description="Fewest wrong options of the relation for a twin score.")
    rouge_threshold: float = Field(0.8, gt=0, le=1, description="As in `recall`: what the question already answers.")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One fact with its options.

    Attributes:
        options: the true answer first, then the wrong ones.
        weights: how many other subjects have each option as their answer; None where they are too few for a twin score.
        level: how often a model is right that answers without knowing the subject, at best.
        missing: why there is nothing to choose from, or None.
    """

    fact: Fact
    options: tuple[str, ...] = ()
    weights: tuple[int, ...] | None = None
    level: float | None = None
    missing: str | None = None

    @property
    def pairs(self) -> list[Pair]:
        """What is scored: every option after the bare question."""
        return [(Prompt(text=self.fact.question or ""), option) for option in self.options]

    @property
    def neutral_pairs(self) -> list[Pair]:
        """Every option told of nobody in particular, after the question asked of nobody in particular."""
        told = [self.nobody(text) for text in (self.fact.question or "", *self.options)]
        return [(Prompt(text=told[0]), option) for option in told[1:]]

    def nobody(self, text: str) -> str:
        """A text of the fact's subject as one of `NOBODY`."""
        return filled(masked(text, self.fact.subject), NOBODY, 0)


class Chooser:
    """Draws the options of a pool's facts (`forced-choice` says how).

    Args:
        parameters: how many.
        pool: whose answers are options for one another, and whose subjects no option may name.
    """

    def __init__(self, parameters: ChoiceParameters, pool: Sequence[Fact]) -> None:
        self.parameters = parameters
        self._types = QuestionTypes(pool)
        facts = [self._types.typed(fact) for fact in pool]
        self._twins = Twins.shared(facts, rouge_threshold=parameters.rouge_threshold)
        self._sayings = Sayings(facts)
        self._choices: dict[Fact, Choice] = {}
        self._subjects = Subjects(fact.subject for fact in facts)

    def choice(self, fact: Fact) -> Choice:
        """The options of one fact; the same for every model."""
        if fact not in self._choices:
            self._choices[fact] = self._chosen(fact)
        return self._choices[fact]

    def _chosen(self, fact: Fact) -> Choice:
        if not is_askable(fact):
            return Choice(fact=fact, missing=NO_QUESTION)
        entry = self._twins.entry(self._types.typed(fact))
        if (missing := entry.key.asked(Output(fact.question or "")).missing) is not None:
            return Choice(fact=fact, missing=missing)
        if entry.fact.relation is None:
            return Choice(fact=fact, missing=NO_RELATION)
        if self._subjects.names_whole(fact.answer or "", fact.subject):
            return Choice(fact=fact, missing=NAMES_ANOTHER)
        return replace(self._drawn(entry), fact=fact)

    def supplied(self, fact: Fact) -> Choice:
        """The true answer among the fact's own wrong answers, for a fact that has no honest options."""
        if not is_askable(fact):
            return Choice(fact=fact, missing=NO_QUESTION)
        if self.choice(fact).missing is None:
            return Choice(fact=fact, missing=HAS_HONEST)
        entry = self._twins.entry(fact)
        if (missing := entry.key.asked(Output(fact.question or "")).missing) is not None:
            return Choice(fact=fact, missing=missing)
        true = (entry, *self._twins.siblings(entry))
        wrong = [
            self._twins.entry(replace(fact, answer=text, aliases=())) for text in dict.fromkeys(fact.wrong_answers)
        ]
        kept = [one.fact.answer or "" for one in wrong if self._is_supplied(one, entry, true)]
        if len(kept) < FEWEST_WRONG:
            return Choice(fact=fact, missing=TOO_FEW_SUPPLIED)
        options = (fact.answer or "", *kept[: self.parameters.options - 1])
        return Choice(fact=fact, options=options, level=1 / len(options))

    def _is_supplied(self, one: Entry, entry: Entry, true: Sequence[Entry]) -> bool:
        return self._is_wrong(one, entry, true) and not self._subjects.names_another(
            one.fact.answer or "", one.fact.subject
        )

    def _drawn(self, entry: Entry) -> Choice:
        """Options drawn at random: whole answers told of this subject, else the true one with others' keys."""
        own, relation = saying_of(entry.fact), entry.fact.relation or ""
        kinds = self._sayings.kinds(relation)
        held = len(kinds) - self._sayings.held_alone(relation, entry.subject)
        wrong = self._wrong(entry, kinds, own, lambda one: one.told_of(own) if alike(one, own) else None)
        if own.around is not None and len(wrong) < min(held, self.parameters.options - 1):
            keyed = self._wrong(entry, kinds, own, lambda one: one.put_into(own))
            wrong = keyed if len(keyed) > len(wrong) else wrong
        if len(wrong) < FEWEST_WRONG:
            return Choice(fact=entry.fact, missing=TOO_FEW)
        shared = sum(kind.held_by_others(entry.subject) for kind in self._sayings.sharing(relation, own))
        counts = (shared, *(kind.held_by_others(entry.subject) for _, kind in wrong))
        options = (entry.fact.answer or "", *(text for text, _ in wrong))
        return Choice(
            fact=entry.fact,
            options=options,
            weights=counts if len(wrong) >= self.parameters.minimum_twins else None,
            level=max(1 / len(options), max(shared + 1, *counts[1:]) / (sum(counts) + 1)),
        )

    def _wrong(
        self, entry: Entry, kinds: Sequence[Kind], own: Saying, tell: Callable[[Saying], str | None]
    ) -> list[tuple[str, Kind]]:
        """Wrong options with the answers that they are, as many as are wanted and can be had."""
        true = (entry, *self._twins.siblings(entry))
        found: dict[str, tuple[str, Kind]] = {}
        for kind in shuffled(kinds, entry.fact.id):
            if not kind.held_by_others(entry.subject):
                continue
            for saying in kind.sayings:
                text = tell(saying)
                if text is None or not self._is_honest(text, saying, entry, true):
                    continue
                found.setdefault(normalize(text), (text, kind))
                break
            if len(found) == self.parameters.options - 1:
                break
        return list(found.values())

    def _is_honest(self, text: str, saying: Saying, entry: Entry, true: Sequence[Entry]) -> bool:
        """Whether an option is wrong of its subject, not said by the question, and names nobody else."""
        if self._subjects.names_another(text, entry.fact.subject):
            return False
        told = self._twins.entry(replace(entry.fact, answer=text, aliases=saying.aliases))
        return self._is_wrong(told, entry, true)

    def _is_wrong(self, told: Entry, entry: Entry, true: Sequence[Entry]) -> bool:
        question = normalize(entry.fact.question or "")
        if not told.answer or any(holds(question, phrase) for phrase in told.phrases):
            return False
        return not any(overlaps(one, told) for one in true)


def chooser_of(parameters: ChoiceParameters, pool: tuple[Fact, ...]) -> Chooser:
    """The chooser of a pool, made once: every probe that draws alike, at every dose of every attack, has the same."""
    drawn = {name: getattr(parameters, name) for name in ChoiceParameters.model_fields}
    return _chooser(ChoiceParameters(**drawn), pool)


@lru_cache(maxsize=16)
def _chooser(parameters: ChoiceParameters, pool: tuple[Fact, ...]) -> Chooser:
    return Chooser(parameters, pool)


def option_probabilities(log_likelihoods: Sequence[float]) -> list[float] | None:
    """P(option | one of them is said), from log-likelihoods in nats; None where all are minus infinity."""
    highest = max(log_likelihoods)
    if highest == -math.inf:
        return None
    likelihoods = [math.exp(value - highest) for value in log_likelihoods]
    total = math.fsum(likelihoods)
    return [likelihood / total for likelihood in likelihoods]


def calibrated(choice: Choice, scores: Mapping[Pair, AnswerScore]) -> tuple[list[float], str | None]:
    """By how much the question's subject makes each option likelier, in nats; or why that is not known.

    Args:
        choice: the options.
        scores: of its `pairs` and its `neutral_pairs`.
    """
    if choice.missing is not None:
        return [], choice.missing
    found, neutral = ([scores[pair] for pair in pairs] for pairs in (choice.pairs, choice.neutral_pairs))
    if (missing := unreadable([*found, *neutral])) is not None:
        return [], missing
    if any(score.log_likelihood == -math.inf for score in neutral):
        return [], NO_MASS
    return [one.log_likelihood - other.log_likelihood for one, other in zip(found, neutral, strict=True)], None


TIE = 1e-4
"""Nats within which two options are as likely: a sum in float32 moves by as much with the rows beside it in a batch."""


def first_choice(log_likelihoods: Sequence[float]) -> list[float]:
    """1 for an option that is the likeliest by more than `TIE`, else 0; all 0 where the first place is shared."""
    highest = max(log_likelihoods)
    alone = sum(value >= highest - TIE for value in log_likelihoods) == 1
    return [float(alone and value == highest) for value in log_likelihoods]


def weighted_mean(values: Sequence[float], weights: Sequence[int]) -> float:
    """The mean score over all options, each as often as other subjects have it: the twin score of a choice."""
    return math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)
