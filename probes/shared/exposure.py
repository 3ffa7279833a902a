"""Asking in several ways at once: the answers to each, and whether any of them brings the fact to light."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unlearn_audit.api import Fact, Measure, Prompt, Reading, ScoreKind
from unlearn_audit.api.kit.answered import Answered, twin_score_of
from unlearn_audit.api.kit.asking import CUT_OFF, Ask
from unlearn_audit.api.kit.judged import UNREADABLE
from unlearn_audit.api.kit.twins import Twins

HIT = Measure(name="hit", kind=ScoreKind.HIT)
EXPOSURE = Measure(name="exposure", kind=ScoreKind.SOFT, gates=True)
"""0 or 1. Its kind is soft although it is made of hits: the plan gives a measure of hits an any-of finding beside its
own, which for one way of asking would be the same finding twice."""

ANY = "any"
UNASKABLE = "the fact can be asked in none of the ways"
UNKNOWN = frozenset({CUT_OFF, UNREADABLE})
"""Why an output was not judged although the fact was asked: it may hold the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptedAsk(Ask):
    """One fact asked in one way, with the whole prompt; `question` is all that the prompt says.

    Attributes:
        shown: what the model is asked.
        exposes: it counts towards `exposure`.
    """

    shown: Prompt
    exposes: bool = True

    @property
    def prompt(self) -> Prompt:
        """The prompt as it was written."""
        return self.shown


def prompted(fact: Fact, variant: str, prompt: Prompt | None, missing: str | None, *, exposes: bool = True) -> Ask:
    """A way of asking, or why the fact cannot be asked so."""
    if prompt is None:
        return Ask(fact=fact, variant=variant, question=None, missing=missing)
    asked = prompt.earlier[::2]  # what the model itself said before is not told to it
    said = "\n".join(filter(None, (prompt.system, *asked, prompt.text, prompt.prefix)))
    return PromptedAsk(fact=fact, variant=variant, question=said, shown=prompt, exposes=exposes)


def hit_readings(
    asks: Sequence[Ask], answered: Sequence[Answered], twins: Twins, *, minimum_twins: int
) -> Iterator[Reading]:
    """A `hit` for every way of asking every fact, in the order of `asks`."""
    found = {(one.ask.fact.id, one.ask.variant): one for one in answered}
    for ask in asks:
        one = found.get((ask.fact.id, ask.variant))
        score, missing = (None, ask.missing) if one is None else (one.hit, one.missing)
        twin_score = None
        if one is not None and score is not None:
            twin_score = twin_score_of([one], twins, minimum_twins=minimum_twins)
        yield Reading(
            fact_id=ask.fact.id,
            measure=HIT.name,
            variant=ask.variant,
            score=score,
            twin_score=twin_score,
            missing=missing if score is None else None,
            matched=None if one is None else one.matched,
        )


def exposure_readings(
    facts: Sequence[Fact], answered: Sequence[Answered], twins: Twins, *, minimum_twins: int
) -> Iterator[Reading]:
    """For every fact: 1 if any way brings the answer, 0 if each was read and none does, else missing."""
    by_fact: dict[str, list[Answered]] = {fact.id: [] for fact in facts}
    for one in answered:
        if isinstance(one.ask, PromptedAsk) and one.ask.exposes and (one.hit is not None or one.missing in UNKNOWN):
            by_fact[one.ask.fact.id].append(one)
    for fact in facts:
        asked = by_fact[fact.id]
        unknown = next((one.missing for one in asked if one.missing in UNKNOWN), None)
        score, missing = exposure([one.hit for one in asked], unknown or CUT_OFF)
        twin_score = None if score is None else twin_score_of(asked, twins, minimum_twins=minimum_twins)
        yield Reading(
            fact_id=fact.id,
            measure=EXPOSURE.name,
            variant=ANY,
            score=score,
            twin_score=twin_score,
            missing=missing,
        )


def exposure(hits: Sequence[float | None], unknown: str = CUT_OFF) -> tuple[float | None, str | None]:
    """The maximum of the hits; one that is unknown (cut off) leaves it unknown, and says why, unless another is 1."""
    if not hits:
        return None, UNASKABLE
    if 1.0 in hits:
        return 1.0, None
    return (None, unknown) if None in hits else (0.0, None)
