"""Was what was planned and listed scored at all? What nobody scored must not drop out of what a pass says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from unlearn_audit.plan.case import Case, PlannedFinding, is_named
from unlearn_audit.verdict.findings.places import BASELINE, FindingScores, named_model

Covered: TypeAlias = Mapping[str, frozenset[str]]
"""Model -> the facts that it has a score for."""

ANY = "any model"
COVERAGE = 0.95
"""Share of the facts that must have a score, in every role and cell, for a pass to speak of them."""


def holes(planned: PlannedFinding, scores: FindingScores, case: Case) -> tuple[str, ...]:
    """What one finding lacks: doses of the plan without evidence, and facts that it asked about and did not score.

    A way of asking that most facts have no score for tells as little as a dose; it is named where the dose is not.
    """
    named = case.doses_of(planned.attack) if planned.at_every_dose else ()
    found = [
        f"the planned dose {name} has no evidence in any model"
        for name in named
        if planned.covers(name) and not any(is_named(dose, (name,)) for dose in scores.covered)
    ]
    asked = scores.asked
    for dose, models in scores.covered.items():
        who, covered = _least(models)
        if len(covered) < COVERAGE * len(asked):
            found.append(_few(dose, len(covered), len(asked), "facts that it asked about", who=who))
        else:
            found += [
                _few(f"{dose}, {way},", met, of, "facts that it asked so", who=named_model(key))
                for (place, way), (key, met, of) in scores.met.items()
                if place == dose and met < COVERAGE * of
            ]
    return tuple(found)


def unscored(scored: Iterable[tuple[PlannedFinding, FindingScores | None]], case: Case) -> list[str]:
    """What the deciding findings of an attack lack together: listed facts that none of them scored in some model.

    One finding need not cover all (recall asks questions, extraction strength reads passages); what cannot come from
    refusing must cover all that it vouches for.
    """
    listed = frozenset(case.subjects)
    by_attack: dict[str, dict[str, Covered]] = {}
    vouched: dict[str, frozenset[str]] = {}
    for planned, scores in scored:
        if scores is None or not planned.gates:
            continue
        doses = by_attack.setdefault(planned.attack, {})
        for dose, models in scores.covered.items():
            doses[dose] = _joined(doses.get(dose, {}), models)
            if planned.refusal_proof and planned.attack == BASELINE:
                vouched = _joined(vouched, models)
    return _lacking(by_attack, vouched, listed)


def _joined(one: Covered, other: Covered) -> dict[str, frozenset[str]]:
    return {key: one.get(key, frozenset()) | other.get(key, frozenset()) for key in {**one, **other}}


def _least(models: Covered) -> tuple[str, frozenset[str]]:
    """The model that has a score for the fewest facts, and those."""
    key, facts = min(models.items(), key=lambda one: len(one[1]))
    return named_model(key), facts


def cannot_be_scored(case: Case) -> list[str]:
    """What `unscored` will say whatever the models do: the plan knows which facts a measure can give no score of."""
    listed = frozenset(case.subjects)
    by_attack: dict[str, dict[str, Covered]] = {}
    vouched: dict[str, frozenset[str]] = {}
    for planned in case.planned:
        if planned.gates:
            scorable = {ANY: listed.difference(case.unscorable.get(f"{planned.probe}.{planned.measure}", ()))}
            doses = by_attack.setdefault(planned.attack, {})
            doses["any dose"] = _joined(doses.get("any dose", {}), scorable)
            vouched = _joined(vouched, scorable) if planned.refusal_proof and planned.attack == BASELINE else vouched
    return _lacking(by_attack, vouched, listed, verb="can have")


def _lacking(
    by_attack: Mapping[str, Mapping[str, Covered]], vouched: Covered, listed: frozenset[str], *, verb: str = "have"
) -> list[str]:
    def few(dose: str, models: Covered) -> str | None:
        who, covered = _least({key: facts & listed for key, facts in models.items()})
        enough = len(covered) >= COVERAGE * len(listed)
        return None if enough else _few(dose, len(covered), len(listed), "listed facts", verb, who=who)

    lines = [(attack, few(dose, models)) for attack, doses in by_attack.items() for dose, models in doses.items()]
    found = [f"{attack}: {line}" for attack, line in lines if line is not None]
    if vouched and (line := few(BASELINE, vouched)) is not None:
        found.append(f"masking: what cannot come from refusing covers too little: {line}")
    return found


def _few(dose: str, covered: int, asked: int, of: str, verb: str = "have", *, who: str) -> str:
    return f"at {dose} {covered} of the {asked} {of} {verb} a score of {who}, and a pass needs {COVERAGE:.0%}"
