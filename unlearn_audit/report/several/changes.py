"""What changed since a baseline: as a table of 80 columns, as Markdown, and as part of a page with a plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.figures import svg as figures
from unlearn_audit.report.parts.numbers import count, p_value, percent, points
from unlearn_audit.report.parts.text import escape_markdown
from unlearn_audit.report.several.lines import WIDTH, line
from unlearn_audit.report.several.markup import notes, scrolled, table
from unlearn_audit.verdict.changes import BaselineRecord, Change, Direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console

TITLES = ("finding", "old", "new", "new - old, points", "Holm p", "n", "new is")
_WIDTHS = (28, 5, 5, 18, 8, 4, 6)
_INK = {Direction.WORSE: Status.FAILED, Direction.BETTER: Status.PASSED, Direction.OPEN: Status.INCONCLUSIVE}
_MARKERS = {Direction.WORSE: "D", Direction.BETTER: "o", Direction.OPEN: "s"}
_WIDTH, _ROW, _LEFT, _RIGHT, _TOP, _BOTTOM = 1040.0, 34.0, 320.0, 262.0, 30.0, 48.0
_MOST_ROWS = 60
_LEGEND = (
    "old, new: share shown by the checkpoint, in the cell that grew most (utility: fell). new - old with one-sided "
    "bounds, paired by subject. Worse: proven by Holm's p over deciding readings; advisory ones have no p."
)


def show(record: BaselineRecord, console: Console) -> None:
    """The table, on a terminal; no line is wider than 80 columns."""
    for cells in (TITLES, *(_cells(one) for one in record.changes)):
        console.print(line(cells, _WIDTHS), markup=False, highlight=False, soft_wrap=True)
    width = min(WIDTH, console.width)
    for text in (_LEGEND, *(f"Note: {clean(note)}" for note in record.notes), summary_line(record)):
        console.print(text, markup=False, highlight=False, width=width)


def summary_line(record: BaselineRecord) -> str:
    """What happened, in one sentence."""
    deciding = [one for one in record.changes if one.gates]
    better = sum(one.direction is Direction.BETTER for one in deciding)
    return f"{len(record.worse())} worse and {better} better, of {count(len(deciding), 'deciding reading')}."


def markdown(record: BaselineRecord) -> str:
    """Summary and table as Markdown."""
    rows = [TITLES, ("---", *["---:"] * (len(TITLES) - 2), "---")]
    rows += [(escape_markdown(name), *rest) for name, *rest in map(_cells, record.changes)]
    lines = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    remarks = "".join(f"\n- {escape_markdown(note)}" for note in record.notes)
    return f"{escape_markdown(summary_line(record))}\n\n{lines}\n\n{_LEGEND}\n{remarks}"


def section(record: BaselineRecord, place: int) -> Markup:
    """Summary, plot and table, the `place`-th of a page."""
    return Markup("<p>{}</p>{}{}<p>{}</p>{}").format(
        summary_line(record),
        scrolled(plot(record.changes, place)),
        scrolled(table(TITLES, [_cells(one) for one in record.changes])),
        _LEGEND,
        notes(record.notes),
    )


def plot(changes: Sequence[Change], place: int) -> Markup:
    """New - old of every reading with its bounds, in percentage points."""
    shown, labels = list(changes)[:_MOST_ROWS], figures.Labels()
    with figures.drawing():
        figure = figures.new_figure(_WIDTH, _TOP + _BOTTOM + _ROW * len(shown))
        axes = figures.add_axes(figure, _LEFT, _BOTTOM, _RIGHT, _TOP)
        ends = [100 * end for one in shown for end in (one.lower, one.upper)]
        axes.set_xlim(min([*ends, -20.0]) - 4, max([*ends, 20.0]) + 4)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.axvline(0, color=figures.TEXT.drawn, linewidth=1.25)
        axes.set_xlabel("new - old, percentage points", color=figures.MUTED.drawn)
        for place, one in enumerate(shown):
            _row(axes, one, place, labels)
        title = "Change in percentage points: " + "; ".join(f"{one.finding} {_interval(one)}" for one in shown)
        return figures.to_svg(figure, labels, name=f"changes-{place}", title=title)


def _row(axes: Axes, one: Change, place: int, labels: figures.Labels) -> None:
    ink, across = figures.STATUS_INK[_INK[one.direction]].drawn, axes.get_yaxis_transform()
    axes.plot([100 * one.lower, 100 * one.upper], [place, place], color=ink, linewidth=2.5)
    axes.plot([100 * one.estimate], [place], marker=_MARKERS[one.direction], markersize=9, color=ink)
    name = labels.add(one.finding if one.gates else f"{one.finding} (advisory)", 40)
    gap = 16 / (_WIDTH - _LEFT - _RIGHT)
    axes.text(-gap, place, name, transform=across, ha="right", va="center", color=figures.TEXT.drawn, fontsize=13)
    axes.text(1 + gap, place, one.direction.value, transform=across, ha="left", va="center", color=ink, fontsize=13)
    said = _interval(one)
    axes.text(1 + 5 * gap, place, said, transform=across, ha="left", va="center", color=figures.TEXT.drawn, fontsize=13)


def _cells(one: Change) -> tuple[str, ...]:
    return (
        clean(one.finding),
        percent(one.old),
        percent(one.new),
        _interval(one),
        p_value(one.holm_p_value),
        str(one.subjects),
        one.direction.value,
    )


def _interval(one: Change) -> str:
    return f"{points(one.estimate)} [{points(one.lower)}, {points(one.upper)}]"
