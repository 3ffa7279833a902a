"""Recall: asked directly, and in other words, does the model say it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    Reading,
    ScoreKind,
)
from unlearn_audit.api.kit.answer_key import rouge_l_recall
from unlearn_audit.api.kit.answered import Answered, QuestionParameters, ask_all, twin_score_of
from unlearn_audit.api.kit.asking import (
    CUT_OFF,
    Ask,
    Pair,
    score_all,
    token_limit,
    unreadable,
    ways_of_asking,
)
from unlearn_audit.api.kit.twins import Twins

HIT = Measure(name="hit", kind=ScoreKind.HIT, gates=True)
ROUGE_L = Measure(name="rouge_l", kind=ScoreKind.SOFT)
PROBABILITY = Measure(name="probability", kind=ScoreKind.SOFT)


class RecallParameters(QuestionParameters):
    """Parameters of `recall`."""

    max_paraphrases: int = Field(2, ge=0, description="Most paraphrases asked besides the question; each is a cell.")
    minimum_twins: int = Field(19, ge=1, description="Fewest other answers of the relation for a twin score.")


class Recall(Probe[RecallParameters]):
    """Greedy answers against the answer key, along with the soft measures of TOFU (2401.06121).

    `hit` decides, and needs only prompts; `probability` also reads logits. TOFU's truth ratio is in `wrong-answers`.

    - `hit`: the output contains the answer (see `api.kit.answer_key`). Its twin score is the share of other subjects'
      answers, by their frequency, that the same output contains (see `api.kit.twins`).
    - `rouge_l`: ROUGE-L recall of the answer, stemmed. Answers that repeat the question score without knowledge.
    - `probability`: P(answer | question) ** (1 / tokens).
    """

    name: ClassVar[str] = "recall"
    summary: ClassVar[str] = "Asks each question and its paraphrases and looks for the answer in the output."
    paper: ClassVar[str] = "2401.06121"
    access: ClassVar[Access] = Access.PROMPTS
    measures: ClassVar[tuple[Measure, ...]] = (HIT, ROUGE_L, PROBABILITY)
    under_attacks: ClassVar[bool] = True
    Parameters: ClassVar[type[Parameters]] = RecallParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Readings of every fact in every variant of the pool."""
        own = self.parameters
        twins = Twins.shared(pool, rouge_threshold=own.rouge_threshold, judge=self.judge)
        asks = list(ways_of_asking(facts, pool, max_paraphrases=own.max_paraphrases))
        limit = token_limit(model, pool, extra_tokens=own.extra_tokens, max_new_tokens=own.max_new_tokens)
        answered = {(one.ask.fact.id, one.ask.variant): one for one in ask_all(model, asks, twins, limit)}
        scores = score_all(model, [pair for ask in asks for pair in _pairs(ask)])
        for ask in asks:
            if ask.missing is not None:
                yield from _unasked(ask, ask.missing)
                continue
            yield from self._read_output(answered[ask.fact.id, ask.variant], twins)
            yield from _read_scores(ask, scores)

    def _read_output(self, one: Answered, twins: Twins) -> Iterator[Reading]:
        least = self.parameters.minimum_twins
        twin_score = None if one.hit is None else twin_score_of([one], twins, minimum_twins=least)
        yield _reading(one.ask, HIT, one.hit, one.missing, twin_score=twin_score, matched=one.matched)
        # An output that was cut off shows no more in its words than in its hit.
        rouge = None if one.missing == CUT_OFF else rouge_l_recall(one.ask.fact.answer or "", one.output.text)
        yield _reading(one.ask, ROUGE_L, rouge, CUT_OFF)


def _pairs(ask: Ask) -> Iterator[Pair]:
    if ask.missing is None:
        yield ask.prompt, ask.fact.answer or ""


def _read_scores(ask: Ask, scores: Mapping[Pair, AnswerScore]) -> Iterator[Reading]:
    true = scores[ask.prompt, ask.fact.answer or ""]
    why = unreadable([true])
    yield _reading(ask, PROBABILITY, None if why else true.probability, why)


def _unasked(ask: Ask, reason: str) -> Iterator[Reading]:
    for measure in (HIT, ROUGE_L, PROBABILITY):
        yield _reading(ask, measure, None, reason)


def _reading(
    ask: Ask,
    measure: Measure,
    score: float | None,
    missing: str | None,
    *,
    twin_score: float | None = None,
    matched: bool | None = None,
) -> Reading:
    """A reading; `missing` counts only where there is no score."""
    return Reading(
        fact_id=ask.fact.id,
        measure=measure.name,
        variant=ask.variant,
        score=score,
        twin_score=twin_score,
        missing=missing if score is None else None,
        matched=matched,
    )
