"""The section on quantizers: what each recovers, fewest bits last, as bars and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.figures import svg as figures
from unlearn_audit.report.figures.dose_curves import worst
from unlearn_audit.report.figures.panels import WIDTH, Glyph, Panel, Panels, drawn
from unlearn_audit.report.parts.numbers import NONE, percent, point_interval
from unlearn_audit.report.parts.view import (
    Block,
    FigureSlot,
    Fold,
    Inline,
    Limits,
    Section,
    number_columns,
    paragraph,
    text_columns,
)
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.report.sections.by_finding import numbers, shares, table_of, unattacked
from unlearn_audit.verdict.result import CellEstimate, Finding, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ATTACK = "quantization"
FIGURE = "quantizers"

_MOST_PANELS, _MOST_BARS = 6, 16
_ROW, _LEFT, _RIGHT, _TOP, _BOTTOM = 26.0, 118.0, 50.0, 6.0, 44.0
_HALF = 0.32  # of a bar's thickness, in rows
_LONGEST_NAME = 11
_UNTOUCHED = "as it is"
_KEY = (
    (Glyph.BAR, "checkpoint"),
    (Glyph.ORIGINAL, "original"),
    (Glyph.CONTROLS, "controls, lowest to highest"),
)
_CAPTION = "Share of the knowledge shown under each quantizer, at its worst way of asking; fewer bits further down."


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A quantizer at its worst way of asking, or the checkpoint as it is, which has no bits."""

    name: str
    bits: float | None
    cell: CellEstimate

    @property
    def label(self) -> str:
        """`nf4, 4 bit`, its name cut to the room that there is."""
        name = clean(self.name, _LONGEST_NAME)
        return name if self.bits is None else f"{name}, {self.bits:.2g} bit"


def section(result: Result, limits: Limits) -> Section:
    """Every finding under quantization, those that decide first."""
    found = _findings(result.verdict.findings)
    if not found:
        nothing = paragraph("No quantizer produced evidence. Coverage says what was skipped, and why.")
        return Section(id="quantizers", title="Quantizers", blocks=(nothing,), empty=True)
    blocks: list[Block] = [
        paragraph(
            "What rounding the weights recovers on its own: anyone who serves the model quantized runs this attack."
        ),
        FigureSlot(name=FIGURE),
    ]
    shown = [finding for finding in found if finding.gates] or found
    tables: list[Block] = []
    for finding in shown[: limits.entries]:
        bars = bars_of(finding, result.verdict.findings)
        rows = [_row(bar, limits) for bar in bars]
        columns = (
            *text_columns("Quantizer"),
            *number_columns("Bits", "Checkpoint", "Original", "Controls", "Excess, points"),
        )
        tables += table_of(finding, "Quantizers", columns, rows, limits, most=limits.rows + 1, noun="quantizer")
    tables += left_over(len(shown) - limits.entries, "finding")
    blocks.append(Fold(title="The same as numbers", blocks=tuple(tables)))
    return Section(id="quantizers", title="Quantizers", blocks=tuple(blocks))


def bars_of(finding: Finding, findings: Sequence[Finding]) -> list[Bar]:
    """The checkpoint as it is, where the same measure was taken of that, then quantizers by falling bits."""
    doses = dict.fromkeys(cell.dose for cell in finding.cells)
    cells = [worst([cell for cell in finding.cells if cell.dose == dose]) for dose in doses]
    cells.sort(key=lambda cell: -(cell.dose_value or 0.0))
    bars = [Bar(name=cell.dose, bits=cell.dose_value, cell=cell) for cell in cells]
    plain = unattacked(finding, findings)
    return bars if plain is None else [Bar(name=_UNTOUCHED, bits=None, cell=worst(plain.cells)), *bars]


def draw(findings: Sequence[Finding]) -> Panels | None:
    """Bars of each finding; None where no quantizer gave evidence."""
    return drawn(
        _findings(findings),
        lambda finding, place: _panel(finding, findings, place),
        most=_MOST_PANELS,
        caption=_CAPTION,
        left_out=("finding", "in the tables"),
        key=_KEY,
    )


def _findings(findings: Sequence[Finding]) -> list[Finding]:
    found = [finding for finding in findings if finding.attack == ATTACK and finding.cells]
    return sorted(found, key=lambda finding: not finding.gates)


def _panel(finding: Finding, findings: Sequence[Finding], place: int) -> Panel:
    bars = bars_of(finding, findings)
    shown, labels = bars[:_MOST_BARS], figures.Labels()
    figure = figures.new_figure(WIDTH, _TOP + _BOTTOM + _ROW * len(shown))
    axes = figures.add_axes(figure, _LEFT, _BOTTOM, _RIGHT, _TOP)
    _frame(axes, len(shown))
    for row, bar in enumerate(shown):
        _bar(axes, bar, row, labels)
    svg = figures.to_svg(figure, labels, name=f"quantizer-{place}", title=_describe(finding, shown))
    return Panel(
        title=clean(finding.id.removeprefix(f"{ATTACK}/"), 80),
        subtitle="" if finding.gates else "advisory",
        note=f"The first {len(shown)} of {len(bars)}." if len(shown) < len(bars) else "",
        svg=svg,
    )


def _frame(axes: Axes, rows: int) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
    axes.set_xlabel("share shown")
    axes.set_yticks([])
    axes.grid(axis="x", color=figures.RULE.drawn, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)


def _bar(axes: Axes, bar: Bar, row: int, labels: figures.Labels) -> None:
    from matplotlib.patches import Rectangle

    cell, ink, text = bar.cell, figures.CHECKPOINT.drawn, figures.TEXT.drawn
    weight = 0.45 if bar.bits is None else 0.85
    axes.add_patch(Rectangle((0, row - _HALF), cell.unlearned, 2 * _HALF, color=ink, alpha=weight, linewidth=0))
    if cell.controls:
        low, high = min(cell.controls.values()), max(cell.controls.values())
        control = figures.CONTROL.drawn
        axes.add_patch(Rectangle((low, row - 0.45), high - low, 0.9, color=control, alpha=0.35, linewidth=0))
        for edge in (low, high):
            axes.plot([edge, edge], [row - 0.45, row + 0.45], color=control, linewidth=1.5, clip_on=False)
    if cell.original is not None:
        axes.plot(
            [cell.original],
            [row],
            marker="s",
            markersize=8,
            markerfacecolor=figures.SURFACE.drawn,  # else the bar behind it would hide it
            markeredgewidth=1.75,
            color=figures.ORIGINAL.drawn,
            clip_on=False,
        )
    across = axes.get_yaxis_transform()
    name = labels.add(bar.label, 22)
    axes.text(-0.04, row, name, transform=across, ha="right", va="center", color=text, fontsize=11)
    share = percent(cell.unlearned)
    axes.text(1.28, row, share, transform=across, ha="right", va="center", color=text, fontsize=11)


def _row(bar: Bar, limits: Limits) -> tuple[Inline, ...]:
    return (
        clean(bar.name, limits.text),
        *numbers(NONE if bar.bits is None else f"{bar.bits:.2g}"),
        *shares(bar.cell),
        *numbers(point_interval(bar.cell.excess)),
    )


def _describe(finding: Finding, bars: Sequence[Bar]) -> str:
    parts = [f"{clean(bar.label, 40)}: checkpoint {percent(bar.cell.unlearned)}" for bar in bars]
    return f"{clean(finding.id, 80)} under each quantizer. " + "; ".join(parts)
