"""Waivers on findings: each is attached to what it is for, or reported as without effect, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.api.terms import Status
from unlearn_audit.spec.waivers import UTILITY, State, Waiver, WaiverRecord, Waiving
from unlearn_audit.verdict.result import Finding, Utility

WAIVABLE = (Status.FAILED, Status.INCONCLUSIVE, Status.NO_POWER)
"""What can be waived. An error cannot: what did not run must be run, or removed from the plan."""


def waive(
    findings: Sequence[Finding], utility: Utility, waivers: Waiving, checkpoint: str
) -> tuple[tuple[Finding, ...], Utility, tuple[WaiverRecord, ...]]:
    """The findings and utility with their waivers, and the state of each waiver.

    Args:
        findings: with their statuses, which they keep.
        utility: likewise.
        waivers: if several name one finding, the first is used.
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
        why = f"it expired on {waiver.expires.isoformat()}"
        return WaiverRecord(waiver=waiver, state=State.EXPIRED, on=waivers.on, why=why)
    covers, why = _covered(waiver, findings, utility, checkpoint)
    state = State.USED if covers else State.UNUSED
    return WaiverRecord(waiver=waiver, state=state, covers=covers, on=waivers.on, why="" if covers else why)


def _covered(
    waiver: Waiver, findings: Sequence[Finding], utility: Utility, checkpoint: str
) -> tuple[tuple[str, ...], str]:
    """Ids of what it waives, or why it waives nothing."""
    if waiver.model != checkpoint:
        return (), f"it is for the model sha256:{waiver.model[:16]}, but this is sha256:{checkpoint[:16] or 'unknown'}"
    named = [(one.id, one.status) for one in findings if one.gates and _names(waiver, one)]
    if waiver.finding == UTILITY:
        named.append((UTILITY, utility.status))
    if not named:
        return (), "no deciding finding has that name or rule"
    covers = tuple(name for name, status in named if status in WAIVABLE)
    if not covers and any(status is Status.ERROR for _, status in named):
        return (), "it names an error, which cannot be waived"
    return covers, "there is nothing to waive: what it names has passed"


def _names(waiver: Waiver, finding: Finding) -> bool:
    return finding.id == waiver.finding if waiver.finding is not None else finding.rule == waiver.rule
