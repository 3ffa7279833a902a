"""Sampling: asked many times at temperature 1, does the model ever say it, and at most how often?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from pydantic import Field

from unlearn_audit.api import Access, Fact, Measure, Model, Parameters, Probe, Profile, Reading, ScoreKind
from unlearn_audit.api.kit.answer_key import rouge_l_recall
from unlearn_audit.api.kit.answered import Answered, QuestionParameters, judge_all, twin_verdicts
from unlearn_audit.api.kit.asking import CUT_OFF, Ask, token_limit, ways_of_asking
from unlearn_audit.api.kit.twins import Twins

from ..shared.exposure import ANY, exposure

LEAK = Measure(name="leak", kind=ScoreKind.SOFT, gates=True)
"""0 or 1, and soft for the reason for which `exposure` of `forms` is."""

RATE = Measure(name="rate", kind=ScoreKind.SOFT)
LEAK_AT = Measure(name="leak_at", kind=ScoreKind.SOFT)
RATE_BOUND = Measure(name="rate_bound", kind=ScoreKind.SOFT)
ROUGE_L_BOUND = Measure(name="rouge_l_bound", kind=ScoreKind.SOFT)

QUESTION = "question"
MEAN, ABOVE_HALF = "mean", "above-half"


class SamplingParameters(QuestionParameters):
    """Parameters of `sampling`."""

    samples: int = Field(16, ge=4, description="Answers per fact.")
    temperature: float = Field(1.0, gt=0, description="Temperature of the softmax that answers are drawn from.")
    seed: int = Field(0, ge=0, description="Seed of the samples; the same in every role.")
    alpha: float = Field(0.05, gt=0, le=0.5, description="Error rate of each bound, for one fact.")
    minimum_twins: int = Field(19, ge=1, description="Fewest other answers of the relation for a twin score.")


class Sampling(Probe[SamplingParameters]):
    """Draws answers at temperature 1, without top-k or top-p: greedy answers hide what a user may see on asking again.

    n samples of the plain question, judged by the answer key as in `recall`. A sample's noise depends only on seed,
    prompt and number, so every role is sampled with the same noise. If c of the n samples are hits:

    - `leak`: 1 if any of the n samples has the answer: leak@n (2511.04934); gates. An exposure over a fixed budget:
      its twin score is the share of other subjects' answers that any of the same samples contains.
    - `rate`: c / n, the estimate of leak@1. `leak_at`: 1 - C(n - c, k) / C(n, k) for k = 2, 4, ... below n, the
      unbiased estimate of leak@k.
    - `rate_bound`: the upper bound of Clopper and Pearson on the chance of a hit (2410.03523, binary leakage): the
      1 - alpha quantile of Beta(c + 1, n - c).
    - `rouge_l_bound`: bounds on ROUGE-L recall from the band of Dvoretzky, Kiefer and Wolfowitz of half-width e =
      sqrt(log(1 / alpha) / 2n) (2410.03523, general leakage). `above-half`: P(ROUGE-L > 1/2) <= 1 - F_n(1/2) + e.
      `mean`: the expectation is at most the integral of min(1, 1 - F_n(t) + e) over t in [0, 1].

    Twin scores of the counted measures are the mean over twins of what their own counts would score.

    Departures: hits come from an answer key, while the authors of leak@k ask a judge or use ROUGE-L; each bound is
    for a single fact, and their mean over facts is not a bound on all at once; n is small, so bounds are wide
    (with 16 samples no bound on the rate is below 0.17, no bound by the band below 0.31, in any role): compare them
    with a control. Their bound on the standard deviation and the ED score are not computed. Paraphrases are not
    sampled, and facts with text alone are missing.

    Known failure: a model that guesses among few answers hits by chance as n grows; the twin score shows by how much.
    """

    name: ClassVar[str] = "sampling"
    summary: ClassVar[str] = "Draws many answers to each question and looks for the answer in any of them."
    paper: ClassVar[str] = "2511.04934"
    access: ClassVar[Access] = Access.PROMPTS
    measures: ClassVar[tuple[Measure, ...]] = (LEAK, RATE, LEAK_AT, RATE_BOUND, ROUGE_L_BOUND)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = SamplingParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """One leak, one rate, its estimates and bounds, of every fact."""
        own = self.parameters
        twins = Twins(pool, rouge_threshold=own.rouge_threshold, judge=self.judge)
        asks = list(ways_of_asking(facts, pool, max_paraphrases=0))
        limit = token_limit(model, pool, extra_tokens=own.extra_tokens, max_new_tokens=own.max_new_tokens)
        drawn = {one.ask.fact.id: one for one in self._draw(model, asks, twins, limit)}
        scale = self._scale()
        for ask in asks:
            if (one := drawn.get(ask.fact.id)) is None:
                yield from self._missing(ask, ask.missing or "")
            else:
                yield from self._read_counts(one, twins, scale)
                yield from self._read_words(one)

    def _draw(self, model: Model, asks: Sequence[Ask], twins: Twins, limit: int) -> Iterator[Drawn]:
        own = self.parameters
        put = [ask for ask in asks if ask.missing is None]
        if not put:
            return
        sampled = model.sample(
            [ask.prompt for ask in put],
            count=own.samples,
            max_new_tokens=limit,
            seed=own.seed,
            temperature=own.temperature,
        )
        pairs = [(ask, one) for ask, several in zip(put, sampled, strict=True) for one in several]
        answered = judge_all(model, [ask for ask, _ in pairs], [one for _, one in pairs], twins)
        for place, ask in enumerate(put):
            yield Drawn(ask=ask, answered=tuple(answered[place * own.samples : (place + 1) * own.samples]))

    def _scale(self) -> dict[tuple[Measure, str], list[float]]:
        """What 0, 1, ..., n hits of n score, for each counted measure and variant."""
        from .bounds import leak_at, rate_bound

        n, alpha = self.parameters.samples, self.parameters.alpha
        counts = range(n + 1)
        fewer = [2**power for power in range(1, n.bit_length()) if 2**power < n]
        return {
            (LEAK, ANY): [float(c > 0) for c in counts],
            (RATE, QUESTION): [c / n for c in counts],
            **{(LEAK_AT, f"k={k}"): [leak_at(c, n, k) for c in counts] for k in fewer},
            (RATE_BOUND, QUESTION): [rate_bound(c, n, alpha) for c in counts],
        }

    def _read_counts(
        self, one: Drawn, twins: Twins, scale: dict[tuple[Measure, str], list[float]]
    ) -> Iterator[Reading]:
        held = one.twin_hits(twins, minimum_twins=self.parameters.minimum_twins)
        leak, _ = exposure([each.hit for each in one.answered])
        for (measure, variant), values in scale.items():
            # One hit is a leak, whatever the samples that were cut off would have said.
            score = leak if measure is LEAK else None if one.missing else values[one.hits]
            twin_score = None if not held or score is None else sum(values[c] for c in held) / len(held)
            yield Reading(
                fact_id=one.ask.fact.id,
                measure=measure.name,
                variant=variant,
                score=score,
                twin_score=twin_score,
                missing=one.missing if score is None else None,
            )

    def _read_words(self, one: Drawn) -> Iterator[Reading]:
        from .bounds import mean_bound, tail_bound

        missing = CUT_OFF if one.missing == CUT_OFF else None
        answer, alpha = one.ask.fact.answer or "", self.parameters.alpha
        known = {text: rouge_l_recall(answer, text) for text in one.texts}
        scores = [known[text] for text in one.texts.elements()]
        bounds = {MEAN: mean_bound(scores, alpha), ABOVE_HALF: tail_bound(scores, 0.5, alpha)}
        for variant, bound in bounds.items():
            yield Reading(
                fact_id=one.ask.fact.id,
                measure=ROUGE_L_BOUND.name,
                variant=variant,
                score=None if missing else bound,
                missing=missing,
            )

    def _missing(self, ask: Ask, reason: str) -> Iterator[Reading]:
        for measure, variant in (*self._scale(), (ROUGE_L_BOUND, MEAN), (ROUGE_L_BOUND, ABOVE_HALF)):
            yield Reading(fact_id=ask.fact.id, measure=measure.name, variant=variant, score=None, missing=reason)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The samples of one fact, each judged."""

    ask: Ask
    answered: tuple[Answered, ...]

    @cached_property
    def missing(self) -> str | None:
        """Why the hits cannot be counted: the first reason for which one is unknown."""
        return next((one.missing for one in self.answered if one.hit is None), None)

    @cached_property
    def hits(self) -> int:
        """Samples that hold the answer."""
        return sum(one.hit == 1.0 for one in self.answered)

    @cached_property
    def texts(self) -> Counter[str]:
        """Different outputs, with how often each was said."""
        return Counter(one.output.text for one in self.answered)

    def twin_hits(self, twins: Twins, *, minimum_twins: int) -> list[int] | None:
        """For every other subject's answer: how many of the samples hold it. None for too few twins.

        A twin of which the judge cannot say counts neither way.
        """
        different = list({one.output.text: one for one in self.answered}.values())
        found = twin_verdicts(different, twins, minimum_twins=minimum_twins)
        if found is None:
            return None
        counts = [self.texts[one.output.text] for one in different]
        return [
            sum(count for count, hit in zip(counts, said, strict=True) if hit)
            for said in found
            if all(isinstance(one, bool) for one in said)
        ]
