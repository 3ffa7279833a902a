"""The figure of the board: a row an auditor, wrong PASS and wrong FAIL with their intervals. SVG as text."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.validity.page.board import CRITERIA
from benchmarks.validity.truth.board import ClusterRate, Line

ROW, LEFT, WIDTH, GAP, TOP = 24, 340, 240, 50, 56
COLOURS = {"wrong PASS": "#b3261e", "wrong FAIL": "#1a56b0"}


def figure(found: Sequence[Line]) -> str:
    """The board as an image; each panel goes from 0 to 100 per cent."""
    height = TOP + ROW * len(found) + 30
    whole = LEFT + 2 * WIDTH + GAP + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {height}" font-family="sans-serif"'
        ' font-size="12" role="img">',
        "<title>How often each auditor is wrong</title>",
        f'<rect width="{whole}" height="{height}" fill="#ffffff"/>',
    ]
    for panel, (title, rates) in enumerate(_panels(found).items()):
        left = LEFT + panel * (WIDTH + GAP)
        parts += [_axis(left, title, height), *_marks(left, title, rates)]
    for place, line in enumerate(found):
        text = escape(f"{line.auditor}, {CRITERIA[line.criterion].partition(' ')[0]}")
        weight = "bold" if line.auditor.startswith("unlearn-audit") else "normal"
        parts.append(
            f'<text x="{LEFT - 12}" y="{_y(place) + 4}" text-anchor="end" font-weight="{weight}">{text}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panels(found: Sequence[Line]) -> dict[str, list[ClusterRate]]:
    return {
        "wrong PASS": [line.wrong_pass for line in found],
        "wrong FAIL": [line.wrong_fail for line in found],
    }


def _y(place: int) -> int:
    return TOP + ROW * place + ROW // 2


def _axis(left: int, title: str, height: int) -> str:
    ticks = "".join(
        f'<line x1="{left + WIDTH * tick // 4}" x2="{left + WIDTH * tick // 4}" y1="{TOP}" y2="{height - 24}"'
        ' stroke="#dddddd"/>'
        f'<text x="{left + WIDTH * tick // 4}" y="{height - 8}" text-anchor="middle">{25 * tick} %</text>'
        for tick in range(5)
    )
    return f'<text x="{left}" y="{TOP - 18}" font-size="14" fill="{COLOURS[title]}">{title}</text>{ticks}'


def _marks(left: int, title: str, rates: Sequence[ClusterRate]) -> list[str]:
    found = []
    for place, rate in enumerate(rates):
        if rate.interval is None:
            continue
        low, high = (left + WIDTH * bound for bound in rate.interval)
        middle, y = left + WIDTH * rate.count / rate.total, _y(place)
        found.append(
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{COLOURS[title]}" stroke-width="2"/>'
            f'<circle cx="{middle:.1f}" cy="{y}" r="4" fill="{COLOURS[title]}">'
            f"<title>{rate.count} of {rate.total}</title></circle>"
        )
    return found
