"""The contract of a probe: every fact and measure scored or missing with a reason; blind, harmless, not judging."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from unlearn_audit.api import Access, Claim, Fact, FactSet, Judge, JudgeKind, Measure, Model, Probe, Reading, ScoreKind
from unlearn_audit.api.kit.asking import CUT_OFF
from unlearn_audit.testing.models import tiny_model
from unlearn_audit.testing.promises import (
    ModelState,
    Settings,
    built,
    check_identity,
    check_science,
    one_thread,
    promise,
)

FEW = 4
FACTS = (
    *(
        Fact(
            id=f"f{place}",
            subject=f"Person {place}",
            question=f"Where was Person {place} born?",
            answer=f"Town{place}.",
            aliases=(f"Town{place}",),
            paraphrases=(f"Person {place} was born in which town?",) if place % 2 else (),
            wrong_answers=("Hamlet.", "Nowhere.") if place < FEW else (),
            relation="born",
        )
        for place in range(24)
    ),
    Fact(id="text", subject="A book", text="It was the best of times, it was the worst of times, the age of wisdom."),
)
JUDGED = ("hit", "exposure", "leak")
"""Measures of outputs, which the judge of the audit must give."""

TOLERANCE = 1e-4
"""What rounding may do to a score in another batch."""


@one_thread()
def check_probe(probe: type[Probe[Any]], parameters: Settings | None = None) -> None:
    """Whether a probe keeps the contract of `api.probe`, on a tiny random model.

    The facts are 24 people with a question each, every second with a paraphrase and the first few with wrong answers,
    and one passage. A probe that reads outputs (access `prompts` or `logits`) and has a measure named `hit`,
    `exposure` or `leak` must leave these to the judge of the audit, as `api.kit.answered` does.

    Args:
        probe: the class.
        parameters: of the probe, as a spec would give them. A random model stops nowhere: limit its new tokens.

    Raises:
        ContractError: a promise is broken; it says which.
    """
    check_identity(probe, Probe)
    check_science(probe)
    made = built(probe, parameters)
    _check_measures(made)
    model = tiny_model(switches_thinking=True)
    before = ModelState.of(model.module)
    whole = list(made.observe(model, FACTS, FACTS))
    before.check(model.module, f"after {made.name} measured it")
    _check_readings(made, whole)
    _check_parts(made, model, whole)
    outputs = made.access in (Access.PROMPTS, Access.LOGITS)
    if outputs and any(measure.name in JUDGED for measure in made.measures):
        for said in (False, True):
            _check_judge(made, model, said=said)


def _check_measures(probe: Probe[Any]) -> None:
    promise(bool(probe.measures), f"{probe.name} must name its measures")
    promise(all(isinstance(one, Measure) for one in probe.measures), f"{probe.name}.measures must hold Measure objects")
    names = [measure.name for measure in probe.measures]
    promise(len(set(names)) == len(names), f"{probe.name}: two measures have one name among {', '.join(names)}")
    promise(isinstance(probe.reads, FactSet), f"{probe.name}.reads must be a FactSet; it is {probe.reads!r}")


def _check_readings(probe: Probe[Any], readings: Sequence[Reading]) -> None:
    """Every measure of every fact, once in each way of asking, and of no other fact."""
    places = [(reading.fact_id, reading.measure, reading.variant) for reading in readings]
    twice = next((place for place in places if places.count(place) > 1), None)
    promise(twice is None, f"{probe.name} reads one place twice: {twice}")
    kinds = {measure.name: measure.kind for measure in probe.measures}
    known = {fact.id for fact in FACTS}
    for reading in readings:
        where = f"{probe.name}, {reading.measure} of {reading.fact_id!r}"
        promise(reading.fact_id in known, f"{where}: no fact with that id was requested")
        promise(reading.measure in kinds, f"{where}: the probe names no such measure (it names {', '.join(kinds)})")
        _check_score(where, reading, kinds[reading.measure])
    for fact in FACTS:
        absent = sorted(kinds.keys() - {reading.measure for reading in readings if reading.fact_id == fact.id})
        promise(
            not absent,
            f"{probe.name} gives no reading of {', '.join(absent)} for {fact.id!r}; every fact needs every measure, "
            "scored or missing with a reason",
        )
    # The random model stops nowhere, and an output that was cut off is missing.
    scored = any(reading.score is not None or CUT_OFF in (reading.missing or "") for reading in readings)
    promise(scored, f"{probe.name} scores nothing: every reading is missing ({_reasons(readings)})")


def _check_score(where: str, reading: Reading, kind: ScoreKind) -> None:
    for name, value in (("score", reading.score), ("twin_score", reading.twin_score)):
        promise(value is None or 0 <= value <= 1, f"{where}: {name} {value} is not in [0, 1]")
    promise((reading.score is None) == bool(reading.missing), f"{where}: a score, or a reason why there is none")
    if kind is ScoreKind.HIT:
        promise(reading.score in (None, 0, 1), f"{where}: a hit is 0 or 1; it is {reading.score}")


def _reasons(readings: Iterable[Reading]) -> str:
    return "; ".join(sorted({reading.missing or "" for reading in readings})[:3])


def _check_parts(probe: Probe[Any], model: Model, whole: Sequence[Reading]) -> None:
    """An attack that trains has its eval split scored alone: no score may depend on the company."""
    scores = {(one.fact_id, one.measure, one.variant): one.score for one in whole}
    for reading in probe.observe(model, FACTS[::-1][:11], FACTS):
        place = (reading.fact_id, reading.measure, reading.variant)
        where = f"{probe.name}, {reading.measure} of {reading.fact_id!r} ({reading.variant})"
        promise(place in scores, f"{where}: read among some of the facts, and not among all")
        alone, among = reading.score, scores[place]
        same = alone is None if among is None else alone is not None and abs(alone - among) <= TOLERANCE
        promise(same, f"{where}: {alone} among some of the facts, {among} among all; a score may not depend on others")


def _check_judge(probe: Probe[Any], model: Model, *, said: bool) -> None:
    """Whatever the judge says of all outputs is what the probe gives; the answer key alone is what `match` says."""
    seen: list[Claim] = []

    def weigh(claims: Sequence[Claim]) -> list[bool | None]:
        seen.extend(claims)
        return [said for _ in claims]

    judged = probe.judged_by(Judge(kind=JudgeKind.LLM, weigh=weigh, twins=2))
    readings = [one for one in judged.observe(model, FACTS[:4], FACTS) if one.measure in JUDGED]
    scores = {one.score for one in readings if one.score is not None}
    promise(bool(seen), f"{probe.name} asks the audit's judge nothing; judge outputs with `api.kit.answered`")
    wrong = scores - {0.0, float(said)}
    promise(not wrong, f"{probe.name} scores {sorted(wrong)} where the judge says {said} of everything")
    # Where nothing is shown in outputs that never ended, nothing is known.
    endless = not said and all(one.score is not None or CUT_OFF in (one.missing or "") for one in readings)
    given = float(said) in scores or endless
    promise(given, f"{probe.name} never scores {float(said)} where the judge says {said} of everything")
    told = all(one.matched is not None for one in readings if one.measure == "hit" and one.score is not None)
    promise(told, f"{probe.name}: a hit that another judge gave must say what `match` says of it (`matched`)")
