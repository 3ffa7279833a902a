"""What the numbers of comparisons mean against their null: pure, like every decision.

A reading is compared with the interval of its null, widened by the policy's margin: proven outside is `failed`, proven
inside is `passed`, and anything else is inconclusive. Both sides count: a membership AUC far below chance is a trace
just like one far above it. Only readings of the checkpoint, then named first, have a status: the
original's must stand out, to show that the comparison works at all. Comparisons are advisory unless the policy's
`gate` names them. One that gates has its own error rate, in addition to that of Holm's family.
"""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.api import Role
from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.records import ComparisonRecord, GroupRecord
from unlearn_audit.spec.policy import Policy


def weigh_comparisons(found: Sequence[ComparisonRecord], policy: Policy) -> tuple[ComparisonRecord, ...]:
    """The comparisons with a status on every reading of the checkpoint that has a null, and whether they decide."""
    return tuple(
        one.model_copy(
            update={
                "gates": one.name in policy.gate,
                "readings": tuple(
                    reading.model_copy(update={"status": status_of(reading, policy.margin)}) for reading in one.readings
                ),
            }
        )
        for one in found
    )


def status_of(reading: GroupRecord, margin: float) -> Status | None:
    """The reading's interval against that of its null; None for a reading not of the checkpoint."""
    if reading.between[0] != Role.UNLEARNED:
        return None
    if reading.missing is not None or reading.lower is None or reading.upper is None:
        return Status.ERROR if reading.missing is None else Status.INCONCLUSIVE
    if reading.null is None:
        return None
    low, high = reading.null[0] - margin, reading.null[1] + margin
    if reading.lower > high or reading.upper < low:
        return Status.FAILED
    return Status.PASSED if low <= reading.lower and reading.upper <= high else Status.INCONCLUSIVE


def lines_of(found: Sequence[ComparisonRecord], status: Status) -> list[str]:
    """A line for each reading (or whole comparison) that decides and has this status."""
    lines = []
    for one in found:
        if not one.gates:
            continue
        if one.error is not None:
            lines += [f"{one.name}: {one.error}"] if status is Status.ERROR else []
            continue
        if not any(reading.status is not None for reading in one.readings):
            lines += (
                [f"{one.name}: there is no null to compare its numbers with"] if status is Status.INCONCLUSIVE else []
            )
        lines += [f"{one.name}: {described(reading)}" for reading in one.readings if reading.status is status]
    return lines


def described(reading: GroupRecord) -> str:
    """One reading in words: `accuracy (text), unlearned against original: 0.91 [0.80, 0.97], null 0.42 to 0.61`."""
    what = f"{reading.measure}{f' ({reading.variant})' if reading.variant else ''}, {' against '.join(reading.between)}"
    if reading.estimate is None:
        return f"{what}: {reading.missing or 'no estimate'}"
    span = "" if reading.lower is None or reading.upper is None else f" [{reading.lower:.2f}, {reading.upper:.2f}]"
    null = "" if reading.null is None else f", null {_span(reading.null)}"
    return f"{what}: {reading.estimate:.2f}{span}{null}{f' ({reading.null_from})' if reading.null_from else ''}"


def _span(null: tuple[float, float]) -> str:
    low, high = null
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
