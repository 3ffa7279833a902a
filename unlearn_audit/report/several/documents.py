"""The table of checkpoints as a file: its formats, and where they go."""

from __future__ import annotations

import csv
import io
import json as json_module
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.problems import did_you_mean
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.evidence.files import write_text
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
from unlearn_audit.report.targets import targets_of
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


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of the table; `make` is None for the terminal's, which is shown and not made."""

    name: str
    make: Callable[[SeveralRecord], str] | None
    binary: bool = False

    @property
    def file_name(self) -> str:
        """What its file is called in a folder."""
        return f"compare.{self.name}"


def deliver(record: SeveralRecord, wanted: Sequence[str], console: Console) -> None:
    """Writes what `-f FORMAT` and `-f FORMAT=FILE` ask for; the terminal's table where nothing goes to stdout.

    Raises:
        SpecError: an unknown format, two for stdout, or a file that cannot be written.
        AuditError: a file cannot be written.
    """
    targets = targets_of(wanted, _named)
    screen = targets.screen
    shown = None if screen is None or screen.make is None else screen.make(record)
    for path, document in [(path, _made(one, record)) for one, path in targets.files]:
        try:
            write_text(path, document)
        except OSError as error:
            raise AuditError(f"{path}: cannot be written ({error.strerror})") from error
    if shown is None:
        terminal.show(record, console)
    else:
        sys.stdout.write(shown)


def _named(name: str) -> Format:
    if name != TERMINAL and name not in FORMATS:
        raise SpecError(f"--format: unknown format {name!r}{did_you_mean(name, [TERMINAL, *FORMATS])}")
    return Format(name=name, make=FORMATS.get(name))


def _made(one: Format, record: SeveralRecord) -> str:
    if one.make is None:
        raise SpecError(f"--format {one.name}: goes to stdout; name another format for a file")
    return one.make(record)


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
