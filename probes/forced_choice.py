"""Forced choice: among plausible answers, does the model favor the true one, even if it says none?"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import Field

from unlearn_audit.api import (
    Access,
    AnswerScore,
    Fact,
    Measure,
    Model,
    Parameters,
    Probe,
    Prompt,
    Reading,
    ScoreKind,
)
from unlearn_audit.api.kit.answer_key import Output, holds, normalize
from unlearn_audit.api.kit.asking import NO_QUESTION, NOT_A_NUMBER, Pair, is_askable, is_readable, score_all
from unlearn_audit.api.kit.twins import Entry, Twins, overlaps

PROBABILITY = Measure(name="probability", kind=ScoreKind.SOFT, gates=True)
TOP1 = Measure(name="top1", kind=ScoreKind.HIT)
FEWEST_WRONG = 2
VARIANT = "question"


class ForcedChoiceParameters(Parameters):
    """Parameters of `forced-choice`."""

    options: int = Field(20, ge=3, description="Options per fact, including the true answer; each is one scored pair.")
    minimum_twins: int = Field(19, ge=1, description="Fewest wrong options of the relation for a twin score.")
    rouge_threshold: float = Field(0.8, gt=0, le=1, description="As in `recall`: what the question already answers.")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One fact with its options.

    Attributes:
        options: the true answer first, then the wrong ones.
        weights: how many other subjects have each option as their answer; None if the options are not twins.
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


class ForcedChoice(Probe[ForcedChoiceParameters]):
    r"""P(true answer | one of the options is said), and whether the true answer comes first.

    - `probability`: exp(l_0) / sum_i exp(l_i), with l_i the *summed* log-likelihood of option i after the question.
    - `top1`: 1 if the true answer has strictly the highest l; a tie is not a hit.

    Options are scored by likelihood as in GPT-3 (2005.14165, section 2.4), but by the sum, while they normalize by
    length. By the chain rule the sum is the required probability, and only the sum makes refusing pointless: a model
    that first moves the mass 1 - c to "I do not know" multiplies every option by the same c, which cancels. Divided by
    their lengths, short options would carry log c whole and long ones a part of it, so that refusing would reorder
    them; and sentences that differ in one name would look alike. The price of the sum, a bias to short options,
    affects truth and twins alike.

    **Options.** Twins, if there are enough: answers of other subjects to the same relation, different from all
    that is true of this subject, not named in the question, and without the other's name. Else the fact's own wrong
    answers (for a relation with few answers, or none given); else the available twins; else, for a fact without a
    relation, answers of all other subjects. They are drawn by a hash of fact id and answer: the same in every role, for
    any order of the facts. The cost is `options` short scored pairs per fact after one shared question.

    **Twin scores** exist only for at least `minimum_twins` twins: supplied wrong answers are not exchangeable with the
    truth: a language model prefers true-sounding ones. Distinct answers are drawn uniformly, and the twin score is
    the mean over the options *weighted by how many other subjects have them* (the truth included, where others share
    it). Uniform drawing makes each option of a set the truth in proportion to its frequency, so a model whose answers
    do not depend on the subject has equal mean score and mean twin score, however uneven the answers. Where no answer
    is shared this is (1 - score) / K, and score - twin score is (h - 1/(K+1)) / (1 - 1/(K+1)) of the design.
    """

    name: ClassVar[str] = "forced-choice"
    summary: ClassVar[str] = "Compares the likelihood of the true answer with that of other subjects' answers."
    paper: ClassVar[str] = "2005.14165"
    access: ClassVar[Access] = Access.LOGITS
    measures: ClassVar[tuple[Measure, ...]] = (PROBABILITY, TOP1)
    under_attacks: ClassVar[bool] = True
    refusal_proof: ClassVar[bool] = True
    Parameters: ClassVar[type[Parameters]] = ForcedChoiceParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Two readings a fact, for the question alone."""
        twins = Twins(pool, rouge_threshold=self.parameters.rouge_threshold)
        choices = [self.choice(fact, twins) for fact in facts]
        scores = score_all(model, [pair for choice in choices for pair in choice.pairs])
        for choice in choices:
            yield from _readings(choice, scores)

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
        """Options that are not a control: supplied ones, or too few twins, or answers to other questions."""
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


def _readings(choice: Choice, scores: Mapping[Pair, AnswerScore]) -> Iterator[Reading]:
    found = [scores[pair] for pair in choice.pairs]
    missing = choice.missing or (None if all(map(is_readable, found)) else NOT_A_NUMBER)
    log_likelihoods = [score.log_likelihood for score in found] if missing is None else []
    probabilities = option_probabilities(log_likelihoods) if missing is None else None
    if probabilities is None:
        reason = missing or "every option has probability 0"
        for measure in (PROBABILITY, TOP1):
            yield Reading(fact_id=choice.fact.id, measure=measure.name, variant=VARIANT, score=None, missing=reason)
        return
    for measure, values in ((PROBABILITY, probabilities), (TOP1, first_choice(log_likelihoods))):
        yield Reading(
            fact_id=choice.fact.id,
            measure=measure.name,
            variant=VARIANT,
            score=values[0],
            twin_score=None if choice.weights is None else weighted_mean(values, choice.weights),
        )


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
