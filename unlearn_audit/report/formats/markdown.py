"""`report.md`: the report for a pull request, an issue or a ticket. GitHub takes 65,536 characters and no more."""

from __future__ import annotations

from typing import assert_never

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from unlearn_audit.api.terms import Status
from unlearn_audit.report import page
from unlearn_audit.report.parts.fitting import render_within
from unlearn_audit.report.parts.text import code_span, escape_markdown
from unlearn_audit.report.parts.view import STATUS_WORDS, Code, Inline, Limits, Mark, Named, Number, Tile
from unlearn_audit.verdict.result import Outcome, Result

LONGEST = 65_000
_LADDER = (
    Limits(rows=40, entries=200, text=300),
    Limits(rows=20, entries=100, text=200),
    Limits(rows=8, entries=50, text=120),
    Limits(rows=3, entries=30, text=80),
    Limits(rows=0, entries=15, text=60),
    Limits(rows=0, entries=6, text=40),
)
_OUTCOME_SIGNS = {
    Outcome.PASS: "✅",
    Outcome.WAIVED: "⚠️",
    Outcome.FAIL: "❌",
    Outcome.INCONCLUSIVE: "❔",
    Outcome.ERROR: "⚠️",
}
_STATUS_SIGNS = {
    Status.PASSED: "✅",
    Status.FAILED: "❌",
    Status.INCONCLUSIVE: "❔",
    Status.NO_POWER: "⚪",
    Status.ERROR: "⚠️",
}


def render(result: Result) -> str:
    """The report as Markdown (CommonMark with GitHub's tables), below 65,000 characters."""
    template = _environment().get_template("report.md.j2")
    sign = _OUTCOME_SIGNS[result.outcome]
    return render_within(
        lambda limits: template.render(page=page.build(result, limits), sign=sign), _LADDER, longest=LONGEST
    )


def _environment() -> Environment:
    # Autoescape would write HTML entities. `finalize` comes before it and escapes for Markdown instead: everything that
    # a template prints, unless it is Markup already. StrictUndefined: a misspelt name is an error, not a gap.
    return Environment(
        loader=PackageLoader("unlearn_audit.report"),
        autoescape=True,
        finalize=_escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _escape(value: Inline | Markup) -> Markup:
    # Markup before str, which it is too. All Markup here is Markdown, escaped by its own rules.
    match value:
        case Markup():
            return value
        case Code(text=text):
            return Markup(code_span(text))  # noqa: S704
        case Number(text=text):
            return Markup(text.replace("<", "\\<"))  # noqa: S704
        case Mark(status=status):
            return Markup(f"{_STATUS_SIGNS[status]} {STATUS_WORDS[status]}")  # noqa: S704
        case Tile(status=status, text=text, beside=beside):
            shown = f"{_STATUS_SIGNS[status]} {text}" + (f" ({beside})" if beside else "")
            return Markup(shown.replace("<", "\\<"))  # noqa: S704
        case Named(name=name, words=words):
            return Markup(code_span(name) + (f" {escape_markdown(words)}" if words else ""))  # noqa: S704
        case str():
            return Markup(escape_markdown(value))  # noqa: S704
    assert_never(value)
