"""The section on comparisons: can it be told from outside that something was removed?"""

from __future__ import annotations

from collections.abc import Iterator

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.evidence.records import ComparisonRecord, GroupRecord
from unlearn_audit.report.parts.numbers import p_value
from unlearn_audit.report.parts.view import (
    Block,
    Column,
    FigureSlot,
    Inline,
    Limits,
    Mark,
    Number,
    Section,
    Table,
    heading,
    number_columns,
    paragraph,
    text_columns,
)
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.verdict.result import Result

COLUMNS = (
    *text_columns("Measure", "Between"),
    *number_columns("Estimate", "Interval", "Null", "p"),
    Column(title="Against its null"),
)


def section(result: Result, limits: Limits) -> Section:
    """What comparisons of whole models found, or that none was run."""
    found = result.verdict.comparisons
    blocks = [block for one in found for block in _comparison(one, limits)]
    intro = (
        "Whole models are compared by a number with its interval, next to its null: what the number is where "
        "nothing was removed. A reading fails if it is proven further from its null than the margin, on either side. "
        "Comparisons are advisory unless the policy names them."
        if found
        else "No comparison of models was run."
    )
    shown = (paragraph(intro), FigureSlot(name="roc"), *blocks)
    return Section(id="comparisons", title="Traces", blocks=shown, empty=not found)


def _comparison(one: ComparisonRecord, limits: Limits) -> Iterator[Block]:
    yield heading(clean(one.name, limits.text), ", decides" if one.gates else ", advisory")
    if one.error is not None:
        yield paragraph("Not measured: ", clean(one.error, limits.text))
        return
    rows = tuple(_row(reading, limits) for reading in one.readings[: limits.entries])
    yield Table(caption=(f"What {clean(one.name, limits.text)} found",), columns=COLUMNS, rows=rows)
    yield from left_over(len(one.readings) - len(rows), "reading")


def _row(reading: GroupRecord, limits: Limits) -> tuple[Inline, ...]:
    what = clean(f"{reading.measure} {reading.variant}".strip(), limits.text)
    between = clean(", ".join(reading.between), limits.text)
    if reading.estimate is None:
        return (what, between, "", "", "", "", clean(reading.missing or "no estimate", limits.text))
    return (
        what,
        between,
        Number(f"{reading.estimate:.2f}"),
        Number(_span(reading.lower, reading.upper)),
        Number("-" if reading.null is None else _span(*reading.null)),
        Number("-" if reading.p_value is None else p_value(reading.p_value)),
        _standing(reading),
    )


def _standing(reading: GroupRecord) -> Inline:
    if reading.status is not None:
        return Mark(reading.status)
    return "no null" if reading.null is None else "not the checkpoint"


def _span(lower: float | None, upper: float | None) -> str:
    return "-" if lower is None or upper is None else f"{lower:.2f} to {upper:.2f}"
