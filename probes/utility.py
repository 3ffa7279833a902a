"""Utility: does the model still know what it should? Recall of the retain set, asked directly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from unlearn_audit.api import Access, Fact, FactSet, Measure, Model, Parameters, Probe, Reading, ScoreKind
from unlearn_audit.api.kit.answered import QuestionParameters, ask_all
from unlearn_audit.api.kit.asking import token_limit, ways_of_asking
from unlearn_audit.api.kit.twins import Twins


class Utility(Probe[QuestionParameters]):
    """Hits on the retain set, by the same key and the same generations as `recall`.

    A checkpoint that also lost the retain set did not unlearn, it broke; the verdict compares these hits with the
    original's. No twin scores: both sides are models that should know.
    """

    name: ClassVar[str] = "utility"
    summary: ClassVar[str] = "Asks the questions of the retain set and looks for the answers in the output."
    paper: ClassVar[str] = "2401.06121"
    access: ClassVar[Access] = Access.PROMPTS
    measures: ClassVar[tuple[Measure, ...]] = (Measure(name="hit", kind=ScoreKind.HIT),)
    reads: ClassVar[FactSet] = FactSet.RETAIN
    Parameters: ClassVar[type[Parameters]] = QuestionParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """One reading a fact."""
        own = self.parameters
        asks = list(ways_of_asking(facts, pool, max_paraphrases=0))
        limit = token_limit(model, pool, extra_tokens=own.extra_tokens, max_new_tokens=own.max_new_tokens)
        twins = Twins.shared(pool, rouge_threshold=own.rouge_threshold, judge=self.judge)
        answered = {one.ask.fact.id: one for one in ask_all(model, asks, twins, limit)}
        for ask in asks:
            one = answered.get(ask.fact.id)
            score, missing = (None, ask.missing) if one is None else (one.hit, one.missing)
            yield Reading(
                fact_id=ask.fact.id,
                measure="hit",
                variant=ask.variant,
                score=score,
                missing=missing,
                matched=None if one is None else one.matched,
            )
