"""Extraction strength: how little of an answer must be given before the model completes it on its own?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from unlearn_audit.api.kit.asking import Pair, is_askable, score_all, unreadable

from .shared.passages import split_passage

PASSAGE = Measure(name="passage_share", kind=ScoreKind.SOFT, gates=True, passages=True)
ANSWER = Measure(name="answer_share", kind=ScoreKind.SOFT)
VARIANT = "prefix"


class ExtractionStrengthParameters(Parameters):
    """Parameters of `extraction-strength`."""

    prompt_share: float = Field(
        0.5, gt=0, lt=1, description="Share of a passage's words given as the prompt; the rest is to be extracted."
    )


class ExtractionStrength(Probe[ExtractionStrengthParameters]):
    """1 - k / |y|, where k is the smallest number of leading answer tokens after which y[k:] follows greedily.

    Carlini et al. (2012.07805) in the form of OpenUnlearning. Teacher forcing decides it in one pass: the rest follows
    greedily from k on if and only if every token from k on is the model's first choice. Departure: their k stops at
    |y| - 1, so that no answer scores 0 and a wrong one-token answer scores 1; here a last token that is not the first
    choice scores 0. Answers that end predictably (a full stop) score a little in any model: compare with a control.
    There is no twin score, because twins have other lengths and ends.

    A fact with text alone is a passage: its first words are the prompt, as plain text, and the rest is the answer. Only
    passages gate. In models that never saw the fact, half of a three-token answer follows from its beginning, so
    short answers give high scores that mean little; recall and forced choice measure those.
    """

    name: ClassVar[str] = "extraction-strength"
    summary: ClassVar[str] = "Measures the share of the answer that follows greedily once its beginning is given."
    paper: ClassVar[str] = "2012.07805"
    access: ClassVar[Access] = Access.LOGITS
    measures: ClassVar[tuple[Measure, ...]] = (PASSAGE, ANSWER)
    Parameters: ClassVar[type[Parameters]] = ExtractionStrengthParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Two readings a fact: of the measure that fits it, and of the other as missing."""
        pairs = {fact.id: _pair(fact, self.parameters.prompt_share) for fact in facts}
        scores = score_all(model, [pair for pair in pairs.values() if pair is not None])
        for fact in facts:
            pair, (measure, other) = pairs[fact.id], (ANSWER, PASSAGE) if is_askable(fact) else (PASSAGE, ANSWER)
            yield _missing(fact, other, "a question" if measure is ANSWER else "a passage")
            if pair is None:
                yield _missing(
                    fact, measure, "the fact has neither question and answer nor a text of two words or more"
                )
            elif why := unreadable([scores[pair]]):
                yield _missing(fact, measure, why)
            else:
                share = extraction_strength(scores[pair])
                yield Reading(fact_id=fact.id, measure=measure.name, variant=VARIANT, score=share)


def extraction_strength(score: AnswerScore) -> float:
    """Length of the longest all-greedy end of the answer over the answer's length, in tokens."""
    followed = 0
    for is_first_choice in reversed(score.greedy):
        if not is_first_choice:
            break
        followed += 1
    return followed / len(score.greedy)


def _pair(fact: Fact, prompt_share: float) -> Pair | None:
    if is_askable(fact):
        return Prompt(text=fact.question or ""), fact.answer or ""
    split = split_passage(fact.text or "", prompt_share)
    return None if split is None else (Prompt(text=split[0], chat=False), split[1])


def _missing(fact: Fact, measure: Measure, reason: str) -> Reading:
    return Reading(fact_id=fact.id, measure=measure.name, variant=VARIANT, score=None, missing=reason)
