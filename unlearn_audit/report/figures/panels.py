"""Figures of several small drawings under one key and one caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from markupsafe import Markup

from unlearn_audit.report.figures import svg as figures
from unlearn_audit.report.parts.numbers import count

Shown = TypeVar("Shown")

WIDTH = 332.0
"""Of one drawing, in CSS pixels: it fits a telephone, and three stand side by side on a desk."""


class Glyph(StrEnum):
    """What a line of a key shows before its words."""

    CHECKPOINT = "checkpoint"
    UNATTACKED = "unattacked"
    ORIGINAL = "original"
    CONTROLS = "controls"
    CONTROL = "control"
    BAR = "bar"
    ATTACKED = "attacked"
    MARGIN = "margin"
    CHANCE = "chance"


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One drawing and its heading."""

    title: str
    subtitle: str
    svg: Markup
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panels:
    """A figure: drawings, what their signs mean, and what they show."""

    key: tuple[tuple[Glyph, str], ...]
    caption: str
    panels: tuple[Panel, ...]


def drawn(
    found: Sequence[Shown],
    panel: Callable[[Shown, int], Panel],
    *,
    most: int,
    caption: str,
    left_out: tuple[str, str],
    key: tuple[tuple[Glyph, str], ...] = (),
) -> Panels | None:
    """A drawing of each of these, up to `most`; None where there are none.

    Args:
        found: what is drawn, the most important first.
        panel: draws one, given its place.
        most: drawings of the figure.
        caption: what it shows.
        left_out: what the others are, and where alone they stand.
        key: of the signs.
    """
    if not found:
        return None
    left, (noun, where) = len(found) - most, left_out
    more = f" {count(left, f'more {noun}')} only {where}." if left > 0 else ""
    with figures.drawing():
        panels = tuple(panel(one, place) for place, one in enumerate(found[:most]))
    return Panels(key=key, caption=caption + more, panels=panels)
