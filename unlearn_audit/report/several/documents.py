"""The table of checkpoints as a file: its formats, and where they go."""

from __future__ import annotations

import csv
import io
import json as json_module
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.problems import did_you_mean
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.evidence.files import refuse_special, write_text
from unlearn_audit.report.formats.tables import harmless_text
from unlearn_audit.report.parts.text import escape_markdown
from unlearn_audit.report.several import changes, figure, page, terminal
from unlearn_audit.report.several.shown import (
    DIFFERENCES,
    STANDING,
    TITLE,
    difference,
    legend,
    number_of,
    proven,
    standing,
    summary,
    tested,
    tile,
)
from unlearn_audit.verdict.several import SeveralRecord

if TYPE_CHECKING:
    from rich.console import Console

TERMINAL = "terminal"
_ROW = ("run", "digest", "outcome", "is_control", "has_gaps", "on_front", "profile", "policy", "forget", "controls")
_TITLES = {"controls": "control_models"}
_FINDING = (
    *("finding", "attack", "measure", "gates", "status", "dose", "variant", "shown", "controls", "original"),
    *("recovered", "beyond", "lower", "upper", "subjects", "facts"),
)


def deliver(record: SeveralRecord, wanted: Sequence[str], console: Console) -> None:
    """Writes what `-f FORMAT` and `-f FORMAT=FILE` ask for; the terminal's table where nothing goes to stdout.

    Raises:
        SpecError: an unknown format, two for stdout, or a file that cannot be written.
        AuditError: a file cannot be written.
    """
    files, screen = _targets(wanted)
    shown = None if screen == TERMINAL else FORMATS[screen](record)
    for path, document in [(path, FORMATS[name](record)) for path, name in files.items()]:
        try:
            write_text(path, document)
        except OSError as error:
            raise AuditError(f"{path}: cannot be written ({error.strerror})") from error
    if shown is None:
        terminal.show(record, console)
    else:
        sys.stdout.write(shown)


def _targets(wanted: Sequence[str]) -> tuple[dict[Path, str], str]:
    """Files with their formats, and the format that goes to stdout."""
    files: dict[Path, str] = {}
    screen: str | None = None
    for each in wanted:
        name, equals, target = each.partition("=")
        if name != TERMINAL and name not in FORMATS:
            raise SpecError(f"--format: unknown format {name!r}{did_you_mean(name, [TERMINAL, *FORMATS])}")
        if equals:
            path = Path(target)
            if not target or name == TERMINAL or not path.parent.is_dir() or path in files:
                raise SpecError(
                    f"--format {each}: expected {name}=FILE in a folder that is there, a file for each format; "
                    f"e.g. -f html=compare.html ({TERMINAL} goes to stdout)"
                )
            refuse_special(path)
            files[path] = name
        elif screen is not None:
            raise SpecError(
                f"--format {name}: only one format can go to stdout, and {screen} already does; name a file"
            )
        else:
            screen = name
    return files, screen or TERMINAL


def markdown(record: SeveralRecord) -> str:
    """The table as Markdown."""
    matrix = [
        (attack, *((one := tile(record, row, attack)).text + one.sign for row in record.rows))
        for attack in record.attacks
    ]
    parts = [
        f"# {TITLE}",
        escape_markdown(summary(record)),
        _table(STANDING, standing(record)),
        f"## By attack: {escape_markdown(record.measure)}",
        _table((record.measure, *(row.name for row in record.rows)), matrix),
        "\n".join(f"- {escape_markdown(text)}" for text in legend(record)),
        "## Differences",
        escape_markdown(tested(record)),
    ]
    if found := proven(record):
        parts.append(_table(DIFFERENCES, [difference(one) for one in found]))
    if record.notes:
        parts += ["## Notes", "\n".join(f"- {escape_markdown(note)}" for note in record.notes)]
    for name, change in record.changes.items():
        parts.append(f"## {escape_markdown(name)} since {escape_markdown(record.baseline or '')}")
        parts.append(changes.markdown(change))
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = [[escape_markdown(cell) for cell in row] for row in (head, *rows)]
    lines = [escaped[0], ["---"] * len(head), *escaped[1:]]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def json(record: SeveralRecord) -> str:
    """Everything, for machines: ASCII alone, so that a terminal obeys nothing in it."""
    document = record.model_dump(mode="json")
    return json_module.dumps(document, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"


def as_csv(record: SeveralRecord) -> str:
    """One row for each checkpoint and finding; an empty field where there is no number."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    table.writerow(
        ("number", "checkpoint", *(_TITLES.get(name, name) for name in _ROW), "utility", "original_utility", *_FINDING)
    )
    for row in record.rows:
        about = [int(number_of(record, row)), harmless_text(row.name), *(_plain(getattr(row, name)) for name in _ROW)]
        about += [_plain(row.utility), _plain(row.original_utility)]
        for one in row.measures:
            table.writerow([*about, *(_plain(getattr(one, name)) for name in _FINDING)])
    return stream.getvalue()


def _plain(value: object) -> str | float | int:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int | float) else harmless_text(clean(str(value)))


FORMATS: Mapping[str, Callable[[SeveralRecord], str]] = {
    "html": page.page,
    "md": markdown,
    "csv": as_csv,
    "json": json,
    "svg": figure.svg,
}
"""Name -> what makes it; `terminal` is the one besides."""
