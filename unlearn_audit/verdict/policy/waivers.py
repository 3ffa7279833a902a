"""Waivers on findings: each is put beside what it is for, or said to waive nothing, and why."""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.api.terms import Status
from unlearn_audit.spec.waivers import UTILITY, State, Waiver, WaiverRecord, Waiving
from unlearn_audit.verdict.result import Finding, Utility

WAIVABLE = (Status.FAILED, Status.INCONCLUSIVE, Status.NO_POWER)
"""What somebody can answer for. An error is no finding: what did not run must be run, or taken out of the plan."""


def waive(
    findings: Sequence[Finding], utility: Utility, waivers: Waiving, checkpoint: str
) -> tuple[tuple[Finding, ...], Utility, tuple[WaiverRecord, ...]]:
    """The findings and utility, with a waiver beside what has one, and what became of each waiver.

    Args:
        findings: with their statuses, which they keep.
        utility: likewise.
        waivers: the first of several that name a finding stands beside it.
        checkpoint: digest of the audited model.
    """
    records = tuple(_record(one, findings, utility, waivers, checkpoint) for one in waivers.waivers)
    given: dict[str, Waiver] = {}
    for record in records:
        if record.state is State.USED:
            given |= {name: record.waiver for name in record.covers if name not in given}
    return (
        tuple(one.model_copy(update={"waiver": given[one.id]}) if one.id in given else one for one in findings),
        utility.model_copy(update={"waiver": given[UTILITY]}) if UTILITY in given else utility,
        records,
    )


def _record(
    waiver: Waiver, findings: Sequence[Finding], utility: Utility, waivers: Waiving, checkpoint: str
) -> WaiverRecord:
    if waivers.on > waiver.expires:
        why = f"it ran out on {waiver.expires.isoformat()}"
        return WaiverRecord(waiver=waiver, state=State.EXPIRED, on=waivers.on, why=why)
    covers, why = _covered(waiver, findings, utility, checkpoint)
    state = State.USED if covers else State.UNUSED
    return WaiverRecord(waiver=waiver, state=state, covers=covers, on=waivers.on, why="" if covers else why)


def _covered(
    waiver: Waiver, findings: Sequence[Finding], utility: Utility, checkpoint: str
) -> tuple[tuple[str, ...], str]:
    """Ids of what it waives, or why there is nothing."""
    if waiver.model != checkpoint:
        return (), f"it is for the model sha256:{waiver.model[:16]}, and this is sha256:{checkpoint[:16] or 'unknown'}"
    named = [(one.id, one.status) for one in findings if one.gates and _names(waiver, one)]
    if waiver.finding == UTILITY:
        named.append((UTILITY, utility.status))
    if not named:
        return (), "no finding that decides has that name, or that rule"
    covers = tuple(name for name, status in named if status in WAIVABLE)
    if not covers and any(status is Status.ERROR for _, status in named):
        return (), "what it names is an error, which cannot be waived"
    return covers, "there is nothing to waive: what it names has passed"


def _names(waiver: Waiver, finding: Finding) -> bool:
    return finding.id == waiver.finding if waiver.finding is not None else finding.rule == waiver.rule
