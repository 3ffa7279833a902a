"""What a gate reads from a result: one ruling for each finding, for utility, for each comparison, and for the whole.

JUnit and SARIF print the same rulings, so that they always agree. The ruling on the whole comes
first: an audit may fail to pass without a finding to blame (e.g. for power that a policy requires).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.records import ComparisonRecord, GroupRecord
from unlearn_audit.report.page import verdict_sentence
from unlearn_audit.report.sections.rules import waived_by, waiver_line
from unlearn_audit.spec.waivers import State, Waiver, WaiverRecord
from unlearn_audit.verdict.findings.comparisons import described
from unlearn_audit.verdict.result import Finding, Kept, KeptPart, Outcome, Result

VERDICT = "verdict"
UTILITY = "utility"
COMPARISONS = "comparisons"
FINDINGS = "findings"
WAIVERS = "waivers"
_OF_OUTCOME = {
    Outcome.PASS: Status.PASSED,
    Outcome.WAIVED: Status.PASSED,
    Outcome.FAIL: Status.FAILED,
    Outcome.INCONCLUSIVE: Status.INCONCLUSIVE,
    Outcome.ERROR: Status.ERROR,
}
_MOST_REASONS = 50
_NAMELESS, _NO_REASON = "(no name)", "(no reason given)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """The status of one thing that an audit looked at.

    Attributes:
        id: unique; as the result names it.
        rule: what kind of thing it is: `attack/probe` for a finding.
        kind: its part of the verdict: `verdict`, `findings`, `utility`, `comparisons` or `waivers`.
        place: which of its kind it is, from 0.
        gates: it counts toward the verdict. Otherwise it is only shown: what is advisory or waived, waivers that
            have no effect, and what had no power (the policy says where that rules out a pass; the ruling on the whole
            then says so).
        reason: why it has that status, in one line.
        numbers: what a machine may want to read, by name.
        details: more lines to read.
    """

    id: str
    rule: str
    kind: str
    place: int
    status: Status
    gates: bool
    reason: str
    numbers: dict[str, str | float | bool]
    details: tuple[str, ...] = ()


def rulings(result: Result) -> tuple[Ruling, ...]:
    """All rulings of a result: the verdict, then findings, utility, comparisons and idle waivers in their order."""
    return (
        _on_verdict(result),
        *(_on_finding(finding, place) for place, finding in enumerate(result.verdict.findings)),
        _on_utility(result),
        *map(_on_part, result.verdict.utility.parts),
        *(each for place, one in enumerate(result.verdict.comparisons) for each in _on_comparison(one, place)),
        *(_on_waiver(one, place) for place, one in enumerate(result.verdict.waivers) if one.state is not State.USED),
    )


def label(text: str) -> str:
    """A name from outside in one printable line, never empty."""
    return clean(text, 300) or _NAMELESS


def started(result: Result) -> datetime | None:
    """When the audit began, in UTC; None where the result does not say it in a way that can be read."""
    try:
        found = datetime.fromisoformat(result.started)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _on_verdict(result: Result) -> Ruling:
    return Ruling(
        id=VERDICT,
        rule=VERDICT,
        kind=VERDICT,
        place=0,
        status=_OF_OUTCOME[result.outcome],
        gates=True,
        reason=verdict_sentence(result) or _NO_REASON,
        numbers={"outcome": result.outcome.value, "exit_code": result.exit_code},
        details=tuple(clean(reason) for reason in result.verdict.reasons[:_MOST_REASONS]),
    )


def _on_finding(finding: Finding, place: int) -> Ruling:
    worst = finding.worst
    numbers: dict[str, str | float | bool | None] = {
        "margin": finding.margin,
        "bound": finding.bound,
        "at_most": finding.at_most,
        "recovered": finding.recovered,
        "holm_p_value": finding.holm_p_value,
        "subjects": finding.subjects,
        "facts": finding.facts,
        "worst_dose": clean(worst.dose, 200) if worst else None,
        "worst_variant": clean(worst.variant, 200) if worst else None,
        "checkpoint": worst.unlearned if worst else None,
        "original": worst.original if worst else None,
    }
    return Ruling(
        id=finding.id,
        rule=f"{finding.attack}/{finding.probe}",
        kind=FINDINGS,
        place=place,
        status=finding.status,
        gates=finding.gates and finding.status is not Status.NO_POWER and finding.waiver is None,
        reason=_reason(finding.reason, finding.waiver),
        numbers={name: value for name, value in numbers.items() if value is not None},
    )


def _kept(kept: Kept) -> dict[str, str | float | bool]:
    numbers: dict[str, str | float | bool | None] = {
        "needed": kept.needed,
        "checkpoint": kept.unlearned,
        "original": kept.original,
        "above_need_lower": kept.excess.lower if kept.excess else None,
        "subjects": kept.subjects,
    }
    return {name: value for name, value in numbers.items() if value is not None}


def _on_part(part: KeptPart) -> Ruling:
    """A part that decides is in utility's ruling too, which a waiver of utility covers."""
    return Ruling(
        id=f"{UTILITY}/{part.name}",
        rule=UTILITY,
        kind=UTILITY,
        place=0,
        status=part.status,
        gates=False,
        reason=_reason(part.reason, None),
        numbers=_kept(part),
    )


def _on_utility(result: Result) -> Ruling:
    utility = result.verdict.utility
    return Ruling(
        id=UTILITY,
        rule=UTILITY,
        kind=UTILITY,
        place=0,
        status=utility.status,
        gates=utility.waiver is None,
        reason=_reason(utility.reason, utility.waiver),
        numbers=_kept(utility),
    )


def _reason(reason: str, waiver: Waiver | None) -> str:
    """Why a thing has its status, and who answers for it."""
    said = clean(reason) or _NO_REASON
    return said if waiver is None else f"{said}; {waived_by(waiver)}"


def _on_waiver(record: WaiverRecord, place: int) -> Ruling:
    """One that has expired, or has nothing to waive."""
    return Ruling(
        id=f"{WAIVERS}/{place + 1}",
        rule=f"{WAIVERS}/{record.state.value}",
        kind=WAIVERS,
        place=place,
        status=Status.INCONCLUSIVE,
        gates=False,
        reason=clean(waiver_line(record)) or _NO_REASON,
        numbers={},
    )


def _on_comparison(one: ComparisonRecord, place: int) -> Iterator[Ruling]:
    """One for each reading with a status; a comparison without any is inconclusive, or an error."""
    decided = [reading for reading in one.readings if reading.status is not None]
    if one.error is not None or not decided:
        status = Status.INCONCLUSIVE if one.error is None else Status.ERROR
        yield _of_comparison(one, place, status, one.error or "there is no null to compare its numbers with")
        return
    for reading in decided:
        if reading.status is not None:
            yield _of_comparison(one, place, reading.status, described(reading), reading)


def _of_comparison(
    one: ComparisonRecord, place: int, status: Status, reason: str, reading: GroupRecord | None = None
) -> Ruling:
    parts = [] if reading is None else [reading.measure, reading.variant, *reading.between]
    return Ruling(
        id="/".join([COMPARISONS, one.name, *filter(None, parts)]),
        rule=f"{COMPARISONS}/{one.name}",
        kind=COMPARISONS,
        place=place,
        status=status,
        gates=one.gates,
        reason=clean(reason) or _NO_REASON,
        numbers={} if reading is None or reading.estimate is None else {"estimate": reading.estimate},
    )
