"""The figures of a report: all of them for its page, or one as an SVG file of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup, escape

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.problems import did_you_mean
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.files import refuse_no_folder, write_text
from unlearn_audit.report.figures import dose_curves, forest, membership_roc, tradeoff
from unlearn_audit.report.figures.panels import WIDTH, Glyph, Panels
from unlearn_audit.report.sections import layers, quantizers, summary
from unlearn_audit.verdict.result import Finding, Result

Drawn = Panels | tuple[Markup, Markup] | None
"""What a page draws: several panels; the forest for a wide and for a narrow page; nothing."""

_ACROSS, _HEAD, _GAP, _PAD = 3, 26.0, 16.0, 12.0
_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_COLOR = re.compile(r"(--[a-z-]+):\s*(#[0-9a-f]{6});")
_SHAPES = {
    Glyph.CHECKPOINT: "filled circles",
    Glyph.UNATTACKED: "dotted line",
    Glyph.ORIGINAL: "hollow squares, dashed",
    Glyph.CONTROLS: "band",
    Glyph.CONTROL: "line in the controls' color",
    Glyph.BAR: "bars",
    Glyph.ATTACKED: "hollow triangles",
    Glyph.MARGIN: "shaded area",
    Glyph.CHANCE: "thin dotted line",
}
FOREST = "forest"
_FOREST_CAPTION = (
    "Lines run from lower to upper bound at the worst cell. The upright line is the margin: left of it passes."
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure as a file of its own, in the colors of a light page.

    Attributes:
        name: by which it was asked for.
        caption: what it shows, and what its signs mean.
        svg: the drawing, complete.
    """

    name: str
    caption: str
    svg: str = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Writes the SVG and returns where.

        Raises:
            AuditError: the name has another ending, or its folder is not there.
        """
        target = Path(path)
        if target.suffix != ".svg":
            raise AuditError(f"{target}: a figure is an SVG file; name it {target.with_suffix('.svg').name}")
        refuse_no_folder(target)
        write_text(target, self.svg)
        return target

    def _repr_html_(self) -> str:
        return f'<figure style="margin:0">{self.svg}<figcaption>{escape(self.caption)}</figcaption></figure>'


def drawings(result: Result) -> Mapping[str, Callable[[], Drawn]]:
    """Each figure's name, and what draws it; it may turn out to have nothing to draw."""
    findings = result.verdict.findings
    deciding, advisory = by_weight(findings)
    units = {one.attack: one.dose_unit for one in result.case.planned}
    return {
        FOREST: lambda: forest.draw(deciding),
        "forest-advisory": lambda: forest.draw(advisory, "advisory"),
        "doses": lambda: dose_curves.draw([each for each in findings if each.attack != quantizers.ATTACK], units),
        tradeoff.FIGURE: lambda: tradeoff.draw(result),
        quantizers.FIGURE: lambda: quantizers.draw(findings),
        layers.FIGURE: lambda: layers.draw(findings),
        membership_roc.FIGURE: lambda: membership_roc.draw(result),
    }


def by_weight(findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """The findings that decide, and the others, each with failures first."""
    ordered = summary.by_gravity(findings)
    return [one for one in ordered if one.gates], [one for one in ordered if not one.gates]


def one_figure(result: Result, name: str) -> Figure:
    """One figure.

    Raises:
        AuditError: there is none of that name, or this audit has nothing to draw in it.
    """
    known = drawings(result)
    if name not in known:
        raise AuditError(f"no figure named {name!r}{did_you_mean(name, list(known))}")
    drawn = known[name]()
    if drawn is None:
        has = ", ".join(other for other, draw in known.items() if draw() is not None) or "none"
        raise AuditError(f"figure {name}: this audit has nothing to draw in it; it has these: {has}")
    if isinstance(drawn, Panels):
        signs = "; ".join(f"{_SHAPES[glyph]}: {words}" for glyph, words in drawn.key)
        caption = f"{drawn.caption} {signs}." if signs else drawn.caption
        return Figure(name=name, caption=caption, svg=_in_rows(drawn))
    note = forest.note(by_weight(result.verdict.findings)[name != FOREST])
    svg = _document([(0.0, 0.0, str(drawn[0]))], *_size(drawn[0]))
    return Figure(name=name, caption=f"{_FOREST_CAPTION} {note}".rstrip(), svg=svg)


def _in_rows(figure: Panels) -> str:
    """Panels next to each other under their titles."""
    placed, titles, y = [], [], 0.0
    for start in range(0, len(figure.panels), _ACROSS):
        row = figure.panels[start : start + _ACROSS]
        for place, panel in enumerate(row):
            x = place * (WIDTH + _GAP)
            titles.append((x, y, clean(f"{panel.title} {panel.subtitle}".strip(), 60)))
            placed.append((x, y + _HEAD, str(panel.svg)))
        y += _HEAD + _GAP + max(_size(panel.svg)[1] for panel in row)
    columns = min(_ACROSS, len(figure.panels))
    return _document(placed, columns * (WIDTH + _GAP) - _GAP, y - _GAP, titles)


def _document(
    drawn: Sequence[tuple[float, float, str]],
    width: float,
    height: float,
    titles: Sequence[tuple[float, float, str]] = (),
) -> str:
    """Drawings and titles at their places, each by its left and upper edge."""
    parts = [
        f'<text x="{x:g}" y="{y + 16:g}" font-size="13" font-weight="bold" fill="var(--text)">{escape(text)}</text>'
        for x, y, text in titles
    ]
    parts += [svg.replace("<svg ", f'<svg x="{x:g}" y="{y:g}" ', 1) for x, y, svg in drawn]
    wide, high = width + 2 * _PAD, height + 2 * _PAD
    box = f"{-_PAD:g} {-_PAD:g} {wide:g} {high:g}"
    whole = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{wide:g}" height="{high:g}" '
        f'font-family="DejaVu Sans, Verdana, sans-serif">\n'
        f'<rect x="{-_PAD:g}" y="{-_PAD:g}" width="{wide:g}" height="{high:g}" fill="var(--surface)"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
    for name, color in _colors().items():
        whole = whole.replace(f"var({name})", color)
    return whole


def _size(svg: str) -> tuple[float, float]:
    found = _SIZE.search(svg)
    return (float(found[1]), float(found[2])) if found else (WIDTH, WIDTH)


@cache
def _colors() -> dict[str, str]:
    """The page's colors by name, as it has them by day."""
    css = (files("unlearn_audit.report") / "templates" / "report.css").read_text(encoding="utf-8")
    return dict(_COLOR.findall(css.partition("@media")[0]))
