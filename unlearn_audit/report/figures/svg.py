"""Figures of a report as SVG for a page: colours are the page's, text stays text, the same input gives the same bytes.

Matplotlib is imported when the first figure is drawn, by its object interface alone: no pyplot, no backend chosen, and
the settings it is drawn with are put back.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SVG = "http://www.w3.org/2000/svg"
_LINK = "http://www.w3.org/1999/xlink"
POINTS_PER_INCH = 72


@dataclass(frozen=True, slots=True)
class Ink:
    """A colour that the page decides, light or dark: drawn as `drawn`, and written as the custom property `name`."""

    name: str
    drawn: str


# Any colours will do that nothing else in a figure has.
TEXT = Ink("--text", "#010101")
MUTED = Ink("--muted", "#010102")
RULE = Ink("--rule", "#010103")
SURFACE = Ink("--surface", "#010104")
CHECKPOINT = Ink("--checkpoint", "#010105")
ORIGINAL = Ink("--original", "#010106")
CONTROL = Ink("--control", "#010107")
STATUS_INK = {
    Status.PASSED: Ink("--passed", "#010108"),
    Status.FAILED: Ink("--failed", "#010109"),
    Status.INCONCLUSIVE: Ink("--inconclusive", "#01010a"),
    Status.NO_POWER: Ink("--no-power", "#01010b"),
    Status.ERROR: Ink("--error", "#01010c"),
}
_INKS = (TEXT, MUTED, RULE, SURFACE, CHECKPOINT, ORIGINAL, CONTROL, *STATUS_INK.values())

_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "unlearn-audit",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.0,
    "axes.edgecolor": RULE.drawn,
    "axes.labelcolor": MUTED.drawn,
    "axes.linewidth": 1.0,
    "xtick.color": RULE.drawn,
    "xtick.labelcolor": MUTED.drawn,
    "ytick.color": RULE.drawn,
    "ytick.labelcolor": MUTED.drawn,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "path.simplify": False,
}


class Labels:
    """Texts from outside, which the drawing knows by a key alone.

    Matplotlib would set them in a font that may lack their letters, and read `$` as mathematics. They come into the
    SVG afterwards, as text that the page's own fonts set.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def add(self, text: str, longest: int) -> str:
        """The key to draw in the place of a text; it fills no more than a short word's room."""
        key = f"T{len(self._texts)}"
        self._texts[key] = clean(text, longest)
        return key

    def __getitem__(self, key: str) -> str:
        """The text of a key; of anything else, itself."""
        return self._texts.get(key, key)


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's own defaults and ours, whatever the user has set; put back on leaving."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)  # type: ignore[arg-type]  # typed key by key
        yield


def new_figure(width: float, height: float) -> Figure:
    """A transparent figure of so many CSS pixels."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH))
    figure.patch.set_visible(False)
    FigureCanvasSVG(figure)
    return figure


def add_axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with these margins, in pixels from the figure's edges."""
    width, height = (POINTS_PER_INCH * inches for inches in figure.get_size_inches())
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    )
    axes.patch.set_visible(False)
    return axes


def between_shares(axes: Axes, *, across: str, up: str, lowest: float = -0.03) -> None:
    """Both axes from 0 to 100 %, with their names; `lowest` is where the upright one begins."""
    ticks, names = [0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"]
    axes.set_xlim(-0.03, 1.04)
    axes.set_ylim(lowest, 1.04)
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.grid(color=RULE.drawn, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.set_xlabel(across)
    axes.set_ylabel(up, labelpad=2)


def to_svg(figure: Figure, labels: Labels, *, name: str, title: str) -> Markup:
    """The figure as an `svg` element for a page.

    Args:
        figure: drawn inside `drawing()`.
        labels: the texts behind its keys.
        name: keeps the ids of this figure apart from those of others on the page.
        title: what those hear who do not see it.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    root = ElementTree.fromstring(stream.getvalue())  # noqa: S314 - written by the line above
    _strip(root, name)
    for element in root.iter(f"{{{_SVG}}}text"):
        element.text = labels[element.text or ""]
    width, height = root.get("viewBox", "0 0 0 0").split()[2:]
    root.attrib = {
        "viewBox": f"0 0 {width} {height}",
        "width": width,
        "height": height,
        "role": "img",
        "aria-label": clean(title),
    }
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _LINK)
    return Markup(_in_page_colours(ElementTree.tostring(root, encoding="unicode")))  # noqa: S704 - escaped by ElementTree


def _strip(root: ElementTree.Element, name: str) -> None:
    """Drops what a page does not need: ids that nothing refers to, matplotlib's style element, its fonts."""
    used = set(re.findall(r"#([A-Za-z]\w*)", " ".join(value for each in root.iter() for value in each.attrib.values())))
    for element in root.iter():
        for child in [each for each in element if each.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata")]:
            element.remove(child)
        for key, value in list(element.attrib.items()):
            if key == "id":
                if value in used:
                    element.set(key, f"{name}-{value}")
                else:
                    del element.attrib[key]
            elif key == "style":
                element.set(key, re.sub(r"font-family: [^;]*;?\s*", "", value).replace("url(#", f"url(#{name}-"))
            elif key == "clip-path":
                element.set(key, value.replace("url(#", f"url(#{name}-"))
            elif key == f"{{{_LINK}}}href":
                element.set(key, value.replace("#", f"#{name}-"))


def _in_page_colours(svg: str) -> str:
    for ink in _INKS:
        svg = svg.replace(ink.drawn, f"var({ink.name})")
    return svg
