"""Rows of tables: CSV, TSV and Parquet, a block at a time."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unlearn_audit.api.user_files import (
    LARGEST_FACTS,
    MIB,
    MOST_ROWS,
    each_line,
    open_regular,
    parse_json,
)
from unlearn_audit.errors import SpecError

Placed = tuple[str, dict[str, Any]]

LISTS = ("aliases", "paraphrases", "wrong_answers", "hops")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
_MOST_COLUMNS = 1_000
_ROWS_AT_ONCE = 64
"""Rows of a Parquet file that are decoded before their size is looked at: a few bytes may stand for a gigabyte."""


def read_table(path: Path) -> Iterator[Placed]:
    """The rows of a CSV or TSV file, all cells as text."""
    # A line ends at its line feed, which a quoted cell may hold.
    lines = (line.removesuffix("\r") + "\n" for line in each_line(path))
    rows = csv.reader(lines, delimiter=SEPARATORS[path.suffix.lower()], strict=True)
    number = 1
    try:
        header = next(rows, [])
        _check_header(header, path)
        for number, cells in enumerate(rows, 2):
            if not cells:
                continue
            if len(cells) > len(header):
                raise SpecError(f"{path}, line {number}: expected {len(header)} cells, got {len(cells)}")
            yield _row(dict(zip(header, cells, strict=False)), path, number)
    except csv.Error as error:
        raise SpecError(f"{path}, line {number + 1}: expected a table ({error})") from error


def _check_header(header: Sequence[str], path: Path) -> None:
    if len(header) > _MOST_COLUMNS:
        raise SpecError(f"{path}: expected at most {_MOST_COLUMNS} columns, got {len(header)}")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise SpecError(f"{path}, line 1: the column {repeated[0]!r} stands twice; remove or rename one of them")


def read_parquet(path: Path) -> Iterator[Placed]:
    """The rows of a Parquet file."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    size, number = 0, 1
    try:
        with open_regular(path) as content:
            file = ParquetFile(content)
            if (rows := file.metadata.num_rows) > MOST_ROWS:
                raise SpecError(f"{path}: expected at most {MOST_ROWS} rows, got {rows}; split the file")
            columns = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]  # of pandas
            if len(columns) > _MOST_COLUMNS:
                raise SpecError(f"{path}: expected at most {_MOST_COLUMNS} columns, got {len(columns)}")
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
                size += batch.nbytes
                if size > LARGEST_FACTS:
                    raise SpecError(f"{path}: expected at most {LARGEST_FACTS // MIB} MiB of facts; split the file")
                for row in batch.to_pylist():
                    number += 1
                    yield _row(row, path, number)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise SpecError(f"{path}: expected a table ({error})") from error


def _row(row: dict[Any, Any], path: Path, number: int) -> Placed:
    return f"line {number}", {str(key): _cell(str(key), value, path, number) for key, value in row.items()}


def _cell(key: str, value: Any, path: Path, number: int) -> Any:
    """A table cell as a fact's value: an empty one is absent, a list stands as JSON or `a | b`."""
    if value is None or value == "" or (isinstance(value, float) and value != value):
        return None
    if key not in LISTS or not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [part.strip() for part in value.split("|")]
    return parse_json(value, f"{path}, line {number}, {key}")
