"""What the numbers of comparisons mean against their null: pure, like every decision.

A reading is compared with the interval of its null, widened by the policy's margin: proven outside is `failed`, proven
inside is `passed`, and anything else is inconclusive. Both sides count: a membership AUC far below chance is a trace
just like one far above it. Only readings of the checkpoint, then named first, have a status: the
original's must stand out, to show that the comparison works at all. Comparisons are advisory unless the policy's
`gate` names them. Those that gate are one family: of twenty honest readings one lies outside by chance, so that a
reading fails by Holm over all that decide. Their error rate is their own, in addition to that of the findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from unlearn_audit.api import Role
from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.records import ComparisonRecord, GroupRecord
from unlearn_audit.spec.policy import Policy
from unlearn_audit.statistics.bounds import holm


def weigh_comparisons(found: Sequence[ComparisonRecord], policy: Policy) -> tuple[ComparisonRecord, ...]:
    """The comparisons with a status on every reading of the checkpoint that has a null, and whether they decide."""
    deciding = [reading for one in found if one.name in policy.gate for reading in one.readings]
    p_values = [p for reading in deciding if (p := p_outside(reading, policy)) is not None]
    level = max((p for p, holds in zip(p_values, holm(p_values), strict=True) if holds <= policy.alpha), default=0.0)

    def status(reading: GroupRecord, *, gates: bool) -> Status | None:
        alone = status_of(reading, policy.margin)
        p = p_outside(reading, policy)
        return Status.INCONCLUSIVE if gates and alone is Status.FAILED and p is not None and p > level else alone

    return tuple(
        one.model_copy(
            update={
                "gates": one.name in policy.gate,
                "readings": tuple(
                    reading.model_copy(update={"status": status(reading, gates=one.name in policy.gate)})
                    for reading in one.readings
                ),
            }
        )
        for one in found
    )


def p_outside(reading: GroupRecord, policy: Policy) -> float | None:
    """p-value of "the number lies within its null and the margin"; None where it has no status by its interval.

    A reading brings an interval and no p-value of this. Its bound lies z(1 - alpha) deviations from the estimate, so
    that the limit lies as many of them away as the distances say: below alpha exactly where the bound excludes it.
    """
    lower, upper, estimate, null = reading.lower, reading.upper, reading.estimate, reading.null
    if reading.between[0] != Role.UNLEARNED or null is None or lower is None or upper is None or estimate is None:
        return None
    low, high = null[0] - policy.margin, null[1] + policy.margin
    beyond, reach = (estimate - high, estimate - lower) if estimate > high else (low - estimate, upper - estimate)
    if beyond <= 0.0:
        return 1.0
    if reach <= 0.0:
        return 0.0
    normal = NormalDist()
    return 1.0 - normal.cdf(normal.inv_cdf(1.0 - policy.alpha) * beyond / reach)


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
