"""The figure of several checkpoints: recovery by attack, and what is kept against what comes back, with the front."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from markupsafe import Markup

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.figures import svg as figures
from unlearn_audit.report.parts.numbers import percent
from unlearn_audit.report.several.markup import drawing_style
from unlearn_audit.report.several.shown import number_of, tile
from unlearn_audit.verdict.several import Audited, Scale, SeveralRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEFT, _TILE_WIDTH, _TILE_HEIGHT, _TOP, _BOTTOM = 170.0, 58.0, 30.0, 40.0, 56.0
_SCATTER, _SCATTER_LEFT, _KEY, _GAP = 420.0, 66.0, 250.0, 24.0
_NARROW, _MARGIN = 278.0, 14.0
"""The same on a page, where a table has the names: it fits a telephone."""
_LINE = 20.0
_WORDS = {
    Scale.RECOVERED: "worst recovery, share of the original's knowledge",
    Scale.BEYOND: "worst, share of facts beyond the controls",
}
_CLOSE = 0.025
"""Points that are no further from each other than this share one label."""


def svg(record: SeveralRecord) -> str:
    """Both drawings as a file of its own, in the drawing_style of a light page."""
    matrix, height = _LEFT + _TILE_WIDTH * len(record.rows), _height(record)
    width = matrix + _GAP + _SCATTER_LEFT + _SCATTER + _KEY
    with figures.drawing():
        figure, labels = figures.new_figure(width, height), figures.Labels()
        bottom = height - _TOP - _TILE_HEIGHT * len(record.attacks)
        axes = figures.add_axes(figure, _LEFT, bottom, width - matrix, _TOP)
        _draw_matrix(axes, record, labels)
        axes = figures.add_axes(figure, matrix + _GAP + _SCATTER_LEFT, _BOTTOM, _KEY, _TOP)
        _draw_front(axes, record)
        _key(axes, record, labels)
        drawn = str(figures.to_svg(figure, labels, name="several", title=_said(record)))
    start = drawn.index(">") + 1
    return f"{drawn[:start]}<style>{drawing_style()}</style>{drawn[start:]}\n"


def front(record: SeveralRecord) -> Markup:
    """What is kept against what comes back, for a page."""
    width = _SCATTER_LEFT + _NARROW + _MARGIN
    with figures.drawing():
        figure, labels = figures.new_figure(width, _NARROW + _MARGIN + _BOTTOM), figures.Labels()
        _draw_front(figures.add_axes(figure, _SCATTER_LEFT, _BOTTOM, _MARGIN, _MARGIN), record)
        return figures.to_svg(figure, labels, name="front", title=_said(record))


def _height(record: SeveralRecord) -> float:
    matrix = _TOP + _TILE_HEIGHT * len(record.attacks) + 10
    return max(360.0, matrix, _TOP + _LINE * (len(record.rows) + 3) + _BOTTOM)


def _draw_matrix(axes: Axes, record: SeveralRecord, labels: figures.Labels) -> None:
    from matplotlib.patches import Rectangle

    axes.set_xlim(0, len(record.rows))
    axes.set_ylim(max(1, len(record.attacks)), 0)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.xaxis.tick_top()
    axes.set_xticks([place + 0.5 for place in range(len(record.rows))], [number_of(record, row) for row in record.rows])
    axes.set_yticks(
        [place + 0.5 for place in range(len(record.attacks))], [labels.add(attack, 24) for attack in record.attacks]
    )
    for down, attack in enumerate(record.attacks):
        for across, row in enumerate(record.rows):
            one = tile(record, row, attack)
            share = min(1.0, max(0.0, one.share or 0.0))
            ink = figures.STATUS_INK[Status.FAILED].drawn
            axes.add_patch(
                Rectangle((across + 0.03, down + 0.06), 0.94, 0.88, color=ink, alpha=0.05 + 0.5 * share, linewidth=0)
            )
            said = one.text + one.sign
            axes.text(across + 0.5, down + 0.5, said, ha="center", va="center", color=figures.TEXT.drawn, fontsize=12)


def _draw_front(axes: Axes, record: SeveralRecord) -> None:
    places = list(_places(record))
    lowest = min([-0.03, *(back - 0.04 for _, _, back in places)])
    across = "kept: hits on the retain set"
    figures.between_shares(axes, across=across, up=_WORDS[record.scale], lowest=lowest)
    edge = sorted((kept, back) for row, kept, back in places if row.on_front)
    if edge:
        ink = figures.STATUS_INK[Status.PASSED].drawn
        axes.step([one for one, _ in edge], [one for _, one in edge], where="pre", color=ink, linewidth=2, alpha=0.8)
    for row, kept, back in places:
        _point(axes, row, kept, back)
    for numbers, kept, back in _labelled(record, places):
        side, away = ("right", -8) if kept > 0.5 else ("left", 8)  # into the drawing
        axes.annotate(
            numbers, (kept, back), xytext=(away, 5), textcoords="offset points", ha=side, color=figures.TEXT.drawn
        )


def _places(record: SeveralRecord) -> Iterator[tuple[Audited, float, float]]:
    for row in record.rows:
        back = None if row.worst is None else row.worst.on(record.scale)
        if row.utility is not None and back is not None:
            yield row, row.utility, back


def _point(axes: Axes, row: Audited, kept: float, back: float) -> None:
    ink = (figures.CONTROL if row.is_control else figures.CHECKPOINT).drawn
    filled = row.on_front and not row.is_control
    axes.plot(
        [kept],
        [back],
        marker="s" if row.is_control else "o",
        markersize=9,
        markerfacecolor=ink if filled else figures.SURFACE.drawn,
        markeredgewidth=1.75,
        color=ink,
        linestyle="none",
        clip_on=False,
    )


def _labelled(record: SeveralRecord, places: list[tuple[Audited, float, float]]) -> Iterator[tuple[str, float, float]]:
    """Labels, one for all points of a place."""
    left = list(places)
    while left:
        _, kept, back = left[0]
        near = [one for one in left if abs(one[1] - kept) <= _CLOSE and abs(one[2] - back) <= _CLOSE]
        left = [one for one in left if one not in near]
        yield ", ".join(number_of(record, row) for row, _, _ in near), max(one[1] for one in near), back


def _key(axes: Axes, record: SeveralRecord, labels: figures.Labels) -> None:
    """Whose number is whose, at the right of the drawing."""
    step = -_LINE
    heads = ["filled: on the front", "square: a control"]
    for place, row in enumerate(record.rows):
        text = labels.add(f"{number_of(record, row)}  {row.name}", 34)
        _beside(axes, text, step * place, figures.TEXT.drawn)
    for place, text in enumerate(heads, len(record.rows) + 1):
        _beside(axes, text, step * place, figures.MUTED.drawn)


def _beside(axes: Axes, text: str, down: float, ink: str) -> None:
    axes.annotate(
        text, (1, 1), xycoords="axes fraction", xytext=(22, down), textcoords="offset points", color=ink, fontsize=12
    )


def _said(record: SeveralRecord) -> str:
    told = [
        f"{number_of(record, row)} {clean(row.name, 60)}: keeps {percent(kept)}, worst {percent(back)}"
        + (", on the front" if row.on_front else "")
        for row, kept, back in _places(record)
    ]
    return "What is kept against what comes back: " + "; ".join(told)
