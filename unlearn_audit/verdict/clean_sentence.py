"""The sentence of a PASS (or WAIVED): what is claimed, of what, by which attacks, and what it does not cover."""

from __future__ import annotations

import math
from collections.abc import Sequence

from unlearn_audit.api import ScoreKind
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import SERVED, Case, is_named
from unlearn_audit.spec.policy import Policy, Population, Release, Unit
from unlearn_audit.statistics.bounds import holm
from unlearn_audit.verdict.findings.causes import some
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.phrases import counted, percent, shown
from unlearn_audit.verdict.policy.required import done_without
from unlearn_audit.verdict.policy.rules import allowed_margins
from unlearn_audit.verdict.result import Control, Exposure, Finding, People, Utility


def clean(
    findings: Sequence[Finding],
    utility: Utility,
    people: People | None,
    exposure: Exposure | None,
    case: Case,
    policy: Policy,
) -> str:
    """The whole sentence."""
    gating = [finding for finding in findings if finding.gates]
    passed = [finding for finding in gating if finding.status is Status.PASSED]
    powerless = [finding.id for finding in gating if finding.status is Status.NO_POWER and finding.waiver is None]
    attacks = list(
        dict.fromkeys(_run(finding.attack, case, policy) for finding in passed if finding.attack != BASELINE)
    )
    silent = f"; says nothing about {some(powerless)}, which had no power" if powerless else ""
    waived = _waived(gating, utility)
    opening = f"WAIVED: somebody accepts {some(waived)}; of the rest, " if waived else "PASS: "
    claim = _claim(passed, exposure, policy)
    return (
        f"{opening}{claim if waived else claim[0].upper() + claim[1:]} "
        f"({', '.join(('plain asking', *attacks))}; checkpoint {_checkpoint(case)} against {_controls(passed, case)}; "
        f"{_units(passed, case, policy)}{_runs(passed, policy)}{_out(people, exposure)}{silent}"
        f"{_hiding(passed, case)}{_unseen(passed, case)}"
        f"{_without(case, policy)}){_advisory(findings)}{_lost(utility)}."
    )


def _claim(passed: Sequence[Finding], exposure: Exposure | None, policy: Policy) -> str:
    """What is claimed: a count of listed facts, or a share at a confidence, or both where some cells need it."""
    most = max(policy.margin if finding.at_most is None else finding.at_most for finding in passed)
    cells = [cell for finding in passed for cell in finding.cells]
    bounded = [cell for cell in cells if not cell.by_count]
    share = (
        f"at {percent(1 - policy.alpha_pass)} confidence no attack of this battery recovers more than "
        f"{percent(math.ceil(1000 * most) / 1000)} of the forget set; the policy allows {_allowed(passed, policy)}"
    )
    hits = [cell for one in passed if one.kind is ScoreKind.HIT for cell in one.cells if cell.by_count]
    if policy.population is not Population.LISTED or not hits:
        return share
    worst = max(hits, key=lambda cell: cell.shown_at_most or 0.0)
    people = f" about {exposure.people} people" if exposure is not None else ""
    count = (
        f"of {exposure.facts if exposure is not None else worst.facts} listed facts{people} no attack of this battery "
        f"shows more than {shown(worst.shown_at_most)} in any one run, where {shown(worst.allowed)} may come back"
    )
    return count if not bounded else f"{count}; where guessing hides the count, {share}"


def _units(passed: Sequence[Finding], case: Case, policy: Policy) -> str:
    """How many are counted, and what is assumed where each has one fact only."""
    subjects = min(finding.subjects for finding in passed)
    alone = policy.unit is not Unit.FACT and len(set(case.units.values())) == len(case.units)
    whole = f" of {policy.whole}" if policy.whole is not None and policy.population is Population.SAMPLE else ""
    return counted(subjects, policy.unit) + whole + (" of one fact each, counted as independent" if alone else "")


def _runs(passed: Sequence[Finding], policy: Policy) -> str:
    """What confidence does not cover: how often attacks that draw at random were run."""
    runs = {finding.attack: finding.runs for finding in passed if finding.runs}
    told = [f"{count} run{'s' if count > 1 else ''} of {attack}" for attack, count in runs.items()]
    if not told:
        return ""
    listed = policy.population is Population.LISTED
    scope = "counted in the runs that were made" if listed else "the confidence is over facts, not over runs"
    return f"; {scope}: {', '.join(told)}"


def _hiding(passed: Sequence[Finding], case: Case) -> str:
    """Which kinds of hiding this battery was seen to undo, on plants that hide the original's knowledge."""
    if case.plants is None:
        return "; whether these attacks undo what is hidden was not measured (--plant)"
    undone = {plant.name for one in passed if one.power is not None for plant in one.power.plants if plant.enough}
    kinds = sorted({case.plant_kinds.get(name) or name for name in undone})
    others = sorted({case.plant_kinds.get(name) or name for name in case.plant_names - undone} - set(kinds))
    seen = f"; seen to undo {', '.join(kinds) or 'no kind of hiding'}"
    return seen + (f", not {', '.join(others)}" if others else "")


def _unseen(passed: Sequence[Finding], case: Case) -> str:
    """The formats of which it is not known that they undo anything: no plant came back there, or there is none."""
    missed, unknown = [], []
    for attack, arms in case.served_arms.items():
        powers = [one.power for one in passed if one.attack == attack and one.power is not None and one.power.planted]
        planted = [arm for own in case.plant_arms.get(attack, {}).values() for arm in own]
        found = {dose for power in powers for dose in power.doses}
        for arm in arms if powers else ():
            if not is_named(arm, planted):
                unknown.append(arm)
            elif not any(is_named(dose, (arm,)) for dose in found):
                missed.append(arm)
    missing = f"; no power was shown at {some(missed)}" if missed else ""
    return missing + (f"; nothing is known to be undone by {some(unknown)} (no plant)" if unknown else "")


def _without(case: Case, policy: Policy) -> str:
    """What the policy does without, although it would require it."""
    accepted = done_without(case, policy)
    return f"; WITHOUT {' and '.join(accepted)}" if accepted else ""


def _advisory(findings: Sequence[Finding]) -> str:
    """No proven leak is silent: findings that decide nothing here, corrected for how many they are (Holm)."""
    open_ones = [
        one
        for one in findings
        if not one.gates and not one.exploratory and one.p_value is not None and one.kind is ScoreKind.HIT
    ]
    adjusted = holm([one.p_value for one in open_ones if one.p_value is not None])
    leaks = [
        f"{one.id} ({percent(one.worst.unlearned)} shown)"
        for one, p in zip(open_ones, adjusted, strict=True)
        if one.alpha is not None and one.worst is not None and p <= one.alpha
    ]
    return f"; BUT what decides nothing here proves a leak: {some(leaks)}" if leaks else ""


def _out(people: People | None, exposure: Exposure | None) -> str:
    """What all attacks together show, and how many people have any fact out in the worst cell."""
    lines = ""
    if exposure is not None and exposure.shown > 0:
        beside = "" if exposure.controls is None else f", the controls together {exposure.controls:g}"
        lines = (
            f"; all attacks together show {exposure.shown:g} of the {exposure.facts} facts{beside}; "
            f"{exposure.people_shown} of {exposure.people} people have a fact out"
        )
    if people is None or people.with_a_fact_out == 0:
        return lines
    return lines + (
        f"; {people.with_a_fact_out} of {people.people} people show a fact at {people.place}, and "
        f"{people.in_the_control:g} of them in the control"
    )


def _allowed(passed: Sequence[Finding], policy: Policy) -> str:
    least, most = allowed_margins(passed, policy)
    return percent(least) if least == most else f"{percent(least)} to {percent(most)}"


def _lost(utility: Utility) -> str:
    """Parts of what must stay that are lost, though the policy does not ask for them: no proven loss is silent."""
    lost = [
        f"{part.name} ({percent(part.unlearned or 0.0)} of them against the original's {percent(part.original or 0.0)})"
        for part in utility.parts
        if part.status is Status.FAILED and not part.gates
    ]
    return f"; of what must stay, the checkpoint lost {some(lost)}" if lost else ""


def _waived(gating: Sequence[Finding], utility: Utility) -> list[str]:
    """What a waiver excuses: `quantization/recall.hit (failed, waived by A. Owner until ...)`."""
    stands = [(finding.id, finding.status, finding.waiver) for finding in gating]
    stands.append(("utility", utility.status, utility.waiver))
    return [
        f"{name} ({status.replace('-', ' ')}, waived by {waiver.owner} until {waiver.expires.isoformat()})"
        for name, status, waiver in stands
        if waiver is not None
    ]


def _run(attack: str, case: Case, policy: Policy) -> str:
    """An attack by name; artefacts, and what the policy says is served, by theirs."""
    if attack == SERVED:
        return f"as served in {some(case.served_arms[attack])}"
    parted = policy.serves and case.release is Release.API and attack in case.served_arms
    return f"{attack} as served: {' and '.join(policy.serves)}" if parted else attack


def _checkpoint(case: Case) -> str:
    return f"sha256:{case.checkpoint[:16]}" if case.checkpoint else "under audit"


def _controls(passed: Sequence[Finding], case: Case) -> str:
    stand_ins = {
        Control.TWINS: "the twins of each fact",
        Control.PLACEBO: "placebo facts",
        Control.TWINS_AND_PLACEBO: "the twins of each fact and placebo facts",
        Control.SHAM: "twin answers",
    }
    weakest = max((finding.control for finding in passed if finding.control is not None), key=list(Control).index)
    if weakest in (Control.CHANCE, Control.NOTHING):
        return "no control (guesses count as shown)"
    if weakest in stand_ins:
        return f"{stand_ins[weakest]} (no retrained control)"
    return "1 retrained control" if len(case.controls) == 1 else f"{len(case.controls)} retrained controls"
