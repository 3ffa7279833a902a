"""`compare`: what changed between two audits, as a table of 80 columns, as Markdown, as a page, and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from markupsafe import Markup, escape
from rich.cells import cell_len, set_cell_size

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.figures import svg as figures
from unlearn_audit.report.parts.numbers import count, p_value, percent, points
from unlearn_audit.report.parts.text import escape_markdown
from unlearn_audit.verdict.changes import BaselineRecord, Change, Direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console

TITLES = ("finding", "A", "B", "B - A, points", "Holm p", "n", "B is")
_WIDTHS = (28, 5, 5, 18, 8, 4, 6)
_INK = {Direction.WORSE: Status.FAILED, Direction.BETTER: Status.PASSED, Direction.OPEN: Status.INCONCLUSIVE}
_MARKERS = {Direction.WORSE: "D", Direction.BETTER: "o", Direction.OPEN: "s"}
_WIDTH, _ROW, _LEFT, _RIGHT, _TOP, _BOTTOM = 1040.0, 34.0, 320.0, 262.0, 30.0, 48.0
_MOST_ROWS = 60
_LEGEND = (
    "A older, B newer: share shown by the checkpoint, in the cell that grew most (utility: fell). B - A with one-sided "
    "bounds, paired by subject. Worse: proven by Holm's p over deciding readings; advisory ones have no p."
)


def show(record: BaselineRecord, console: Console) -> None:
    """The table, on a terminal; no line is wider than 80 columns."""
    lines = [_line(TITLES), *(_line(_cells(one)) for one in record.changes)]
    for line in lines:
        console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)
    width = min(80, console.width)
    for text in (_LEGEND, *(f"Note: {clean(note)}" for note in record.notes), summary_line(record)):
        console.print(text, markup=False, highlight=False, width=width)


def summary_line(record: BaselineRecord) -> str:
    """What happened, in one sentence."""
    deciding = [one for one in record.changes if one.gates]
    better = sum(one.direction is Direction.BETTER for one in deciding)
    return f"{len(record.worse())} worse and {better} better, of {count(len(deciding), 'deciding reading')}."


def markdown(record: BaselineRecord) -> str:
    """The table as Markdown."""
    rows = [TITLES, ("---", *["---:"] * (len(TITLES) - 2), "---")]
    rows += [tuple(escape_markdown(cell) for cell in _cells(one)) for one in record.changes]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    notes = "".join(f"- {escape_markdown(note)}\n" for note in record.notes)
    return f"# What changed\n\n{escape_markdown(summary_line(record))}\n\n{table}\n\n{_LEGEND}\n\n{notes}"


def svg(record: BaselineRecord) -> str:
    """The plot as a file of its own, in the colours of the light page."""
    style = f"<style>{_colours()}</style>"
    drawn = str(plot(record.changes))
    start = drawn.index(">") + 1
    return f"{drawn[:start]}{style}{drawn[start:]}\n"


def page(record: BaselineRecord) -> str:
    """Summary, plot and table on a page that needs nothing else."""
    head = Markup("").join(Markup("<th>{}</th>").format(title) for title in TITLES)
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(cell) for cell in _cells(one)))
        for one in record.changes
    )
    notes = Markup("").join(Markup("<li>{}</li>").format(clean(note)) for note in record.notes)
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>What changed</title><style>{_stylesheet()}</style></head><body><main><h1>What changed</h1>"
        f"<p>{escape(summary_line(record))}</p>"
        f'<div class="scroll">{plot(record.changes)}</div>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"<p>{escape(_LEGEND)}</p><ul>{notes}</ul></main></body></html>\n"
    )


def plot(changes: Sequence[Change]) -> Markup:
    """B - A of every reading with its bounds, in percentage points."""
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
        axes.set_xlabel("B - A, percentage points", color=figures.MUTED.drawn)
        for place, one in enumerate(shown):
            _row(axes, one, place, labels)
        title = "Change in percentage points: " + "; ".join(f"{one.finding} {_interval(one)}" for one in shown)
        return figures.to_svg(figure, labels, name="changes", title=title)


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


def _line(cells: Sequence[str]) -> str:
    sized = [_sized(cell, width) for cell, width in zip(cells, _WIDTHS, strict=True)]
    return " ".join(sized)


def _sized(text: str, width: int) -> str:
    """Cut in the middle, where both ends tell one from another."""
    if cell_len(text) > width:
        head = (width - 3) // 3
        text = set_cell_size(text, head) + "..." + text[-(width - 3 - head) :]
    return text + " " * (width - cell_len(text))


def _stylesheet() -> str:
    return files("unlearn_audit.report").joinpath("templates/report.css").read_text(encoding="utf-8")


def _colours() -> str:
    sheet = _stylesheet()
    return sheet[sheet.index(":root") : sheet.index("}") + 1]
