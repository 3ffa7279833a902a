"""Perturbed: is a fact's own answer, or a passage's own word, likelier than others put in its place?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

from pydantic import Field

from unlearn_audit.api import (
    Access,
    AnswerScore,
    Fact,
    Measure,
    Model,
    Outlook,
    Parameters,
    Probe,
    Reading,
    ScoreKind,
)
from unlearn_audit.api.kit.asking import Pair, score_all, unreadable

from ..shared.choosing import NO_MASS, Choice, ChoiceParameters, calibrated, first_choice, option_probabilities
from .answers import SwappedAnswers
from .passages import RewordedPassages, Slot, level

ANSWER = Measure(name="answer", kind=ScoreKind.SOFT, gates=True)
ANSWER_TOP1 = Measure(name="answer_top1", kind=ScoreKind.HIT)
PASSAGE = Measure(name="passage", kind=ScoreKind.SOFT, gates=True, passages=True)
PASSAGE_TOP1 = Measure(name="passage_top1", kind=ScoreKind.HIT, passages=True)
ANSWERED, REWORDED = "question", "reworded"


class PerturbedParameters(ChoiceParameters):
    """Parameters of `perturbed`."""

    slots: int = Field(10, ge=3, description="Places of a passage at which its word stands beside others.")
    context_words: int = Field(100, ge=8, description="Words before a place that the model reads.")
    prompt_share: float = Field(0.5, gt=0, lt=1, description="Share of a passage's words that come before all places.")


class Perturbed(Probe[PerturbedParameters]):
    r"""The likelihood of the true text against that of the same text with a word exchanged.

    For facts that `forced-choice` has no honest options for (no relation, free sentences):

    - `answer`: the answer among copies of itself in which one word, its entity, is exchanged for that of another
      answer: a name for a name, a number for one of as many digits, first from answers to questions that open with the
      same word. The entity is a word that the question does not say: of an alias, else a name, a number, or the word
      that the fewest answers share. The subject stays, and no option names another. With l_i the summed log-likelihood
      of option i after the question, and m_i that after the same question, and in the same words, about "this one", it
      is exp(l_0 - m_0) / sum_i exp(l_i - m_i) (2104.08315): what the subject adds, without how likely each sentence is
      by itself.
    - `answer_top1`: 1 if the true one has the highest l - m, by more than sums in float32 differ; a tie is no hit.

    For passages (facts with a text alone), at `slots` places spread over what comes after the beginning:

    - `passage`: the mean over the places of exp(l_0) / sum_i exp(l_i), l_i the summed log-likelihood of word i after
      all before it. The other words are from the passage itself, or from others, of the same make: they fit its topic
      as well. The more of a passage comes back, the higher it is.
    - `passage_top1`: 1 if the own word is strictly first at more than half of the places; a guess is right less than
      once in a thousand passages with the defaults.

    A model that refuses takes the same factor from all options, which cancels: this cannot come from refusing.

    Likelihood against perturbed copies is how TOFU (2401.06121) and DE-COP (2402.09910) ask; there the copies are
    written by a language model, and a model that knows nothing tells them by their style. Exchanged words are plainer;
    in answers, what they owe to their fit is taken off. It is not in passages: a model that has one by heart knows it
    from three words, and what it knows would be taken off with it.

    Known failures: what fits a sentence is likelier in any model that reads well, so that one that never saw a passage
    scores above its level: compare with a control.
    """

    name: ClassVar[str] = "perturbed"
    summary: ClassVar[str] = "Compares the likelihood of an answer or a passage with copies that have a word exchanged."
    paper: ClassVar[str] = "2402.09910"
    access: ClassVar[Access] = Access.LOGITS
    measures: ClassVar[tuple[Measure, ...]] = (ANSWER, ANSWER_TOP1, PASSAGE, PASSAGE_TOP1)
    refusal_proof: ClassVar[bool] = True
    Parameters: ClassVar[type[Parameters]] = PerturbedParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Four readings a fact, of which two are missing."""
        answers, passages = _prepared(self.parameters, tuple(pool))
        choices = [answers.choice(fact) for fact in facts]
        slots = [passages.slots(fact) for fact in facts]
        pairs = [pair for choice in choices for pair in (*choice.pairs, *choice.neutral_pairs)]
        pairs += [pair for found in slots if not isinstance(found, str) for slot in found for pair in slot.pairs]
        scores = score_all(model, pairs)
        for choice, found in zip(choices, slots, strict=True):
            yield from _of_answer(choice, scores)
            yield from _of_passage(choice.fact, found, scores)

    def outlook(self, pool: Sequence[Fact]) -> dict[str, Outlook]:
        """Which facts have what, and how often a guess is right."""
        answers, passages = _prepared(self.parameters, tuple(pool))
        choices = {fact.id: answers.choice(fact) for fact in pool}
        slots = {fact.id: passages.slots(fact) for fact in pool}
        answered = Outlook.of({fact: one.level or one.missing or NO_MASS for fact, one in choices.items()})
        soft = {fact: one if isinstance(one, str) else _mean_level(one) for fact, one in slots.items()}
        hits = {fact: one if isinstance(one, str) else level(one) for fact, one in slots.items()}
        return {
            ANSWER.name: answered,
            ANSWER_TOP1.name: answered,
            PASSAGE.name: Outlook.of(soft),
            PASSAGE_TOP1.name: Outlook.of(hits),
        }


@lru_cache(maxsize=8)
def _prepared(own: PerturbedParameters, pool: tuple[Fact, ...]) -> tuple[SwappedAnswers, RewordedPassages]:
    """What a pool's options are drawn from, made once."""
    passages = RewordedPassages(
        pool,
        slots=own.slots,
        options=own.options,
        context=own.context_words,
        prompt_share=own.prompt_share,
    )
    return SwappedAnswers(own, pool), passages


def _mean_level(slots: Sequence[Slot]) -> float:
    return math.fsum(1 / len(slot.options) for slot in slots) / len(slots)


def _of_answer(choice: Choice, scores: Mapping[Pair, AnswerScore]) -> Iterator[Reading]:
    gains, missing = calibrated(choice, scores)
    probabilities = None if missing else option_probabilities(gains)
    missing = missing or (NO_MASS if probabilities is None else None)
    soft = None if probabilities is None else probabilities[0]
    yield _reading(choice.fact, ANSWER, ANSWERED, soft, missing)
    yield _reading(choice.fact, ANSWER_TOP1, ANSWERED, None if missing else first_choice(gains)[0], missing)


def _of_passage(fact: Fact, slots: Sequence[Slot] | str, scores: Mapping[Pair, AnswerScore]) -> Iterator[Reading]:
    soft, hit, missing = (None, None, slots) if isinstance(slots, str) else _at_places(slots, scores)
    yield _reading(fact, PASSAGE, REWORDED, soft, missing)
    yield _reading(fact, PASSAGE_TOP1, REWORDED, hit, missing)


def _at_places(
    slots: Sequence[Slot], scores: Mapping[Pair, AnswerScore]
) -> tuple[float | None, float | None, str | None]:
    """Mean probability, whether most places are right, and why neither is known."""
    probabilities, first = [], []
    for slot in slots:
        found = [scores[pair] for pair in slot.pairs]
        if (missing := unreadable(found)) is not None:
            return None, None, missing
        values = [score.log_likelihood for score in found]
        if (given := option_probabilities(values)) is None:
            return None, None, NO_MASS
        probabilities.append(given[0])
        first.append(first_choice(values)[0])
    return math.fsum(probabilities) / len(slots), float(2 * sum(first) > len(slots)), None


def _reading(fact: Fact, measure: Measure, variant: str, score: float | None, missing: str | None) -> Reading:
    return Reading(fact_id=fact.id, measure=measure.name, variant=variant, score=score, missing=missing)
