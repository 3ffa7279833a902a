"""The columns of a source under the names of a fact's fields, and subjects by blocks of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from unlearn_audit.api.problems import did_you_mean
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.usual import FIELDS, check_header, taken_for
from unlearn_audit.spec.reading import Reading

Placed = tuple[str, dict[str, Any]]


def usual(rows: Iterable[Placed], reading: Reading, source: str, taken: dict[str, str]) -> Iterator[Placed]:
    """The rows, columns under usual names renamed to the fields that they are taken for.

    Args:
        rows: as they were read.
        reading: whose mapping goes before.
        source: for messages.
        taken: column -> field, filled as rows come. One pair serves a whole file.

    Raises:
        SpecError: a table has no line of names.
    """
    for number, (place, row) in enumerate(rows):
        if not number and row.keys().isdisjoint(reading.columns.values()):
            check_header(row, source)
        found = taken_for(row.keys(), reading.columns)
        fields = {field: column for column, field in taken.items()}
        found = {column: field for column, field in found.items() if fields.get(field, column) == column}
        taken.update(found)
        yield place, {found.get(column, column): value for column, value in row.items()} if found else row


def renamed(rows: Iterable[Placed], reading: Reading, source: str) -> Iterator[Placed]:
    """The rows with the fields' own names.

    Raises:
        SpecError: a column is not there, or a field of the mapping is none.
    """
    columns = reading.columns
    unknown = sorted(set(columns) - set(FIELDS))
    if unknown:
        raise SpecError(f"columns: {unknown[0]!r} is not a field of a fact{did_you_mean(unknown[0], FIELDS)}")
    if not columns:
        yield from rows
        return
    for place, row in rows:
        # A mapping for all files of a spec: a file that calls a field by its own name needs none.
        taken = {
            field: column
            for field, column in columns.items()
            if column in row or field not in row or not reading.lenient
        }
        absent = [column for column in taken.values() if column not in row]
        if absent:
            raise SpecError(f"{source}, {place}: no column {absent[0]!r}{did_you_mean(absent[0], list(row))}")
        used = set(taken.values())
        # Other columns are the user's own business; without a mapping they are mistakes.
        kept = {key: value for key, value in row.items() if key not in used and key in FIELDS}
        yield place, {**kept, **{field: row[column] for field, column in taken.items()}}


def with_subjects(rows: Iterable[Placed], reading: Reading, source: str) -> Iterator[Placed]:
    """The rows, each block of `subject_rows` with one subject, where they are to be counted so.

    Raises:
        SpecError: the rows name subjects, or do not come out even.
    """
    size = reading.subject_rows
    if size is None:
        yield from rows
        return
    number = -1
    for number, (place, row) in enumerate(rows):
        if row.get("subject") not in (None, ""):
            raise SpecError(
                f"{source}, {place}: expected rows without a subject, as there are `subject_rows`; leave out either"
            )
        yield place, {**row, "subject": f"rows {number // size * size + 1} to {(number // size + 1) * size}"}
    if (number + 1) % size:
        raise SpecError(
            f"{source}: expected {size} rows for each subject, got {number + 1} rows, which leaves "
            f"{(number + 1) % size}; give the whole file in its own order, or another `subject_rows`"
        )
