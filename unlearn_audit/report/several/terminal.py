"""The table of checkpoints on a terminal: no line is wider than 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.several import changes
from unlearn_audit.report.several.lines import WIDTH, line
from unlearn_audit.report.several.shown import (
    STANDING,
    difference,
    legend,
    number_of,
    proven,
    standing,
    summary,
    tested,
    tile,
)
from unlearn_audit.verdict.several import SeveralRecord

if TYPE_CHECKING:
    from rich.console import Console

_STANDING = (2, 22, 12, 5, 23, 4, 7)
_STANDING_RIGHT = (0, 3, 5)
_ATTACK, _PLACE = 19, 5
_ABREAST = (WIDTH - _ATTACK) // (_PLACE + 1)
_MOST_DIFFERENCES = 10


def show(record: SeveralRecord, console: Console) -> None:
    """The table, the matrix, and which differences are proven."""
    width = min(WIDTH, console.width)
    for row in _rows(record):
        console.print(row, markup=False, highlight=False, soft_wrap=True)
    for text in (*legend(record), tested(record)):
        console.print(text, markup=False, highlight=False, width=width)
    for text in _differences(record):
        console.print(text, markup=False, highlight=False, width=width)
    for note in record.notes:
        console.print(f"Note: {clean(note)}", markup=False, highlight=False, width=width)
    for name, change in record.changes.items():
        console.print(f"\n{clean(name, 120)} since {clean(record.baseline or '', 120)}", markup=False, highlight=False)
        changes.show(change, console)
    console.print(summary(record), markup=False, highlight=False, width=width)


def _rows(record: SeveralRecord) -> Iterator[str]:
    yield line(STANDING, _STANDING, _STANDING_RIGHT)
    yield from (line(cells, _STANDING, _STANDING_RIGHT) for cells in standing(record))
    yield ""
    for start in range(0, len(record.rows), _ABREAST):
        some = record.rows[start : start + _ABREAST]
        widths = (_ATTACK, *[_PLACE] * len(some))
        right = range(1, len(widths))
        yield line((record.measure, *(number_of(record, row) for row in some)), widths, right)
        for attack in record.attacks:
            tiles = [tile(record, row, attack) for row in some]
            yield line((clean(attack, 80), *(one.text + one.sign for one in tiles)), widths, right)
        yield ""


def _differences(record: SeveralRecord) -> Iterator[str]:
    found = proven(record)
    for one in found[:_MOST_DIFFERENCES]:
        leaks, verb, other, by, amount, at, holm, _ = difference(one)
        yield f" - {leaks} {verb} than {other}: {by} at {at}, {amount} points, Holm p {holm}"
    if len(found) > _MOST_DIFFERENCES:
        yield f" - and {len(found) - _MOST_DIFFERENCES:,} more (-f md, html, csv or json has all)"
