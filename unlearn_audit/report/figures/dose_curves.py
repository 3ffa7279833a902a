"""Small figures of recovery against dose: checkpoint, original and controls, one for each attack and measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.figures import svg as figures
from unlearn_audit.report.figures.panels import WIDTH, Glyph, Panel, Panels, drawn
from unlearn_audit.report.parts.numbers import percent, percent_range
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.result import CellEstimate, Finding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_PANELS = 24
_MOST_CATEGORIES = 8
_FEWEST_FOR_AXIS = 3
_PLOT = 170.0
_LEFT, _RIGHT, _TOP = 44.0, 12.0, 12.0
_MOST_LEVEL_NAMES = 4
_KEY = (
    (Glyph.CHECKPOINT, "checkpoint"),
    (Glyph.UNATTACKED, "checkpoint, not attacked"),
    (Glyph.ORIGINAL, "original"),
    (Glyph.CONTROLS, "controls, lowest to highest"),
)
_CAPTION = "Share of the knowledge shown, by dose; at each dose, the way of asking that recovers most."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Point:
    """One dose: at `x` on the axis, `label` under it, with its worst way of asking."""

    x: float
    label: str
    cell: CellEstimate


def draw(findings: Sequence[Finding], units: Mapping[str, str] | None = None) -> Panels | None:
    """A panel for each finding with two doses or more, those that decide first.

    Args:
        findings: all of them.
        units: attack -> what the values of its doses count.
    """
    chosen = [finding for finding in findings if len({cell.dose for cell in finding.cells}) > 1]
    chosen.sort(key=lambda finding: not finding.gates)
    return drawn(
        chosen,
        lambda finding, place: _panel(finding, findings, place, (units or {}).get(finding.attack, "")),
        most=_MOST_PANELS,
        caption=_CAPTION,
        left_out=("finding", "in the tables"),
        key=_KEY,
    )


def _panel(finding: Finding, findings: Sequence[Finding], place: int, unit: str) -> Panel:
    numeric = has_dose_axis(finding.cells)
    points = numeric_points(finding.cells) if numeric else category_points(finding.cells)
    labels = figures.Labels()
    bottom = 46.0 if numeric else 28.0 if len(points) <= _MOST_LEVEL_NAMES else 58.0
    figure = figures.new_figure(WIDTH, _TOP + _PLOT + bottom)
    axes = figures.add_axes(figure, _LEFT, bottom, _RIGHT, _TOP)
    _frame(axes, points, labels, numeric=numeric, unit=unit)
    _unattacked(axes, finding, findings)
    _controls(axes, points, numeric=numeric)
    _role(axes, points, [point.cell.original for point in points], figures.ORIGINAL, "s", numeric=numeric)
    _role(axes, points, [point.cell.unlearned for point in points], figures.CHECKPOINT, "o", numeric=numeric)
    _number(axes, points)
    svg = figures.to_svg(figure, labels, name=f"dose-{place}", title=_describe(finding, points))
    return Panel(
        title=clean(finding.attack, 60),
        subtitle=clean(finding.id.removeprefix(f"{finding.attack}/"), 80),
        note=_note(finding, points),
        svg=svg,
    )


def has_dose_axis(cells: Sequence[CellEstimate]) -> bool:
    """Whether the doses lie on an axis of numbers, and not on a list of names (three quantizers of 4 bits)."""
    values = {cell.dose_value for cell in cells}
    return None not in values and len(values) >= _FEWEST_FOR_AXIS


def numeric_points(cells: Sequence[CellEstimate]) -> list[_Point]:
    """The worst cell at each value of the dose, along the axis."""
    values = sorted({cell.dose_value for cell in cells if cell.dose_value is not None})
    return [
        _Point(x=value, label=f"{value:g}", cell=worst([cell for cell in cells if cell.dose_value == value]))
        for value in values
    ]


def category_points(cells: Sequence[CellEstimate]) -> list[_Point]:
    """The worst way of asking at each dose, in the attack's order."""
    doses = list(dict.fromkeys(cell.dose for cell in cells))[:_MOST_CATEGORIES]
    return [
        _Point(x=float(place), label=dose, cell=worst([cell for cell in cells if cell.dose == dose]))
        for place, dose in enumerate(doses)
    ]


def worst(cells: Sequence[CellEstimate]) -> CellEstimate:
    """The cell that recovers most."""
    return max(cells, key=lambda cell: cell.excess.estimate)


def _frame(axes: Axes, points: Sequence[_Point], labels: figures.Labels, *, numeric: bool, unit: str) -> None:
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
    axes.grid(axis="y", color=figures.RULE.drawn, linewidth=1)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    xs = [point.x for point in points]
    if numeric:
        if min(xs) > 0 and max(xs) >= 20 * min(xs):
            axes.set_xscale("log")
            axes.minorticks_off()
        else:
            room = 0.06 * (max(xs) - min(xs))
            axes.set_xlim(min(xs) - room, max(xs) + room)
        axes.set_xlabel(labels.add(unit or "dose", 44))
        axes.set_xticks(_spread(axes, xs), [f"{x:g}" for x in _spread(axes, xs)])
    else:
        axes.set_xlim(-0.6, len(points) - 0.4)
        slanted = len(points) > _MOST_LEVEL_NAMES
        names = [labels.add(point.label, 9 if slanted else 40 // len(points)) for point in points]
        axes.set_xticks(xs, names)
        if slanted:
            for tick_label in axes.get_xticklabels():
                tick_label.set(rotation=35, rotation_mode="anchor", ha="right")


def _spread(axes: Axes, xs: Sequence[float]) -> list[float]:
    """Ticks at the doses themselves, except those that would touch the previous one."""
    kept: list[float] = []
    places = axes.transData.transform([(x, 0.0) for x in xs])[:, 0]
    last = float("-inf")
    for x, place in zip(xs, places, strict=True):
        if place - last >= 30:
            kept.append(x)
            last = place
    return kept


def _unattacked(axes: Axes, finding: Finding, findings: Sequence[Finding]) -> None:
    """Where the checkpoint stands without any attack: the same measure under `as-is`."""
    for other in findings:
        same = (other.probe, other.measure, other.any_of) == (finding.probe, finding.measure, finding.any_of)
        if other.attack == BASELINE and same and other.worst is not None:
            axes.axhline(other.worst.unlearned, color=figures.CHECKPOINT.drawn, linewidth=1.25, linestyle=(0, (1, 2.5)))


def _controls(axes: Axes, points: Sequence[_Point], *, numeric: bool) -> None:
    known = [(point.x, list(point.cell.controls.values())) for point in points if point.cell.controls]
    if not known:
        return
    xs = [x for x, _ in known]
    lows, highs = [min(values) for _, values in known], [max(values) for _, values in known]
    ink = figures.CONTROL.drawn
    if numeric:
        axes.fill_between(xs, lows, highs, color=ink, alpha=0.35, linewidth=0)
        for edges in (lows, highs):
            axes.plot(xs, edges, color=ink, linewidth=1.5)
    else:
        for x, low, high in zip(xs, lows, highs, strict=True):
            axes.fill_between([x - 0.3, x + 0.3], low, high, color=ink, alpha=0.35, linewidth=0)
            for edge in (low, high):
                axes.plot([x - 0.3, x + 0.3], [edge, edge], color=ink, linewidth=1.5)


def _role(
    axes: Axes,
    points: Sequence[_Point],
    shares: Sequence[float | None],
    ink: figures.Ink,
    shape: str,
    *,
    numeric: bool,
) -> None:
    known = [(point.x, share) for point, share in zip(points, shares, strict=True) if share is not None]
    if not known:
        return
    axes.plot(
        [x for x, _ in known],
        [share for _, share in known],
        color=ink.drawn,
        marker=shape,
        markersize=7 if shape == "o" else 9,
        markerfacecolor=ink.drawn if shape == "o" else "none",
        markeredgewidth=1.75,
        linewidth=2 if shape == "o" else 1.5,
        linestyle=("-" if shape == "o" else (0, (4, 2))) if numeric else "none",
        clip_on=False,
    )


def _number(axes: Axes, points: Sequence[_Point]) -> None:
    """What the checkpoint shows where it shows most, next to its point."""
    most = max(points, key=lambda point: point.cell.unlearned)
    left, right = axes.get_xlim()
    axes.annotate(
        percent(most.cell.unlearned),
        xy=(most.x, most.cell.unlearned),
        xytext=(0, 9) if most.cell.unlearned < 0.85 else (0, -19),
        textcoords="offset points",
        ha="center" if left < most.x < right else "right",
        color=figures.CHECKPOINT.drawn,
        fontsize=12,
    )


def _note(finding: Finding, points: Sequence[_Point]) -> str:
    doses = len({cell.dose for cell in finding.cells})
    if len(points) < doses and not has_dose_axis(finding.cells):
        return f"The first {len(points)} of {doses} doses."
    return ""


def _describe(finding: Finding, points: Sequence[_Point]) -> str:
    parts = [
        f"{clean(point.label, 40)}: checkpoint {percent(point.cell.unlearned)}, original "
        f"{percent(point.cell.original)}, controls {percent_range(list(point.cell.controls.values()))}"
        for point in points
    ]
    return f"{clean(finding.id, 80)}, shares by dose. " + "; ".join(parts)
