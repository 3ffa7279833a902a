"""`report.html`: one file that needs nothing else: no script, no font, no image from elsewhere."""

from __future__ import annotations

import re
from typing import assert_never

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from unlearn_audit.api.kit.printable import clean, clean_part
from unlearn_audit.api.terms import Status
from unlearn_audit.report import page
from unlearn_audit.report.figures import forest
from unlearn_audit.report.formats.figure import by_weight, drawings
from unlearn_audit.report.parts.fitting import render_within
from unlearn_audit.report.parts.view import STATUS_WORDS, Code, Inline, Limits, Mark, Named, Number, Tile
from unlearn_audit.verdict.result import Result

LONGEST = 1_000_000
_LADDER = (
    Limits(rows=100, entries=200, text=300),
    Limits(rows=20, entries=100, text=200),
    Limits(rows=8, entries=50, text=120),
    Limits(rows=0, entries=15, text=60),
)
_SEPARATORS = re.compile(r"(?<=[/.])")


def render(result: Result) -> str:
    """The report as one HTML file, below 1 MB."""
    template = _environment().get_template("report.html.j2")
    deciding, advisory = by_weight(result.verdict.findings)
    figures = {name: draw() for name, draw in drawings(result).items()}
    return render_within(
        lambda limits: template.render(
            page=page.build(result, limits),
            figures=figures,
            forest_notes={"forest": forest.note(deciding), "forest-advisory": forest.note(advisory)},
            statuses=list(Status),
            words=STATUS_WORDS,
        ),
        _LADDER,
        longest=LONGEST,
    )


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("unlearn_audit.report"),
        autoescape=True,
        finalize=_clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _clean(value: Inline | Markup | int) -> Markup | str:
    """What a template prints: cleaned here, escaped by autoescape after it."""
    match value:
        case Markup():
            return value
        case Code(text=text):
            pieces = _SEPARATORS.split(clean(text))
            return Markup("<code>{}</code>").format(Markup("<wbr>").join(escape(piece) for piece in pieces))
        case Number(text=text):
            return Markup('<span class="number">{}</span>').format(text)
        case Mark(status=status):
            return Markup(
                '<span class="mark {0}"><svg viewBox="0 0 16 16" aria-hidden="true"><use href="#sign-{0}"/></svg>'
                "{1}</span>"
            ).format(status.value, STATUS_WORDS[status])
        case Tile(status=status, text=text, beside=beside, decides=decides):
            return Markup(
                '<span class="tile {0}{1}"><svg viewBox="0 0 16 16" role="img" aria-label="{2}"><use href="#sign-{0}"/>'
                '</svg><span class="number">{3}</span>{4}</span>'
            ).format(
                status.value,
                "" if decides else " advisory",
                STATUS_WORDS[status] if decides else f"{STATUS_WORDS[status]}, advisory",
                text,
                Markup(' <small class="number">({})</small>').format(beside) if beside else "",
            )
        case Named(name=name, words=words):
            plain = Markup("<small>{}</small>").format(words) if words else ""
            return Markup('<span class="named">{}{}</span>').format(
                Markup("<code>{}</code>").format(clean(name)), plain
            )
        case int():
            return str(value)
        case str():
            return clean_part(value)
    assert_never(value)
