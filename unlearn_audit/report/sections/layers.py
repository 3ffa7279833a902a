"""The section on layers: where in the model the lens can read the answer, as a map of layers by model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.figures import svg as figures
from unlearn_audit.report.figures.panels import WIDTH, Panel, Panels, drawn
from unlearn_audit.report.parts.numbers import NONE, percent, percent_range
from unlearn_audit.report.parts.view import (
    Block,
    FigureSlot,
    Fold,
    Limits,
    Section,
    number_columns,
    paragraph,
    text_columns,
)
from unlearn_audit.report.sections.by_finding import shares, table_of
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.result import CellEstimate, Finding, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PROBE = "lens"
FIGURE = "layers"

_PARTS = {"resid": "stream", "attn": "attention", "mlp": "MLP"}
_PLACE = re.compile(r"(resid|attn|mlp)-(\d+)")
_LUCK = 0.5  # the share of wrong options below the truth where nothing is known
_MOST_PANELS, _MOST_LAYERS = 8, 12
_ROW, _GAP, _LEFT, _RIGHT, _TOP, _BOTTOM = 22.0, 8.0, 78.0, 6.0, 4.0, 40.0
_DARKEST = 0.6  # opacity of a full share: its number must still be read on it, on a light and on a dark page
_CAPTION = (
    "Share of wrong options that the model's hidden states rate less likely than the truth, in percent, by layer and "
    "model: 50 is chance and left blank; a stronger color means that more is read. U checkpoint, O original, C mean of "
    "the controls."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerMap:
    """One measure of the lens at one dose: part -> layer -> cell."""

    finding: Finding
    dose: str
    parts: Mapping[str, Mapping[int, CellEstimate]]

    @property
    def layers(self) -> list[int]:
        """All layers that were read, from the bottom up."""
        return sorted({layer for cells in self.parts.values() for layer in cells})


def maps(findings: Sequence[Finding]) -> list[LayerMap]:
    """A map of each measure of the lens that was read at several places: un-attacked, then each attack at its worst."""
    own = [finding for finding in findings if finding.probe == PROBE]
    own.sort(key=lambda finding: finding.attack != BASELINE)
    return [found for finding in own if (found := _map(finding)) is not None]


def section(result: Result, limits: Limits) -> Section:
    """The maps, and the numbers of the residual stream where nothing is attacked."""
    found = maps(result.verdict.findings)
    if not found:
        nothing = paragraph("The probe lens, which reads hidden states layer by layer, produced no evidence.")
        return Section(id="layers", title="Layers", blocks=(nothing,), empty=True)
    blocks: list[Block] = [
        paragraph(
            "Where the answer can be read inside the model, even if the model does not say it. What can be read in the "
            "checkpoint's layers but not in the controls' is hidden, not gone. All numbers are under Doses."
        ),
        FigureSlot(name=FIGURE),
    ]
    plain = [one for one in found if one.finding.attack == BASELINE]
    tables: list[Block] = []
    for one in plain[: limits.entries]:
        columns = (*text_columns("Place"), *number_columns("Checkpoint", "Original", "Controls"))
        rows = [(place, *shares(cell)) for place, cell in _stream(one)]
        tables += table_of(
            one.finding, "Layers", columns, rows, limits, most=limits.rows, noun="layer", of=", residual stream"
        )
    if tables:
        blocks.append(Fold(title="The same as numbers, un-attacked", blocks=tuple(tables)))
    return Section(id="layers", title="Layers", blocks=tuple(blocks))


def draw(findings: Sequence[Finding]) -> Panels | None:
    """The maps; None where the lens read nothing."""
    return drawn(maps(findings), _panel, most=_MOST_PANELS, caption=_CAPTION, left_out=("map", "in the tables"))


def _map(finding: Finding) -> LayerMap | None:
    read = [cell for cell in finding.cells if _PLACE.fullmatch(cell.variant)]
    if not read:
        return None
    dose = max(read, key=lambda cell: cell.excess.estimate).dose
    parts: dict[str, dict[int, CellEstimate]] = {}
    for part in _PARTS:
        for cell in read:
            match = _PLACE.fullmatch(cell.variant)
            if cell.dose == dose and match is not None and match[1] == part:
                parts.setdefault(part, {})[int(match[2])] = cell
    several = len({cell.variant for cell in read}) > 1
    return LayerMap(finding=finding, dose=dose, parts=parts) if several else None


def _stream(one: LayerMap) -> list[tuple[str, CellEstimate]]:
    return [(f"resid-{layer}", cell) for layer, cell in sorted(one.parts.get("resid", {}).items())]


def _panel(one: LayerMap, place: int) -> Panel:
    layers, labels = one.layers[-_MOST_LAYERS:], figures.Labels()
    rows = 3 * len(one.parts)
    height = _TOP + _BOTTOM + _ROW * rows + _GAP * (len(one.parts) - 1)
    figure = figures.new_figure(WIDTH, height)
    axes = figures.add_axes(figure, _LEFT, _BOTTOM, _RIGHT, _TOP)
    axes.set_xlim(-0.5, len(layers) - 0.5)
    axes.set_ylim(height - _TOP - _BOTTOM, 0)
    axes.set_yticks([])
    axes.set_xticks(range(len(layers)), [str(layer) for layer in layers])
    axes.set_xlabel("layer")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for number, (part, cells) in enumerate(one.parts.items()):
        _part(axes, part, [cells.get(layer) for layer in layers], number * (3 * _ROW + _GAP))
    finding = one.finding
    svg = figures.to_svg(figure, labels, name=f"layers-{place}", title=_describe(one))
    dose = "" if finding.attack == BASELINE else f"At {clean(one.dose, 60)}."
    note = f"The last {len(layers)} of {len(one.layers)} layers." if len(layers) < len(one.layers) else ""
    return Panel(
        title=clean(finding.attack, 60),
        subtitle=clean(finding.id.removeprefix(f"{finding.attack}/"), 80),
        note=" ".join(filter(None, (dose, note))),
        svg=svg,
    )


def _part(axes: Axes, part: str, cells: Sequence[CellEstimate | None], top: float) -> None:
    """Three rows, of checkpoint, original and controls, with the part's name next to them."""
    across, muted, text = axes.get_yaxis_transform(), figures.MUTED.drawn, figures.TEXT.drawn
    width = WIDTH - _LEFT - _RIGHT
    roles = (("U", figures.CHECKPOINT), ("O", figures.ORIGINAL), ("C", figures.CONTROL))
    middle = top + 1.5 * _ROW
    axes.text(-_LEFT / width, middle, _PARTS[part], transform=across, ha="left", va="center", color=muted, fontsize=11)
    for number, (role, ink) in enumerate(roles):
        y = top + number * _ROW
        axes.text(-8 / width, y + _ROW / 2, role, transform=across, ha="right", va="center", color=text, fontsize=11)
        for x, cell in enumerate(cells):
            if cell is not None:
                _square(axes, x, y, _shown(cell, role), ink)


def _shown(cell: CellEstimate, role: str) -> float | None:
    if role == "U":
        return cell.unlearned
    if role == "O":
        return cell.original
    return sum(cell.controls.values()) / len(cell.controls) if cell.controls else None


def _square(axes: Axes, x: float, y: float, share: float | None, ink: figures.Ink) -> None:
    from matplotlib.patches import Rectangle

    if share is None:
        axes.text(x, y + _ROW / 2, NONE, ha="center", va="center", color=figures.MUTED.drawn, fontsize=10)
        return
    alpha = _DARKEST * max(0.0, share - _LUCK) / (1 - _LUCK)
    box = (x - 0.48, y + 0.5), 0.96, _ROW - 1
    axes.add_patch(Rectangle(*box, facecolor="none", edgecolor=figures.RULE.drawn, linewidth=0.75))
    axes.add_patch(Rectangle(*box, color=ink.drawn, alpha=alpha, linewidth=0))
    number = f"{100 * share:.0f}"
    axes.text(x, y + _ROW / 2, number, ha="center", va="center", color=figures.TEXT.drawn, fontsize=10)


def _describe(one: LayerMap) -> str:
    parts = [
        f"{part} {layer}: checkpoint {percent(cell.unlearned)}, original {percent(cell.original)}, controls "
        f"{percent_range(list(cell.controls.values()))}"
        for part, cells in one.parts.items()
        for layer, cell in sorted(cells.items())
    ]
    return f"{clean(one.finding.id, 80)} by layer. " + "; ".join(parts)
