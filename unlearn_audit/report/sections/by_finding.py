"""What the sections that go finding by finding share: a table for each, and the cells in its rows."""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.parts.numbers import NONE, percent, percent_range
from unlearn_audit.report.parts.view import Block, Code, Column, Inline, Limits, Number, Table, heading
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.result import CellEstimate, Finding

Row = tuple[Inline, ...]


def table_of(
    finding: Finding,
    what: str,
    columns: tuple[Column, ...],
    rows: Sequence[Row],
    limits: Limits,
    *,
    most: int,
    noun: str,
    of: str = "",
) -> tuple[Block, ...]:
    """One finding's heading and table, and a sentence on the rows that are omitted.

    Args:
        finding: names both.
        what: comes before the name in the caption (`Layers`).
        columns: of the table.
        rows: all of them.
        limits: of texts.
        most: rows to show.
        noun: what a row is (`layer`).
        of: comes after the name in the heading.
    """
    name = code(finding.id, limits)
    shown = tuple(rows[:most])
    title = heading(name, of) if of else heading(name)
    table = Table(caption=(f"{what} of ", name), columns=columns, rows=shown)
    return title, table, *left_over(len(rows) - len(shown), noun)


def unattacked(finding: Finding, findings: Sequence[Finding]) -> Finding | None:
    """The finding of the same measure on the checkpoint as it is, where it has evidence."""
    for other in findings:
        same = (other.probe, other.measure, other.any_of) == (finding.probe, finding.measure, finding.any_of)
        if other.attack == BASELINE and same and other.cells:
            return other
    return None


def shares(cell: CellEstimate | None) -> Row:
    """What checkpoint, original and controls show in a cell."""
    if cell is None:
        return numbers(NONE, NONE, NONE)
    return numbers(percent(cell.unlearned), percent(cell.original), percent_range(list(cell.controls.values())))


def numbers(*texts: str) -> Row:
    """Cells of a row that hold numbers, set as such."""
    return tuple(Number(text) for text in texts)


def code(text: str, limits: Limits) -> Code:
    """A name of the result, cleaned and cut, set as code."""
    return Code(clean(text, limits.text))
