"""ROC curves of membership inference, both axes logarithmic: an attacker asks what can be told at few false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.evidence.records import GroupRecord
from unlearn_audit.report.figures import svg as figures
from unlearn_audit.report.figures.panels import WIDTH, Glyph, Panel, Panels, drawn
from unlearn_audit.report.parts.numbers import percent
from unlearn_audit.verdict.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE = "roc"

_HEIGHT = 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 16.0, 14.0, 46.0
_MOST_PANELS = 12
_LEAST = 0.001  # the end of the axes where groups are large
_KEY = (
    (Glyph.CHECKPOINT, "checkpoint"),
    (Glyph.ORIGINAL, "original"),
    (Glyph.CONTROL, "controls"),
    (Glyph.CHANCE, "no better than chance"),
)
_CAPTION = (
    "Membership inference: share of forget subjects called members, by that of holdout subjects. Axes are "
    "logarithmic and start where a single subject still counts; a curve along the bottom finds no members at that "
    "false-alarm rate. A curve below the diagonal separates the groups too: forget subjects are then less likely."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One model's rates, from the strictest cut on."""

    model: str
    role: str
    fpr: tuple[float, ...]
    tpr: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Roc:
    """All curves of one score of one comparison."""

    comparison: str
    score: str
    curves: tuple[Curve, ...]


def rocs(result: Result) -> list[Roc]:
    """The curves that comparisons brought along; none where none did."""
    roles = {model.name: model.role for model in result.models}
    found: dict[tuple[str, str], dict[str, Curve]] = {}
    for one in result.verdict.comparisons:
        for reading in one.readings:
            own = found.setdefault((one.name, reading.variant), {})
            for curve in _curves(reading, roles):
                own.setdefault(curve.model, curve)
    return [
        Roc(comparison=comparison, score=score, curves=tuple(sorted(own.values(), key=_order)))
        for (comparison, score), own in found.items()
        if own
    ]


def draw(result: Result) -> Panels | None:
    """A drawing of each score; None where there is no curve."""
    return drawn(
        rocs(result), _panel, most=_MOST_PANELS, caption=_CAPTION, left_out=("score", "in result.json"), key=_KEY
    )


def _curves(reading: GroupRecord, roles: Mapping[str, str]) -> list[Curve]:
    """What a reading carries under `roc`: model -> its rates. Anything else under that name is not a curve."""
    carried = reading.about.get("roc")
    if not isinstance(carried, Mapping):
        return []
    curves = []
    for model, rates in carried.items():
        fpr, tpr = (_rates(rates.get(name)) if isinstance(rates, Mapping) else () for name in ("fpr", "tpr"))
        if fpr and len(fpr) == len(tpr):
            curves.append(Curve(model=str(model), role=roles.get(str(model), "retrained"), fpr=fpr, tpr=tpr))
    return curves


def _rates(values: object) -> tuple[float, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        return ()
    known = tuple(float(value) for value in values if isinstance(value, int | float) and 0 <= value <= 1)
    return known if len(known) == len(values) else ()


def _order(curve: Curve) -> tuple[int, str]:
    """The checkpoint is drawn last, above the others."""
    return {"retrained": 0, "original": 1}.get(curve.role, 2), curve.model


def _panel(one: Roc, place: int) -> Panel:
    figure = figures.new_figure(WIDTH, _HEIGHT)
    axes = figures.add_axes(figure, _LEFT, _BOTTOM, _RIGHT, _TOP)
    low_x, low_y = (_first(rates) for rates in ([c.fpr for c in one.curves], [c.tpr for c in one.curves]))
    _frame(axes, low_x, low_y)
    for curve in one.curves:
        _curve(axes, curve, low_x, low_y)
    svg = figures.to_svg(figure, figures.Labels(), name=f"roc-{place}", title=_describe(one))
    return Panel(title=clean(one.comparison, 60), subtitle=clean(one.score, 80), svg=svg)


def _first(several: Sequence[Sequence[float]]) -> float:
    """Where an axis begins: the smallest rate above 0 that occurs, and not below a thousandth."""
    return max(_LEAST, min((rate for rates in several for rate in rates if rate > 0), default=0.1))


def _frame(axes: Axes, low_x: float, low_y: float) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low_x / 1.06, 1.06)
    axes.set_ylim(low_y / 1.25, 1.12)
    axes.minorticks_off()
    for axis, low in ((axes.xaxis, low_x), (axes.yaxis, low_y)):
        ticks = [tick for tick in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0) if tick >= low / 1.05]
        axis.set_ticks(ticks, labels=[f"{100 * tick:g}%" for tick in ticks])
    axes.grid(color=figures.RULE.drawn, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.set_xlabel("holdout called members")
    axes.set_ylabel("forget called members", labelpad=2)
    start = max(low_x, low_y / 1.25)
    axes.plot([start, 1], [start, 1], color=figures.MUTED.drawn, linewidth=1, linestyle=(0, (1, 2.5)))


def _curve(axes: Axes, curve: Curve, low_x: float, low_y: float) -> None:
    """Steps between the points: what one cut gives, every cut up to the next gives at least."""
    ink = {"unlearned": figures.CHECKPOINT, "original": figures.ORIGINAL}.get(curve.role, figures.CONTROL)
    own = curve.role == "unlearned"
    floor = low_y / 1.25  # a share of 0 has no place on the axis: it runs along the bottom
    points = [(max(x, low_x / 1.06), max(y, floor)) for x, y in zip(curve.fpr, curve.tpr, strict=True)]
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        color=ink.drawn,
        linewidth=2 if own else 1.5,
        linestyle=(0, (4, 2)) if curve.role == "original" else "-",
        drawstyle="steps-post",
        clip_on=False,
    )


def _describe(one: Roc) -> str:
    parts = []
    for curve in one.curves:
        rates = [f"{percent(true)} at {percent(false)}" for false, true in zip(curve.fpr, curve.tpr, strict=True)]
        parts.append(f"{clean(curve.model, 60)} {', '.join(rates)}")
    name = f"{clean(one.comparison, 60)} {clean(one.score, 60)}"
    return f"ROC of {name}: forget called members at holdout called members. " + "; ".join(parts)
