"""What a pipeline gets besides the exit code: annotations and a step summary on GitHub, and the files it asks for.

Annotations go to stderr, which GitHub reads like stdout: only what `--json` writes goes to stdout.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.api.writer import Material
from unlearn_audit.audit.telling.streams import command
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.files import open_to_append
from unlearn_audit.report.formats import markdown
from unlearn_audit.report.formats.markdown import LONGEST
from unlearn_audit.report.sections.rules import waiver_line
from unlearn_audit.report.targets import deliver
from unlearn_audit.report.writers import result_of
from unlearn_audit.verdict.result import Outcome, Result

GITHUB = "github"
_MOST_LINES = 10  # of a kind: GitHub shows no more of one step
_LONGEST_LINE = 1_000
_LEVELS = {
    Outcome.PASS: "notice",
    Outcome.WAIVED: "warning",
    Outcome.FAIL: "error",
    Outcome.INCONCLUSIVE: "error",
    Outcome.ERROR: "error",
}


def write_formats(material: Material, formats: Sequence[str]) -> None:
    """Writes reports: FORMAT=FILE into a file, FORMAT to stdout, `github` as annotations.

    Raises:
        AuditError: no such format, or a file that cannot be written.
    """
    deliver(material, [wanted for wanted in formats if wanted != GITHUB])
    if GITHUB in formats and not on_github():  # else they are written at the end anyway
        _annotate(result_of(material))


def tell_github(result: Result) -> None:
    """Annotations and the step summary if this runs as a step on GitHub; otherwise nothing."""
    if not on_github():
        return
    _annotate(result)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        text = markdown.render(result)
        if len(text) > LONGEST:
            raise AuditError(f"expected at most {LONGEST} characters for the step summary, got {len(text)}")
        with open_to_append(Path(summary)) as file:
            file.write(f"{text}\n".encode())


def on_github() -> bool:
    """Whether this is a step of a workflow on GitHub."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def commands(result: Result) -> Iterator[str]:
    """Workflow commands: the verdict, what failed, what stays open, and every waiver."""
    outcome = result.outcome
    yield _command(
        _LEVELS[outcome], f"unlearn-audit: {outcome} (exit code {result.exit_code})", result.verdict.sentence
    )
    deciding = [one for one in result.verdict.findings if one.gates]
    bad = [one for one in deciding if one.status in (Status.FAILED, Status.ERROR) and one.waiver is None]
    open_ends = [one for one in deciding if one.status is Status.INCONCLUSIVE and one.waiver is None]
    for level, findings in (("error", bad), ("warning", open_ends)):
        for finding in findings[: _MOST_LINES - 1]:
            yield _command(level, f"{finding.id}: {finding.status.value}", finding.reason)
    for record in result.verdict.waivers[:_MOST_LINES]:
        yield _command("warning", f"waiver {record.state.value}: {record.waiver.subject}", waiver_line(record))


def _annotate(result: Result) -> None:
    for line in commands(result):
        command(line)


def _command(level: str, title: str, message: str) -> str:
    return f"::{level} title={_escaped(title, ':,')}::{_escaped(message)}"


def _escaped(text: str, also: str = "") -> str:
    """As GitHub's toolkit escapes; `clean` has taken line ends and control characters out before."""
    text = clean(text, _LONGEST_LINE).replace("%", "%25")
    for sign in also:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
