"""Recall: asked directly, and in other words, does the model say it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import fsum
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
TRUTH_RATIO = Measure(name="truth_ratio", kind=ScoreKind.SOFT)


class RecallParameters(QuestionParameters):
    """Parameters of `recall`."""

    max_paraphrases: int = Field(2, ge=0, description="Most paraphrases asked besides the question; each is a cell.")
    minimum_twins: int = Field(19, ge=1, description="Fewest other answers of the relation for a twin score.")


class Recall(Probe[RecallParameters]):
    """Greedy answers against the answer key, along with the soft measures of TOFU (2401.06121).

    `hit` decides, and needs only prompts; `probability` and `truth_ratio` also read logits.

    - `hit`: the output contains the answer (see `api.kit.answer_key`). Its twin score is the share of other subjects'
      answers, by their frequency, that the same output contains (see `api.kit.twins`).
    - `rouge_l`: ROUGE-L recall of the answer, stemmed. Answers that repeat the question score without knowledge.
    - `probability`: P(answer | question) ** (1 / tokens).
    - `truth_ratio`: 1 / (1 + R) with R = mean over wrong answers of P(wrong | question) ** (1 / tokens), over the same
      of the true answer (section 2.2.2, R_truth). The mean is arithmetic, as printed; the true answer is the fact's
      own, while the authors take a paraphrase of it; and R falls as knowledge grows, hence 1 / (1 + R).
    """

    name: ClassVar[str] = "recall"
    summary: ClassVar[str] = "Asks each question and its paraphrases and looks for the answer in the output."
    paper: ClassVar[str] = "2401.06121"
    access: ClassVar[Access] = Access.PROMPTS
    measures: ClassVar[tuple[Measure, ...]] = (HIT, ROUGE_L, PROBABILITY, TRUTH_RATIO)
    under_attacks: ClassVar[bool] = True
    Parameters: ClassVar[type[Parameters]] = RecallParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Readings of every fact in every variant of the pool; `truth_ratio` for the question alone."""
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


def _wrong_answers(ask: Ask) -> list[str]:
    """The wrong answers that `truth_ratio` needs; it is read for the question alone."""
    return [wrong for wrong in ask.fact.wrong_answers if wrong.strip()] if ask.variant == "question" else []


def _pairs(ask: Ask) -> Iterator[Pair]:
    if ask.missing is None:
        yield from ((ask.prompt, answer) for answer in (ask.fact.answer or "", *_wrong_answers(ask)))


def _read_scores(ask: Ask, scores: Mapping[Pair, AnswerScore]) -> Iterator[Reading]:
    true = scores[ask.prompt, ask.fact.answer or ""]
    why = unreadable([true])
    yield _reading(ask, PROBABILITY, None if why else true.probability, why)
    if ask.variant == "question":
        score, missing = truth_ratio(true, [scores[ask.prompt, wrong] for wrong in _wrong_answers(ask)])
        yield _reading(ask, TRUTH_RATIO, score, missing)


def truth_ratio(true: AnswerScore, wrong: Sequence[AnswerScore]) -> tuple[float | None, str | None]:
    """1 / (1 + R_truth) in [0, 1], or None and why; 0.5 where the truth is as probable as a wrong answer."""
    if not wrong:
        return None, "the fact has no wrong answers"
    if why := unreadable((true, *wrong)):
        return None, why
    mean_wrong = fsum(score.probability for score in wrong) / len(wrong)
    total = true.probability + mean_wrong
    # 1 / (1 + wrong / true) without a division by a true answer of probability 0.
    return (true.probability / total, None) if total > 0 else (None, "every answer has probability 0")


def _unasked(ask: Ask, reason: str) -> Iterator[Reading]:
    for measure in (HIT, ROUGE_L, PROBABILITY, *((TRUTH_RATIO,) if ask.variant == "question" else ())):
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
