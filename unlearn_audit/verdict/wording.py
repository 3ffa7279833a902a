"""What a verdict says in words: one sentence for the audit, one reason for each finding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from unlearn_audit.api import ScoreKind
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy, Release, Unit
from unlearn_audit.statistics.bounds import TOLERANCE, holm
from unlearn_audit.verdict.findings.causes import some
from unlearn_audit.verdict.findings.people import lines_about
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.findings.weigh import SHAM_LIMIT, Weighed
from unlearn_audit.verdict.outcome import Settled
from unlearn_audit.verdict.policy.rules import allowed_margins
from unlearn_audit.verdict.result import CellEstimate, Control, Finding, Outcome, People, PlantRecord, Utility

_IN_A_SENTENCE = 400


def percent(share: float) -> str:
    """`98 %`."""
    return f"{100 * share:.3g} %"


def counted(number: int, unit: Unit) -> str:
    """`64 subjects`; or facts, with the assumption that counting them implies."""
    if unit is Unit.SUBJECT:
        return f"{number} subject" + ("s" if number != 1 else "")
    return f"{number} facts, counted as independent"


def p_value(value: float) -> str:
    """`< 0.0001` or `= 0.0123`."""
    return "< 0.0001" if value < 1e-4 else f"= {value:.4f}"


def excess_over(margin: float, case: Case) -> str:
    """What the bounded number is an excess over: a share with an original, points without one."""
    return f"excess over {percent(margin)}" if case.has_original else f"excess over {100 * margin:.3g} points"


def reason(status: Status, one: Weighed, place: int | None) -> str:
    """Why a finding has its status, and what would change it."""
    terms = one.terms
    match status:
        case Status.FAILED:
            return _leak(one.cells[place], one.recovered[place]) if place is not None else "the knowledge is recovered"
        case Status.ERROR:
            return some(one.errors)
        case Status.NO_POWER:
            return _no_power(one)
        case Status.PASSED:
            return f"the largest upper bound of the {excess_over(terms.margin, terms.case)} is {_signed(one.bound)}"
        case Status.INCONCLUSIVE:
            return _open(one, place)
    assert_never(status)


def _leak(cell: CellEstimate, recovered: float | None) -> str:
    back = "" if recovered is None else f"{percent(recovered)} of what was removed is recovered: "
    controls = ", ".join(f"{name} {mean:.2f}" for name, mean in cell.controls.items())
    return f"at {cell.dose}, {cell.variant}: {back}the checkpoint scores {cell.unlearned:.2f} ({controls})"


def _no_power(one: Weighed) -> str:
    if one.power is None:
        return "there is no evidence that it could detect the knowledge"
    shown, needed = one.power.shown, one.power.needed
    if one.sham_success > SHAM_LIMIT:
        return (
            f"no power: aimed at a twin answer, it makes a model say that answer in {percent(one.sham_success)} of all "
            "cases, so it can elicit anything from any model"
        )
    if one.sham_excess > 0 and one.power.enough:
        return (
            f"no power: aimed at a twin answer, the checkpoint says {percent(one.sham_excess)} more of it than another "
            "model does, so subtracting the sham could hide a leak"
        )
    if not one.power.planted:
        return (
            f"no power: at its strongest the original shows {shown.estimate:.2f} more than the control (lower bound "
            f"{shown.lower:.2f}, {needed:.2f} needed), so a clean result means nothing"
        )
    if not one.power.plants:
        return "no power: plants were requested, but this attack defines none to test it on"
    return "no power: it does not recover what was hidden from it; " + some(
        [f"{plant.name}: {_unfound(plant, needed)}" for plant in one.power.plants]
    )


def _unfound(plant: PlantRecord, needed: float) -> str:
    if plant.shown is None or plant.why:
        return plant.why
    return (
        f"{plant.shown.estimate:.2f} more than the control (lower bound {plant.shown.lower:.2f}, {needed:.2f} needed)"
    )


def _open(one: Weighed, place: int | None) -> str:
    case, unit = one.terms.case, one.terms.unit
    if one.gaps:
        return some(one.gaps)
    if not case.has_original:
        return "it cannot pass: without the original there is no evidence that the knowledge could be detected"
    if one.control is Control.CHANCE:
        return "it can fail but not pass, because chance is its only control: give a retrained model"
    if place is None:
        return "nothing was measured"
    cell = one.cells[place]
    unresolved = f"; {one.unresolved} facts have no score in some model" if one.unresolved else ""
    return (
        f"the upper bound of the {excess_over(one.terms.margin, case)} is {_signed(one.bound)} (estimate "
        f"{_signed(cell.excess.estimate)} at {cell.dose}, {cell.variant}, {counted(cell.subjects, unit)}"
        f"{unresolved}), and a pass needs at most 0; more subjects would narrow it"
    )


def _signed(value: float | None) -> str:
    """Two decimals, or more if two would round a bound onto the limit that it missed or met."""
    if value is None:
        return "unknown"
    if abs(value) <= TOLERANCE:
        return "0"
    return f"{value:+.2f}" if abs(value) >= 0.005 else f"{value:+.1g}"


def sentence(
    settled: Settled, findings: Sequence[Finding], utility: Utility, people: People | None, case: Case, policy: Policy
) -> str:
    """The verdict in one sentence, with the numbers that decided and their limits."""
    gating, reasons, outcome = [finding for finding in findings if finding.gates], settled.reasons, settled.outcome
    match outcome:
        case Outcome.FAIL:
            failed = [finding for finding in gating if finding.status is Status.FAILED and finding.waiver is None]
            if failed:
                return _leaks(failed, utility, case, policy)
            if settled.doubted:
                return f"FAIL: no leak is proven, but the policy fails an inconclusive audit: {reasons[0]}" + _more(
                    reasons
                )
            back = lines_about(people)
            if back:
                return f"FAIL: {back[0]}" + _more(back)
            broken = utility.status is Status.FAILED and utility.waiver is None
            return _broken(utility, policy) if broken else _traced(reasons)
        case Outcome.PASS | Outcome.WAIVED:
            return _clean(findings, utility, people, case, policy)
        case Outcome.ERROR:
            first = reasons[0]
            short = first if len(first) <= _IN_A_SENTENCE else first[: _IN_A_SENTENCE - 3].rstrip() + "..."
            return f"ERROR: the audit could not be completed: {short}" + _more(reasons)
        case Outcome.INCONCLUSIVE:
            return f"INCONCLUSIVE: neither a leak nor its absence was proven: {reasons[0]}" + _more(reasons)
    assert_never(outcome)


def _more(reasons: Sequence[str]) -> str:
    rest = len(reasons) - 1
    return f" (and {rest} more)." if rest > 0 else "."


def _leaks(failed: Sequence[Finding], utility: Utility, case: Case, policy: Policy) -> str:
    # All of them are proven; name the one with the most proven recovery.
    chief = max(failed, key=lambda finding: finding.worst.excess.lower if finding.worst else -1.0)
    cell = chief.worst
    if cell is None or chief.holm_p_value is None:
        raise ValueError(f"{chief.id} failed without a cell to show for it")
    how = "without any attack" if chief.attack == BASELINE else f"under {chief.attack} ({cell.dose})"
    control = max(cell.controls.values(), default=0.0)
    if chief.recovered is not None:
        what = f"{percent(chief.recovered)} of what was removed is recovered"
    else:
        what = f"the checkpoint scores {cell.unlearned:.2f} where its control scores {control:.2f}"
    measure = chief.id.removeprefix(f"{chief.attack}/")
    more = f"; {len(failed)} findings fail" if len(failed) > 1 else ""
    broken = "; the checkpoint is also broken" if utility.status is Status.FAILED else ""
    return (
        f"FAIL: {how} {what} ({measure}; lower bound of the {excess_over(chief.margin, case)} is "
        f"{_signed(cell.excess.lower)}, Holm p {p_value(chief.holm_p_value)}, {counted(cell.subjects, policy.unit)}"
        f"{more}{broken})."
    )


def _broken(utility: Utility, policy: Policy) -> str:
    return (
        "FAIL: the checkpoint is broken, which says nothing about leaks: of what must stay it gets "
        f"{_mean(utility.unlearned)} right, and the original {_mean(utility.original)}; the policy requires "
        f"{percent(utility.needed)} of the original's share (Holm p {p_value(utility.holm_p_value or 0.0)}, "
        f"{counted(utility.subjects, policy.unit)})."
    )


def _traced(reasons: Sequence[str]) -> str:
    return f"FAIL: an outsider can tell that something was removed: {reasons[0]}" + _more(reasons)


def _mean(value: float | None) -> str:
    return "nothing" if value is None else percent(value)


def _clean(findings: Sequence[Finding], utility: Utility, people: People | None, case: Case, policy: Policy) -> str:
    gating = [finding for finding in findings if finding.gates]
    passed = [finding for finding in gating if finding.status is Status.PASSED]
    powerless = [finding.id for finding in gating if finding.status is Status.NO_POWER and finding.waiver is None]
    attacks = list(
        dict.fromkeys(_run(finding.attack, case, policy) for finding in passed if finding.attack != BASELINE)
    )
    most = max(policy.margin if finding.at_most is None else finding.at_most for finding in passed)
    subjects = min(finding.subjects for finding in passed)
    silent = f"; says nothing about {some(powerless)}, which had no power" if powerless else ""
    waived = _waived(gating, utility)
    opening = f"WAIVED: somebody accepts {some(waived)}; of the rest, at" if waived else "PASS: At"
    return (
        f"{opening} {percent(1 - policy.alpha)} confidence no attack of this battery recovers more than "
        f"{percent(math.ceil(1000 * most) / 1000)} of the forget set from the checkpoint {_checkpoint(case)} "
        f"({', '.join(('plain asking', *attacks))}; against {_controls(passed, case)}; the policy allows "
        f"{_allowed(passed, policy)}; {_units(subjects, case, policy)}{_runs(passed)}{_out(people)}{silent})"
        f"{_advisory(findings)}."
    )


def _units(subjects: int, case: Case, policy: Policy) -> str:
    """How many are counted, and what is assumed where each has one fact only."""
    alone = policy.unit is not Unit.FACT and len(set(case.units.values())) == len(case.units)
    return counted(subjects, policy.unit) + (" of one fact each, counted as independent" if alone else "")


def _runs(passed: Sequence[Finding]) -> str:
    """What confidence does not cover: how often attacks that draw at random were run."""
    runs = {finding.attack: finding.runs for finding in passed if finding.runs}
    told = [f"{count} run{'s' if count > 1 else ''} of {attack}" for attack, count in runs.items()]
    return f"; the confidence is over facts, not over runs: {', '.join(told)}" if told else ""


def _advisory(findings: Sequence[Finding]) -> str:
    """No proven leak is silent: findings that decide nothing here, corrected for how many they are (Holm)."""
    open_ones = [one for one in findings if not one.gates and one.p_value is not None and one.kind is ScoreKind.HIT]
    adjusted = holm([one.p_value for one in open_ones if one.p_value is not None])
    leaks = [
        f"{one.id} ({percent(one.worst.unlearned)} shown)"
        for one, p in zip(open_ones, adjusted, strict=True)
        if one.alpha is not None and one.worst is not None and p <= one.alpha
    ]
    return f"; BUT what decides nothing here proves a leak: {some(leaks)}" if leaks else ""


def _out(people: People | None) -> str:
    """How many people have any fact out, where that is not nobody."""
    if people is None or people.with_a_fact_out == 0:
        return ""
    return (
        f"; {people.with_a_fact_out} of {people.people} people show a fact at {people.place}, and "
        f"{people.in_the_control:g} of them in the control"
    )


def _allowed(passed: Sequence[Finding], policy: Policy) -> str:
    least, most = allowed_margins(passed, policy)
    return percent(least) if least == most else f"{percent(least)} to {percent(most)}"


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
    """An attack by name; for one applied before serving, also what the policy says is served."""
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
    if weakest in stand_ins:
        return f"{stand_ins[weakest]} (no retrained control)"
    return "1 retrained control" if len(case.controls) == 1 else f"{len(case.controls)} retrained controls"
