"""What every format prints of a table of checkpoints: the same cells, so that no format has other numbers."""

from __future__ import annotations

from typing import NamedTuple

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.parts.numbers import NONE, count, p_value, percent, points
from unlearn_audit.spec.waivers import UTILITY
from unlearn_audit.verdict.several import Audited, Difference, Recovery, Scale, SeveralRecord

TITLE = "Several checkpoints"
STANDING = ("no", "checkpoint", "verdict", "worst", "under", "kept", "front")
DIFFERENCES = ("checkpoint", "", "than", "by", "how much, points", "at", "Holm p", "n")
FRONT_KEY = "Filled: on the front, which the line joins. Square: a control."
FRONT, CONTROL, GAPS = "yes", "control", "gaps"
SIGNS = {Status.FAILED: "!", Status.PASSED: "", Status.ERROR: "E", Status.INCONCLUSIVE: "?", Status.NO_POWER: "?"}
"""Behind a number: what the verdict says of the finding."""


class Tile(NamedTuple):
    """A place of the matrix.

    Attributes:
        text: the number.
        sign: what the verdict says of it.
        share: the number itself, for a colour; None where there is none.
        said: all of it in words.
    """

    text: str
    sign: str
    status: Status | None
    share: float | None
    said: str


def number_of(record: SeveralRecord, row: Audited) -> str:
    """How a row is called where its name has no room."""
    return str(record.rows.index(row) + 1)


def standing(record: SeveralRecord) -> list[tuple[str, ...]]:
    """One row a checkpoint, as `STANDING`."""
    return [
        (
            number_of(record, row),
            clean(row.name, 120),
            row.outcome.value,
            amount(row.worst, record.scale),
            NONE if row.worst is None else clean(row.worst.finding, 120),
            percent(row.utility),
            CONTROL if row.is_control else GAPS if row.has_gaps else FRONT if row.on_front else "",
        )
        for row in record.rows
    ]


def amount(recovery: Recovery | None, scale: Scale) -> str:
    """The number of a finding."""
    return percent(None if recovery is None else recovery.on(scale))


def tile(record: SeveralRecord, row: Audited, attack: str) -> Tile:
    """What an attack brings back of a checkpoint, by the measure of the table."""
    found = row.under(attack, record.measure)
    if found is None:
        return Tile(NONE, "", None, None, "was not run, or measured nothing")
    share = found.on(record.scale)
    where = "" if found.dose is None else f" at {clean(found.dose, 60)}, {clean(found.variant or '', 60)}"
    held = f"shown {percent(found.shown)}, controls {percent(found.controls)}, original {percent(found.original)}"
    said = f"{held}{where}; {found.status.value.replace('_', ' ')}"
    return Tile(percent(share), SIGNS[found.status], found.status, share, said)


def proven(record: SeveralRecord) -> list[Difference]:
    """The differences that are proven."""
    return [one for one in record.differences if one.proven]


def difference(one: Difference) -> tuple[str, ...]:
    """A row as `DIFFERENCES`."""
    return (
        clean(one.leaks, 120),
        "keeps less" if one.finding == UTILITY else "shows more",
        clean(one.other, 120),
        clean(one.finding, 120),
        f"{_more(one.estimate)} [{_more(one.lower)}, {_more(one.upper)}]",
        f"{clean(one.dose, 60)}, {clean(one.variant, 60)}",
        p_value(one.holm_p_value),
        str(one.subjects),
    )


def _more(difference: float) -> str:
    """Points without a plus: what stands there is how much more."""
    return points(difference).removeprefix("+")


def summary(record: SeveralRecord) -> str:
    """What the table says, in one sentence."""
    methods = [row for row in record.rows if not row.is_control]
    passed = sum(row.outcome.exit_code == 0 for row in methods)
    controls = len(record.rows) - len(methods)
    beside = f", beside {count(controls, 'control')}" if controls else ""
    return f"{passed} of {count(len(methods), 'checkpoint')} passed{beside}."


def tested(record: SeveralRecord) -> str:
    """What was tested in pairs, in one sentence."""
    if not record.tests:
        return "No two checkpoints were tested against each other."
    return (
        f"{count(len(proven(record)), 'difference')} proven, of {record.tests:,} tested: every checkpoint against "
        f"every other, both ways, paired by subject, by Holm's p over all of them at {percent(record.alpha)}."
    )


def legend(record: SeveralRecord) -> tuple[str, ...]:
    """How to read the table."""
    what = {
        Scale.RECOVERED: "share of the original's knowledge that came back, beyond what the controls guess",
        Scale.BEYOND: "share of the facts that is shown beyond the controls (not all runs have an original)",
    }[record.scale]
    kept = [row.original_utility for row in record.rows if row.original_utility is not None]
    original = f"; the original keeps {percent(max(kept))}" if kept else ""
    return (
        f"worst: {what}, at the worst cell of the deciding finding named under it. A plain share; the verdict goes by "
        "bounds.",
        f"kept: hits on the retain set{original}. front: nobody keeps as much and gives back as little (Pareto); "
        f"{GAPS}: not measured under every attack, so in no such contest; {CONTROL}: a model that never saw the facts, "
        "audited as if it were a checkpoint.",
        f"By attack: {record.measure}. ! failed, ? open or without power, E error, {NONE} no number.",
    )
