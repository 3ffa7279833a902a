"""What a verdict says in words: one sentence for the audit, one reason for each finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from unlearn_audit.api import ScoreKind
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy
from unlearn_audit.statistics.bounds import TOLERANCE
from unlearn_audit.verdict.clean_sentence import clean
from unlearn_audit.verdict.findings.causes import some
from unlearn_audit.verdict.findings.people import lines_about
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.findings.weigh import SHAM_LIMIT, Weighed
from unlearn_audit.verdict.outcome import Settled
from unlearn_audit.verdict.phrases import counted, excess_over, p_value, percent, shown, signed
from unlearn_audit.verdict.result import CellEstimate, Control, Exposure, Finding, Outcome, People, PlantRecord, Utility

_IN_A_SENTENCE = 400


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
            cell = None if place is None else one.cells[place]
            if cell is not None and cell.by_count:
                return (
                    f"at most {shown(cell.shown_at_most)} of {cell.facts + cell.missing} facts are shown (at "
                    f"{cell.dose}, {cell.variant}), where {shown(cell.allowed)} may come back"
                )
            return f"the largest upper bound of the {excess_over(terms.margin, terms.case)} is {signed(one.bound)}"
        case Status.INCONCLUSIVE:
            return _open(one, place)
    assert_never(status)


def _leak(cell: CellEstimate, recovered: float | None) -> str:
    back = "" if recovered is None else f"{percent(recovered)} of what was removed is recovered: "
    if cell.shown is not None:
        back += f"{shown(cell.shown)} of {cell.facts} facts are shown, where {shown(cell.allowed)} may come back: "
    controls = ", ".join(f"{name} {mean:.2f}" for name, mean in cell.controls.items())
    return f"at {cell.dose}, {cell.variant}: {back}the checkpoint scores {cell.unlearned:.2f} ({controls})"


def _no_power(one: Weighed) -> str:
    if one.power is None:
        return "there is no evidence that it could detect the knowledge"
    if one.power.why:
        return f"no power: {one.power.why}"
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
    if one.control is Control.CHANCE and not one.terms.listed:
        return "it can fail but not pass, because chance is its only control: give a retrained model"
    if place is None:
        return "nothing was measured"
    cell = one.cells[place]
    unresolved = f"; {one.unresolved} facts have no score in some model" if one.unresolved else ""
    return (
        f"the upper bound of the {excess_over(one.terms.margin, case)} is {signed(one.bound)} (estimate "
        f"{signed(cell.excess.estimate)} at {cell.dose}, {cell.variant}, {counted(cell.subjects, unit)}"
        f"{unresolved}), and a pass needs at most 0{_count_of(cell)}; {_what_helps(cell, listed=one.terms.listed)}"
    )


def _what_helps(cell: CellEstimate, *, listed: bool) -> str:
    """What would settle a finding that is open; of a list nobody can give more than is on it."""
    if cell.shown is not None and cell.shown_at_most is not None and cell.allowed is not None:
        unscored = cell.shown_at_most - cell.shown
        if cell.shown <= cell.allowed + TOLERANCE and unscored > 0:
            return f"{shown(unscored)} of them have no score, which counts as shown: their scores could settle it"
    return "another retrained control would narrow it" if listed else "more subjects would narrow it"


def _count_of(cell: CellEstimate) -> str:
    """What a count says where it does not pass."""
    if cell.shown_at_most is None:
        return ""
    return f"; by count at most {shown(cell.shown_at_most)} facts are shown, and {shown(cell.allowed)} may come back"


def sentence(
    settled: Settled,
    findings: Sequence[Finding],
    utility: Utility,
    people: People | None,
    exposure: Exposure | None,
    case: Case,
    policy: Policy,
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
            return clean(findings, utility, people, exposure, case, policy)
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
    chief = max(failed, key=lambda finding: finding.worst.beyond if finding.worst else -1.0)
    cell = chief.worst
    if cell is None or chief.holm_p_value is None:
        raise ValueError(f"{chief.id} failed without a cell to show for it")
    how = "without any attack" if chief.attack == BASELINE else f"under {chief.attack} ({cell.dose})"
    control = max(cell.controls.values(), default=0.0)
    if chief.recovered is not None:
        what = f"{percent(chief.recovered)} of what was removed is recovered"
    else:
        what = f"the checkpoint scores {cell.unlearned:.2f} where its control scores {control:.2f}"
    if cell.shown is not None and chief.kind is ScoreKind.HIT:
        runs = f", in {cell.runs_beyond} of {cell.runs} runs" if cell.runs > 1 else ""
        what += f": {shown(cell.shown)} of {cell.facts} facts, where {shown(cell.allowed)} may come back{runs}"
    measure = chief.id.removeprefix(f"{chief.attack}/")
    more = f"; {len(failed)} findings fail" if len(failed) > 1 else ""
    lost = "is also broken" if utility.decided_by is None else f"also lost {utility.decided_by}"
    broken = f"; the checkpoint {lost}" if utility.status is Status.FAILED else ""
    return (
        f"FAIL: {how} {what} ({measure}; lower bound of the {excess_over(chief.margin, case)} is "
        f"{signed(cell.excess.lower)}, Holm p {p_value(chief.holm_p_value)}, {counted(cell.subjects, policy.unit)}"
        f"{more}{broken})."
    )


def _broken(utility: Utility, policy: Policy) -> str:
    kept, part = utility.deciding, utility.decided_by
    lost, of = ("is broken", "") if part is None else (f"lost {part}", f" as {part}")
    return (
        f"FAIL: the checkpoint {lost}, which says nothing about leaks: of what must stay{of} it gets "
        f"{_mean(kept.unlearned)} right, and the original {_mean(kept.original)}; the policy requires "
        f"{percent(kept.needed)} of the original's share (Holm p {p_value(kept.holm_p_value or 0.0)}, "
        f"{counted(kept.subjects, policy.unit)})."
    )


def _traced(reasons: Sequence[str]) -> str:
    return f"FAIL: an outsider can tell that something was removed: {reasons[0]}" + _more(reasons)


def _mean(value: float | None) -> str:
    return "nothing" if value is None else percent(value)
