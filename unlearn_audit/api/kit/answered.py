"""Questions put to a model, its outputs judged, and what the same outputs score for twins.

A probe that asks in a way of its own builds `Ask`s, gives them to `ask_all` with the pool's `Twins`, and reads hits and
twin scores by the same key and the same judge as `recall` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from unlearn_audit.api.facts import Fact
from unlearn_audit.api.judge import Judge, JudgeKind
from unlearn_audit.api.kit.answer_key import Output
from unlearn_audit.api.kit.asking import CUT_OFF, Ask, is_cut_off
from unlearn_audit.api.kit.judged import Case, Verdict, drawn, matched, verdicts
from unlearn_audit.api.kit.twins import Entry, Twins
from unlearn_audit.api.model import Generation, Model
from unlearn_audit.api.terms import Parameters


class QuestionParameters(Parameters):
    """How outputs are got and judged; shared, so that probes generate the same way and share their passes."""

    rouge_threshold: float = Field(
        0.8, gt=0, le=1, description="ROUGE-L recall of an answer from which the judge `rouge-l` calls an output a hit."
    )
    extra_tokens: int = Field(
        8, ge=0, description="Tokens an output may have beyond the longest question and answer of the set."
    )
    max_new_tokens: int = Field(
        64,
        ge=1,
        description="Most tokens of an output; one that ends there without the answer is read on, to four times as "
        "many and 256 at most. Raise it for thinking models.",
    )


READ_ON, MOST_READ = 4, 256
"""How many times as long an output may be that ended at its limit without the answer, and how many tokens at most."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One question with the model's output and the judge's verdict.

    Attributes:
        matched: what `match` says, where another judge gave the verdict.
    """

    ask: Ask
    output: Output
    hit: float | None
    missing: str | None
    matched: bool | None = None


def ask_all(model: Model, asks: Sequence[Ask], twins: Twins, limit: int) -> list[Answered]:
    """Puts every question that can be put, in one batch, and judges the outputs; asks that cannot be put are left out.

    What ended at the limit before the answer could come is asked once more, with room to go on, and what then comes to
    its end is judged. What does not stays unknown, whatever it holds: who goes on naming things names the answer too.

    Args:
        model: what is asked.
        asks: the questions.
        twins: gives the answer keys and the judge.
        limit: most new tokens of an output (`token_limit`).
    """
    put = [ask for ask in asks if ask.missing is None]
    if not put:
        return []
    generations = model.generate([ask.prompt for ask in put], max_new_tokens=limit)
    answered, longer = judge_all(model, put, generations, twins), min(READ_ON * limit, MOST_READ)
    places = [place for place, one in enumerate(answered) if one.missing == CUT_OFF]
    if places and longer > limit:
        asked = [put[place] for place in places]
        generations = model.generate([ask.prompt for ask in asked], max_new_tokens=longer)
        again = judge_all(model, asked, generations, twins)
        for place, ask, generation, one in zip(places, asked, generations, again, strict=True):
            if not _is_cut_off(model, ask, generation):
                answered[place] = one
    return answered


def judge_all(model: Model, asks: Sequence[Ask], generations: Sequence[Generation], twins: Twins) -> list[Answered]:
    """Outputs judged, one to each ask; unknown where one was cut off before the answer could come (`is_cut_off`)."""
    cases = [
        _case(ask.fact, Output(ask.question or ""), twins.entry(ask.fact), Output(generation.text))
        for ask, generation in zip(asks, generations, strict=True)
    ]
    return [
        _answered(ask, case, generation.missing or verdict, twins.judge, cut_off=_is_cut_off(model, ask, generation))
        for ask, case, verdict, generation in zip(asks, cases, verdicts(twins.judge, cases), generations, strict=True)
    ]


def _case(fact: Fact, prompt: Output, told: Entry, output: Output) -> Case:
    return Case(fact=fact, prompt=prompt, told=told, key=told.key.asked(prompt), output=output)


def _is_cut_off(model: Model, ask: Ask, generation: Generation) -> bool:
    return is_cut_off(generation, opened=model.opens_thinking(ask.prompt))


def _answered(ask: Ask, case: Case, verdict: Verdict, judge: Judge, *, cut_off: bool) -> Answered:
    by_match = None if judge.kind is JudgeKind.MATCH else matched(case)
    missing = verdict if isinstance(verdict, str) else CUT_OFF if cut_off and not verdict else None
    return Answered(
        ask=ask,
        output=case.output,
        hit=None if missing is not None else float(verdict is True),
        missing=missing,
        matched=None if missing is not None or isinstance(by_match, str) else by_match,
    )


def twin_score_of(answered: Sequence[Answered], twins: Twins, *, minimum_twins: int) -> float | None:
    """Share of other subjects' answers, by their frequency, that any of these outputs holds; None for too few twins.

    Args:
        answered: one fact, asked in one way or in several.
        twins: the pool.
        minimum_twins: fewest different answers that no way of asking names.
    """
    found = twin_verdicts(answered, twins, minimum_twins=minimum_twins)
    # A twin of which the judge cannot say counts neither way.
    held = [True in said for said in found or () if True in said or all(one is False for one in said)]
    return sum(held) / len(held) if held else None


def twin_verdicts(answered: Sequence[Answered], twins: Twins, *, minimum_twins: int) -> list[list[Verdict]] | None:
    """For every other subject's answer: what the judge says of each of these outputs. Arguments as above."""
    fact, judge = answered[0].ask.fact, twins.judge
    entry = twins.entry(fact)
    prompts = [Output(one.ask.question or "") for one in answered]
    usable = twins.asked(entry, prompts)
    if len({twin.identity for twin, _ in usable} - {entry.identity}) < minimum_twins:
        return None
    chosen = [
        Case(fact=fact, prompt=prompt, told=twin, key=key, output=one.output)
        for twin, keys in drawn(judge, usable, fact)
        for prompt, key, one in zip(prompts, keys, answered, strict=True)
    ]
    found, ways = verdicts(judge, chosen), len(answered)
    return [found[start : start + ways] for start in range(0, len(found), ways)]
