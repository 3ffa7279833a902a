"""What a notebook shows of an audit: the verdict, and the findings that decide, as HTML that needs no style of ours."""

from __future__ import annotations

from markupsafe import Markup

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.page import subject_of, verdict_sentence
from unlearn_audit.report.parts.numbers import count, percent, percent_range, points
from unlearn_audit.report.parts.view import STATUS_WORDS
from unlearn_audit.report.sections.summary import by_gravity, headline
from unlearn_audit.verdict.result import Finding, Outcome, Result

_MOST_ROWS = 30
_COLORS = {
    Outcome.PASS: "#18794e",
    Outcome.WAIVED: "#8a5d00",
    Outcome.FAIL: "#b91c2b",
    Outcome.INCONCLUSIVE: "#8a5d00",
    Outcome.ERROR: "#7a3fc4",
}
_COLUMNS = ("finding", "status", "checkpoint", "original", "controls", "bound", "subjects")


def render(result: Result) -> str:
    """The verdict and a table; no longer than a screen, and whatever it holds is escaped."""
    deciding = by_gravity([finding for finding in result.verdict.findings if finding.gates])
    left = len(deciding) - _MOST_ROWS
    return Markup(
        '<div style="border-left:6px solid {color};padding:4px 14px">'
        '<p style="margin:0"><strong style="color:{color};font-size:1.4em">{outcome}</strong> {subject}</p>'
        '<p style="margin:.4em 0">{headline}</p>{table}{more}'
        '<p style="margin:.4em 0"><small>{sentence}</small></p></div>'
    ).format(
        color=_COLORS[result.outcome],
        outcome=result.outcome.value,
        subject=clean(subject_of(result), 200),
        headline=headline(result),
        sentence=verdict_sentence(result),
        table=_table(deciding[:_MOST_ROWS]),
        more=Markup("<p>{}</p>").format(f"{count(left, 'more finding')} in the report.") if left > 0 else "",
    )


def _table(findings: list[Finding]) -> Markup:
    if not findings:
        return Markup("<p>No finding decides this audit.</p>")
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in _COLUMNS)
    rows = Markup("").join(Markup("<tr>{}</tr>").format(_row(finding)) for finding in findings)
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, rows)


def _row(finding: Finding) -> Markup:
    worst = finding.worst
    cells = (
        clean(finding.id, 200),
        STATUS_WORDS[finding.status],
        percent(worst.unlearned if worst else None),
        percent(worst.original if worst else None),
        percent_range(list(worst.controls.values())) if worst and worst.controls else percent(None),
        points(finding.bound),
        str(finding.subjects),
    )
    return Markup("").join(Markup("<td>{}</td>").format(cell) for cell in cells)
