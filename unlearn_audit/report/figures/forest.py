"""The forest plot: the excess of every finding at its worst cell, against the margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from markupsafe import Markup

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.figures import svg as figures
from unlearn_audit.report.parts.numbers import count, point_interval
from unlearn_audit.report.parts.view import STATUS_WORDS
from unlearn_audit.report.parts.words import place_of
from unlearn_audit.verdict.result import Finding, Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHAPES = {
    Status.PASSED: "o",
    Status.FAILED: "D",
    Status.INCONCLUSIVE: "s",
    Status.NO_POWER: "v",
    Status.ERROR: "X",
}
_OPEN = (Status.INCONCLUSIVE, Status.NO_POWER)
_MOST_ROWS = 40
_PAD = 4.0
_CLOSE = 0.005  # half a point


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """Sizes in pixels. `above`: a finding's name is over its interval, not next to it."""

    name: str
    width: float
    row: float
    left: float
    right: float
    name_length: int
    above: bool


_WIDE = _Layout(name="wide", width=1040, row=42, left=320, right=262, name_length=40, above=False)
_NARROW = _Layout(name="narrow", width=340, row=74, left=12, right=12, name_length=42, above=True)
_BAND = 18.0  # thickness of a control's band, in pixels
_TOP, _BOTTOM = 30.0, 48.0


def draw(findings: Sequence[Finding], name: str = "forest") -> tuple[Markup, Markup] | None:
    """The plot for a wide and for a narrow page; None where no finding has an interval. `name` keeps two apart."""
    shown = [finding for finding in findings if finding.worst is not None][:_MOST_ROWS]
    if not shown:
        return None
    layouts = (replace(layout, name=f"{name}-{layout.name}") for layout in (_WIDE, _NARROW))
    with figures.drawing():
        wide, narrow = (_draw(shown, layout) for layout in layouts)
    return wide, narrow


def note(findings: Sequence[Finding]) -> str:
    """Which findings the plot omits; empty if none."""
    drawn = sum(finding.worst is not None for finding in findings)
    without, left = len(findings) - drawn, drawn - _MOST_ROWS
    said = [f"Not drawn, for lack of an interval: {count(without, 'finding')}."] if without else []
    said += [f"The first {_MOST_ROWS} of {drawn} are drawn."] if left > 0 else []
    return " ".join(said)


def _draw(findings: Sequence[Finding], layout: _Layout) -> Markup:
    labels = figures.Labels()
    height = _TOP + _BOTTOM + layout.row * len(findings)
    figure = figures.new_figure(layout.width, height)
    axes = figures.add_axes(figure, layout.left, _BOTTOM, layout.right, _TOP)
    _frame(axes, findings, layout)
    for place, finding in enumerate(findings):
        _row(axes, finding, place, layout, labels)
    return figures.to_svg(figure, labels, name=layout.name, title=_describe(findings))


def _frame(axes: Axes, findings: Sequence[Finding], layout: _Layout) -> None:
    from matplotlib.patches import Rectangle

    low, high = _range(findings)
    axes.set_xlim(low, high)
    axes.set_ylim(len(findings) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    tint, line = figures.STATUS_INK[Status.PASSED].drawn, figures.TEXT.drawn
    for top, bottom in _bands(len(findings), layout):
        axes.add_patch(Rectangle((low, top), -low, bottom - top, color=tint, alpha=0.08, linewidth=0))
        axes.plot([0, 0], [top, bottom], color=line, linewidth=1.25, solid_capstyle="butt", zorder=1)
    step = 25 if high - low > 60 else 10
    ticks = [tick for tick in range(-150, 151, step) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:+d}".replace("-", "−") if tick else "0" for tick in ticks])
    axes.tick_params(length=4)
    for text, side, offset in (("within margin", "right", -6), ("beyond it", "left", 6)):
        axes.annotate(
            text,
            xy=(0, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(offset, 5),
            textcoords="offset points",
            ha=side,
            va="bottom",
            color=figures.MUTED.drawn,
        )
    axes.set_xlabel("excess, percentage points", color=figures.MUTED.drawn)


def _bands(rows: int, layout: _Layout) -> list[tuple[float, float]]:
    """Where the margin's line is drawn: all the way, or under each name alone, so as not to strike it through."""
    if layout.above:
        return [(place + 0.08, place + 0.46) for place in range(rows)]
    return [(-0.5, rows - 0.5)]


def _range(findings: Sequence[Finding]) -> tuple[float, float]:
    ends = [0.0]
    for finding in findings:
        ends += controls_of(finding)
        if finding.worst is not None:
            ends += [finding.worst.excess.lower, finding.worst.excess.upper]
        if finding.bound is not None:
            ends.append(finding.bound)
    # Room for the words at the zero line, even if all intervals lie on one side of it.
    return min(100 * min(ends) - _PAD, -40.0), max(100 * max(ends) + _PAD, 40.0)


def _row(axes: Axes, finding: Finding, place: int, layout: _Layout, labels: figures.Labels) -> None:
    if finding.worst is None:
        return
    excess, ink = finding.worst.excess, figures.STATUS_INK[finding.status].drawn
    y = place + (0.27 if layout.above else 0.0)
    _control_band(axes, controls_of(finding), y, layout)
    axes.plot([100 * excess.lower, 100 * excess.upper], [y, y], color=ink, linewidth=2.5, solid_capstyle="round")
    _bound_tick(axes, finding.bound, excess, y, ink)
    axes.plot(
        [100 * excess.estimate],
        [y],
        marker=SHAPES[finding.status],
        markersize=9,
        color=ink,
        markerfacecolor=figures.SURFACE.drawn if finding.status in _OPEN else ink,
        markeredgewidth=2,
        linestyle="none",
        clip_on=False,
    )
    _texts(axes, finding, place, layout, labels)


def _control_band(axes: Axes, places: Sequence[float], y: float, layout: _Layout) -> None:
    """Where the controls would stand, from the lowest to the highest."""
    from matplotlib.patches import Rectangle

    if not places:
        return
    low, high, half = 100 * min(places), 100 * max(places), _BAND / layout.row / 2
    ink = figures.CONTROL.drawn
    axes.add_patch(Rectangle((low, y - half), high - low, 2 * half, color=ink, alpha=0.35, linewidth=0))
    for edge in (low, high):
        axes.plot([edge, edge], [y - half, y + half], color=ink, linewidth=1.75, solid_capstyle="butt")


def controls_of(finding: Finding) -> list[float]:
    """Where each control would stand in the checkpoint's place: (C' - C) - margin (K - C), C what it is held against.

    None where the cell's shares do not give its own excess (scores are missing, or a sham is subtracted).
    """
    cell = finding.worst
    if cell is None or not cell.controls:
        return []
    shares = list(cell.controls.values())
    control = cell.controls.get(cell.worst_control or "", sum(shares) / len(shares))
    known = cell.original if cell.known is None else cell.known  # results of older rules have no `known`
    allowed = finding.margin * (1.0 if known is None else known - control)
    if abs(cell.unlearned - control - allowed - cell.excess.estimate) > _CLOSE:
        return []
    return [share - control - allowed for share in shares]


def _bound_tick(axes: Axes, bound: float | None, excess: Interval, y: float, ink: str) -> None:
    """The bound, which may belong to another cell or control than the worst: a tick, with a thin line up to it."""
    if bound is None:
        return
    if bound > excess.upper:
        axes.plot([100 * excess.upper, 100 * bound], [y, y], color=ink, linewidth=1, linestyle=(0, (2, 2)))
    axes.plot([100 * bound], [y], marker="|", markersize=12, markeredgewidth=2, color=ink, linestyle="none")


def _texts(axes: Axes, finding: Finding, place: int, layout: _Layout, labels: figures.Labels) -> None:
    if finding.worst is None:
        return
    across = axes.get_yaxis_transform()
    name = labels.add(_named(finding, layout.name_length), layout.name_length)
    interval, word = point_interval(finding.worst.excess), STATUS_WORDS[finding.status]
    text, muted, ink = figures.TEXT.drawn, figures.MUTED.drawn, figures.STATUS_INK[finding.status].drawn
    where = place_of(finding.worst.dose, finding.worst.variant, 40)
    if layout.above:
        second = labels.add(f"{word} {interval}, {where}", 52)
        axes.text(0, place - 0.34, name, transform=across, ha="left", va="center", color=text, fontsize=12)
        axes.text(0, place - 0.09, second, transform=across, ha="left", va="center", color=muted, fontsize=11)
        return
    gap = 16 / (layout.width - layout.left - layout.right)
    at = labels.add(where, 46)
    axes.text(-gap, place - 0.17, name, transform=across, ha="right", va="center", color=text, fontsize=13)
    axes.text(-gap, place + 0.2, at, transform=across, ha="right", va="center", color=muted, fontsize=11)
    axes.text(1 + gap, place, word, transform=across, ha="left", va="center", color=ink, fontsize=13)
    axes.text(1 + 7 * gap, place, interval, transform=across, ha="left", va="center", color=text, fontsize=13)


def _named(finding: Finding, longest: int) -> str:
    """The finding's id, cut in the middle: both ends matter."""
    ending = "" if finding.gates else " (advisory)"
    name, room = clean(finding.id), longest - len(ending)
    if len(name) > room:
        tail = (room - 1) * 2 // 3
        name = f"{name[: room - 1 - tail]}…{name[-tail:]}"
    return name + ending


def _describe(findings: Sequence[Finding]) -> str:
    parts = [
        f"{finding.id} {STATUS_WORDS[finding.status]} {point_interval(finding.worst.excess)}"
        for finding in findings
        if finding.worst is not None
    ]
    return f"Excess beyond the margin in percentage points, {count(len(parts), 'finding')}: " + "; ".join(parts)
