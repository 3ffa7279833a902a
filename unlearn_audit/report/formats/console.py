"""The summary on the terminal: 80 columns, the outcome first, and what to do next last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.records import ComparisonRecord
from unlearn_audit.report.page import findings_passed, margins_of, verdict_sentence
from unlearn_audit.report.parts.numbers import (
    MINUS,
    NONE,
    count,
    p_value,
    percent,
    percent_range,
    point_interval,
    points,
)
from unlearn_audit.report.parts.view import STATUS_WORDS
from unlearn_audit.report.sections.power import found_of_plants
from unlearn_audit.report.sections.recovery_cost import cheapest
from unlearn_audit.report.sections.rules import waiver_line
from unlearn_audit.report.sections.sealed import signed, standing
from unlearn_audit.report.sections.summary import checkpoint_name, headline, not_covered
from unlearn_audit.verdict.changes import Direction
from unlearn_audit.verdict.result import CellEstimate, Finding, KeptPart, Outcome, Result

WIDTH = 80
_MOST_FINDINGS = 24
_MOST_REASONS = 8
_REASON = 240
_FEWEST_LETTERS = 5
_ELLIPSIS = "..."
_OUTCOME_STYLE = {
    Outcome.PASS: "bold green",
    Outcome.WAIVED: "bold yellow",
    Outcome.FAIL: "bold red",
    Outcome.INCONCLUSIVE: "bold yellow",
    Outcome.ERROR: "bold magenta",
}
_STATUS_STYLE = {
    Status.PASSED: "green",
    Status.FAILED: "red",
    Status.INCONCLUSIVE: "yellow",
    Status.NO_POWER: "dim",
    Status.ERROR: "magenta",
}
_GRAVEST = (Status.FAILED, Status.ERROR, Status.NO_POWER, Status.INCONCLUSIVE, Status.PASSED)
_NEXT_STEP = {
    Outcome.PASS: "Read in the report what was skipped, then sign it.",
    Outcome.WAIVED: "No PASS: read what was accepted, by whom and until when.",
    Outcome.FAIL: "Do not release; the report names attack and dose.",
    Outcome.INCONCLUSIVE: "Neither a leak nor its absence is proven; see the reasons.",
    Outcome.ERROR: "Fix what failed and rerun; finished jobs are kept.",
}
# Name, width and side of each column; with a space between them they fill the terminal.
_COLUMNS = (
    ("finding", 34, "left"),
    ("status", 12, "left"),
    ("U", 5, "right"),
    ("O", 5, "right"),
    ("C", 7, "right"),
    ("bound", 6, "right"),
    ("n", 5, "right"),
)


def summary(result: Result, console: Console, reports: Path | None = None) -> None:
    """Prints outcome, findings, reasons and the next step; no line is wider than 80 columns, or than the console.

    `reports` is the directory that holds them, where they were written.

    The console decides whether to show colors (`NO_COLOR`); no information is in color alone.
    """
    width = min(WIDTH, console.width)
    outcome = result.outcome
    for line in (
        *_wrapped(outcome.value, headline(result), width, console, style=_OUTCOME_STYLE[outcome]),
        Text(),
        *_wrapped("Exactly ", verdict_sentence(result), width, console),
        *_wrapped("Audited ", _audited(result), width, console),
        Text(),
        *_table(result, console.encoding),
        Text(),
        *_reasons(result, width, console),
        *(line for text in _waivers(result) for line in _wrapped("Waiver  ", text, width, console)),
        *(line for text in _baseline(result) for line in _wrapped("Baseline", text, width, console)),
        *_wrapped("Utility ", _utility(result), width, console),
        *(line for text in _parts(result) for line in _wrapped("        ", text, width, console)),
        *(line for text in _power(result) for line in _wrapped("Power   ", text, width, console)),
        *(line for text in _cost(result) for line in _wrapped("Cost    ", text, width, console)),
        *(line for text in _traces(result) for line in _wrapped("Traces  ", text, width, console)),
        *_wrapped("Coverage", _coverage(result), width, console),
        *_wrapped("Limits  ", " ".join(not_covered(result)), width, console),
        *(line for text in _written(reports) for line in _wrapped("Reports ", text, width, console)),
        Text(),
        Text.assemble(
            (f"{outcome.value} (exit code {result.exit_code}).", _OUTCOME_STYLE[outcome]), f" {_NEXT_STEP[outcome]}"
        ),
    ):
        line.truncate(width)
        line.rstrip()
        # Soft wrapping keeps the line as it is: it fits by construction, and a pipe must not rewrap it.
        console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)


def _audited(result: Result) -> str:
    """Which checkpoint, when, and whether the run is signed and its plan was sealed."""
    digest = next((f", sha256 {clean(one.digest, 80)[:12]}" for one in result.models if one.role == "unlearned"), "")
    return (
        f"{checkpoint_name(result)}{digest}, {clean(result.started, 40)[:10]}; signed: {signed(result)}; plan: "
        f"{standing(result)}"
    )


def _table(result: Result, encoding: str) -> list[Text]:
    deciding = [finding for finding in result.verdict.findings if finding.gates]
    # What stands in the way comes first; a long table must not hide it.
    deciding.sort(key=lambda finding: _GRAVEST.index(finding.status))
    lines = [_row([name for name, _, _ in _COLUMNS], "dim", "dim")]
    for each in deciding[:_MOST_FINDINGS]:
        cells = [_encodable(cell, encoding) for cell in _cells(each)]
        lines.append(_row(cells, "", _STATUS_STYLE[each.status]))
    if len(deciding) > _MOST_FINDINGS:
        lines.append(Text(f"and {count(len(deciding) - _MOST_FINDINGS, 'more finding')} in the report", style="dim"))
    waived = " * waived." if any(finding.waiver for finding in deciding) else ""
    legend = (
        f"U checkpoint, O original, C controls: share shown at the worst cell.{waived}",
        f"bound: points beyond the margin of {percent_range(margins_of(result))}; a pass needs 0 or less. n: subjects.",
    )
    return [*lines, *(Text(line, style="dim") for line in legend)]


def _row(cells: Sequence[str], style: str, status_style: str) -> Text:
    line = Text()
    for place, (cell, (name, width, side)) in enumerate(zip(cells, _COLUMNS, strict=True)):
        shown = _fit(cell, width, middle=name == "finding")
        padding = " " * (width - cell_len(shown))
        line.append(" " if place else "")
        line.append(
            shown + padding if side == "left" else padding + shown, style=status_style if name == "status" else style
        )
    return line


def _cells(finding: Finding) -> list[str]:
    return [
        clean(finding.id) + (" *" if finding.waiver else ""),
        STATUS_WORDS[finding.status],
        percent(finding.worst.unlearned) if finding.worst else NONE,
        percent(finding.worst.original) if finding.worst else NONE,
        _controls(finding.worst),
        points(finding.bound),
        str(finding.subjects),
    ]


def _controls(cell: CellEstimate | None) -> str:
    if cell is None or not cell.controls:
        return NONE
    low, high = (percent(pick(cell.controls.values())) for pick in (min, max))
    return low if low == high else f"{low.removesuffix('%')}-{high}"


def _reasons(result: Result, width: int, console: Console) -> list[Text]:
    reasons = result.verdict.reasons
    if not reasons:
        return []
    lines = [Text("Reasons", style="bold")]
    for reason in reasons[:_MOST_REASONS]:
        lines += _wrapped(" -", clean(reason, _REASON), width, console, style="")
    if len(reasons) > _MOST_REASONS:
        lines.append(Text(f" - and {len(reasons) - _MOST_REASONS:,} more in the report"))
    return lines


def _utility(result: Result) -> str:
    utility = result.verdict.utility
    if utility.excess is None:
        return f"{STATUS_WORDS[utility.status]}: {clean(utility.reason, _REASON)}"
    return (
        f"{STATUS_WORDS[utility.status]}: {percent(utility.unlearned)} retain hits, the original has "
        f"{percent(utility.original)}; {point_interval(utility.excess)} points above need, Holm p "
        f"{p_value(utility.holm_p_value)}, {count(utility.subjects, 'subject')}"
    )


def _parts(result: Result) -> list[str]:
    """What is kept of each part of what must stay."""
    return [
        f"{clean(part.name, 60)}{'' if part.gates else ' (reported)'}: {STATUS_WORDS[part.status]}, {_kept(part)}"
        for part in result.verdict.utility.parts
    ]


def _kept(part: KeptPart) -> str:
    if part.excess is None:
        return clean(part.reason, _REASON)
    return f"{percent(part.unlearned)} of {percent(part.original)}; {point_interval(part.excess)} points above need"


def _waivers(result: Result) -> list[str]:
    """Every waiver, and what it does; one that expired or does not apply is reported at every run."""
    return [clean(f"{one.state.value}: {waiver_line(one)}", 2 * _REASON) for one in result.verdict.waivers]


def _baseline(result: Result) -> list[str]:
    """What changed since the baseline, and what makes the two audits hard to compare."""
    record = result.baseline
    if record is None:
        return []
    deciding = [one for one in record.changes if one.gates]
    better = sum(one.direction is Direction.BETTER for one in deciding)
    moved = f"{len(record.worse())} worse, {better} better of {count(len(deciding), 'deciding reading')}"
    return [
        clean(f"against sha256:{record.checkpoint[:16]}: {moved}", _REASON),
        *(clean(n, _REASON) for n in record.notes),
    ]


def _power(result: Result) -> list[str]:
    """What the attacks recovered of what was hidden from them; nothing if the audit made no plants."""
    lines = found_of_plants(result.verdict.findings)
    return [clean("; ".join(lines), _REASON)] if lines else []


def _cost(result: Result) -> list[str]:
    """The least of each step-counting attack that recovers more than the margin."""
    lines = cheapest(result)
    return [clean("; ".join(lines), 2 * _REASON)] if lines else []


def _traces(result: Result) -> list[str]:
    """The status of each comparison of models, by its worst reading: one line."""
    comparisons = result.verdict.comparisons
    if not comparisons:
        return []
    words = {
        decides: "; ".join(_standing(one) for one in comparisons if one.gates is decides) for decides in (True, False)
    }
    parts = [words[True] and f"deciding: {words[True]}", words[False] and f"advisory: {words[False]}"]
    return [clean(". ".join(filter(None, parts)), 2 * _REASON)]


def _standing(one: ComparisonRecord) -> str:
    """`membership failed (auc loss)`: the worst status and the first reading that has it."""
    name = clean(one.name, 40)
    if one.error is not None:
        return f"{name} error"
    for status in _GRAVEST:
        for reading in one.readings:
            if reading.status is status:
                where = clean(f"{reading.measure} {reading.variant}".strip(), 40)
                return f"{name} {STATUS_WORDS[status]}" + (f" ({where})" if status is not Status.PASSED else "")
    return f"{name} without a null"


def _written(reports: Path | None) -> list[str]:
    return [] if reports is None else [f"{clean(str(reports), _REASON)}: report.html, report.md, result.json"]


def _coverage(result: Result) -> str:
    advisory = sum(not finding.gates for finding in result.verdict.findings)
    case = result.case
    unmade = case.plant_names - {job.model for job in result.jobs if job.status == "done"}
    return (
        f"{findings_passed(result)} findings passed, {advisory} advisory; {count(len(result.jobs), 'job')} on "
        f"record, {len(case.model_faults)} failed to run, {len(case.left_out)} skipped"
        + (f"; {count(len(unmade), 'plant')} could not be made" if unmade else "")
    )


def _wrapped(head: str, text: str, width: int, console: Console, *, style: str = "bold") -> list[Text]:
    """A head, with a wrapped text next to it."""
    indent = cell_len(head) + (1 if head.startswith(" ") else 2)
    body = Text(_encodable(text, console.encoding))
    lines = []
    for place, part in enumerate(body.wrap(console, max(10, width - indent), overflow="fold")):
        part.rstrip()
        lead = Text(head.ljust(indent), style=style) if place == 0 else Text(" " * indent)
        lines.append(Text.assemble(lead, part))
    return lines


def _fit(text: str, width: int, *, middle: bool) -> str:
    """Cuts to a number of terminal columns, in the middle, because both ends matter."""
    if cell_len(text) <= width:
        return text
    kept = width - len(_ELLIPSIS)
    if not middle:
        return set_cell_size(text, kept).rstrip() + _ELLIPSIS
    # An attack's name is still known by its first letters; the measure is kept whole if it fits.
    measured_by = cell_len(text[text.find("/") :])
    tail = measured_by if measured_by <= kept - _FEWEST_LETTERS else kept // 2
    head = kept - tail
    return set_cell_size(text, head).rstrip() + _ELLIPSIS + set_cell_size(text[::-1], tail)[::-1].lstrip()


def _encodable(text: str, encoding: str) -> str:
    """The text in characters that the terminal has; any other becomes a plain form, or a question mark."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plain = text.replace(MINUS, "-").replace(NONE, "-").replace("…", _ELLIPSIS)
        return plain.encode(encoding, "replace").decode(encoding)
    return text
