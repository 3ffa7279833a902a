"""Figures of several small drawings under one key and one caption."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from markupsafe import Markup

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
