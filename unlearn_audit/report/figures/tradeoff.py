"""The forget-retain scatter: what is left of what must go, against what is left of what must stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api import ScoreKind
from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.figures import svg as figures
from unlearn_audit.report.figures.panels import WIDTH, Glyph, Panel, Panels, drawn
from unlearn_audit.report.parts.numbers import percent, percent_range
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.result import CellEstimate, Finding, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE = "tradeoff"

_HEIGHT = 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 16.0, 14.0, 46.0
_MOST_PANELS = 3
_KEY = (
    (Glyph.CHECKPOINT, "checkpoint, not attacked"),
    (Glyph.ATTACKED, "under the worst attack"),
    (Glyph.ORIGINAL, "original"),
    (Glyph.CONTROLS, "controls, lowest to highest"),
    (Glyph.MARGIN, "forgotten within the margin, and still useful"),
)
_CAPTION = (
    "Hits on the forget set against hits on the retain set. The retain set is asked without any attack, so an "
    "attack moves a point straight up; controls are not asked about it, and are drawn as a band."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tradeoff:
    """One measure by hits, plainly asked, with the worst that any attack makes of it.

    Attributes:
        plain: the cell without an attack that brings back most.
        attack: id of the finding whose worst cell is `attacked`.
    """

    finding: Finding
    plain: CellEstimate
    attack: str
    attacked: CellEstimate

    @property
    def allowed(self) -> float:
        """The largest share that lies within the margin, against the least kind control; as an estimate, no bound."""
        controls = self.plain.controls.values()
        least = min(controls, default=0.0)
        original = self.plain.original
        return least + self.finding.margin * (1.0 if original is None else original - least)


def tradeoffs(findings: Sequence[Finding]) -> list[Tradeoff]:
    """One for each measure by hits that was taken without an attack, those that decide first."""
    found = []
    for finding in sorted(findings, key=lambda finding: not finding.gates):
        if finding.attack != BASELINE or finding.kind is not ScoreKind.HIT or finding.worst is None:
            continue
        same = [
            (other.worst, other.id)
            for other in findings
            if (other.probe, other.measure, other.any_of) == (finding.probe, finding.measure, finding.any_of)
            and other.worst is not None
            and other.gates is finding.gates
        ]
        attacked, attack = max(same, key=lambda pair: pair[0].unlearned)
        found.append(Tradeoff(finding=finding, plain=finding.worst, attack=attack, attacked=attacked))
    return found


def draw(result: Result) -> Panels | None:
    """The scatter of each measure; None without retain hits or forget hits."""
    found = tradeoffs(result.verdict.findings) if result.verdict.utility.unlearned is not None else []
    return drawn(
        found,
        lambda one, place: _panel(one, result, place),
        most=_MOST_PANELS,
        caption=_CAPTION,
        left_out=("measure", "under Findings"),
        key=_KEY,
    )


def _panel(one: Tradeoff, result: Result, place: int) -> Panel:
    figure = figures.new_figure(WIDTH, _HEIGHT)
    axes = figures.add_axes(figure, _LEFT, _BOTTOM, _RIGHT, _TOP)
    figures.between_shares(axes, across="retain hits", up="forget hits")
    _goal(axes, one, result)
    _points(axes, one, result)
    labels = figures.Labels()
    name = clean(one.finding.id.removeprefix(f"{BASELINE}/"), 80)
    svg = figures.to_svg(figure, labels, name=f"tradeoff-{place}", title=_describe(one, result))
    worst = "" if one.attacked is one.plain else f"Worst under {clean(one.attack.partition('/')[0], 60)}."
    return Panel(title=name, subtitle="" if one.finding.gates else "advisory", note=worst, svg=svg)


def _goal(axes: Axes, one: Tradeoff, result: Result) -> None:
    """Where a model lies that kept enough and shows no more than the margin allows; and the controls' band."""
    from matplotlib.patches import Rectangle

    utility, ink = result.verdict.utility, figures.STATUS_INK[Status.PASSED].drawn
    least = utility.needed * (utility.original or 0.0)
    axes.add_patch(Rectangle((least, -0.03), 1.04 - least, one.allowed + 0.03, color=ink, alpha=0.16, linewidth=0))
    if one.plain.controls:
        low, high = min(one.plain.controls.values()), max(one.plain.controls.values())
        control = figures.CONTROL.drawn
        axes.axhspan(low, high, color=control, alpha=0.35, linewidth=0)
        for edge in (low, high):
            axes.axhline(edge, color=control, linewidth=1.5)


def _points(axes: Axes, one: Tradeoff, result: Result) -> None:
    utility, ink = result.verdict.utility, figures.CHECKPOINT.drawn
    if utility.unlearned is None:
        return
    x = utility.unlearned
    if one.plain.original is not None and utility.original is not None:
        axes.plot(
            [utility.original],
            [one.plain.original],
            marker="s",
            markersize=9,
            markerfacecolor="none",
            markeredgewidth=1.75,
            color=figures.ORIGINAL.drawn,
            linestyle="none",
            clip_on=False,
        )
    if one.attacked is not one.plain:
        axes.plot(
            [x, x], [one.plain.unlearned, one.attacked.unlearned], color=ink, linewidth=1.5, linestyle=(0, (3, 2))
        )
        axes.plot(
            [x],
            [one.attacked.unlearned],
            marker="^",
            markersize=9,
            markerfacecolor=figures.SURFACE.drawn,
            markeredgewidth=1.75,
            color=ink,
            linestyle="none",
            clip_on=False,
        )
    axes.plot([x], [one.plain.unlearned], marker="o", markersize=8, color=ink, linestyle="none", clip_on=False)


def _describe(one: Tradeoff, result: Result) -> str:
    utility = result.verdict.utility
    return (
        f"{clean(one.finding.id, 80)} against retain hits: checkpoint {percent(one.plain.unlearned)} at "
        f"{percent(utility.unlearned)}, at worst {percent(one.attacked.unlearned)} ({clean(one.attack, 80)}); original "
        f"{percent(one.plain.original)} at {percent(utility.original)}; controls "
        f"{percent_range(list(one.plain.controls.values()))}"
    )
