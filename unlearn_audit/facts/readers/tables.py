"""Rows of tables: CSV, TSV and Parquet, a block at a time."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
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
from unlearn_audit.facts.printed import unpacked

Placed = tuple[str, dict[str, Any]]

LISTS = ("aliases", "paraphrases", "wrong_answers", "hops")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
_OTHERS = ",;\t"
_INDEX = ("", "Unnamed: 0")
"""What pandas calls the first column of a file into which it wrote its row numbers."""
_MOST_COLUMNS = 1_000
_ROWS_AT_ONCE = 64
"""Rows of a Parquet file that are decoded before their size is looked at: a few bytes may stand for a gigabyte."""


def read_table(path: Path, lists: Collection[str] = LISTS) -> Iterator[Placed]:
    """The rows of a CSV or TSV file, all cells as text; a row whose cells are all empty is none.

    Args:
        path: the file.
        lists: the columns whose cells are lists, in any case.
    """
    lists = {name.strip().casefold() for name in lists}
    # A line ends at its line feed, which a quoted cell may hold.
    lines = (line.removesuffix("\r") + "\n" for line in each_line(path))
    number = 1
    try:
        first = next(lines, "")
        rows = csv.reader(chain([first], lines), delimiter=_separator(first, path), strict=True)
        header = next(rows, [])
        _check_header(header, path)
        for number, cells in enumerate(rows, 2):
            if not any(cells):
                continue
            if len(cells) > len(header):
                raise SpecError(f"{path}, line {number}: expected {len(header)} cells, got {len(cells)}")
            named = list(zip(header, cells, strict=False))
            if named[0][0] in _INDEX:
                del named[0]
            yield _row({name: cell for name, cell in named if name or cell}, path, number, lists)
    except csv.Error as error:
        raise SpecError(f"{path}, line {number + 1}: expected a table ({error})") from error


def _separator(first: str, path: Path) -> str:
    """What stands between cells: as the file's name says, or what the first line is cut by where that is not in it."""
    usual = SEPARATORS[path.suffix.lower()]
    return usual if usual in first else max(_OTHERS, key=lambda sign: (first.count(sign), sign == usual))


def _check_header(header: Sequence[str], path: Path) -> None:
    if len(header) > _MOST_COLUMNS:
        raise SpecError(f"{path}: expected at most {_MOST_COLUMNS} columns, got {len(header)}")
    repeated = next((name for name, count in Counter(header).items() if count > 1 and name), None)
    if repeated is not None:  # not said: without a header, it is a row's cell
        places = [str(place) for place, name in enumerate(header, 1) if name == repeated]
        raise SpecError(
            f"{path}, line 1: the columns {' and '.join(places)} have the same name; remove or rename one of them"
        )


def read_parquet(path: Path, lists: Collection[str] = LISTS) -> Iterator[Placed]:
    """The rows of a Parquet file; texts in the columns `lists` stand for lists."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    size, number, lists = 0, 1, {name.strip().casefold() for name in lists}
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
                    yield _row(row, path, number, lists)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise SpecError(f"{path}: expected a table ({error})") from error


def counted(value: Any) -> Any:
    """A number as it was meant: pandas stores whole numbers beside an empty cell as 1954.0 and NaN."""
    if not isinstance(value, float):
        return value
    return None if value != value else int(value) if value.is_integer() else value


def _row(row: dict[Any, Any], path: Path, number: int, lists: Collection[str]) -> Placed:
    return f"line {number}", {str(key): _cell(str(key), value, path, number, lists) for key, value in row.items()}


def _cell(key: str, value: Any, path: Path, number: int, lists: Collection[str]) -> Any:
    """A table cell as a fact's value: an empty one is absent, a list stands as JSON or `a | b`."""
    value = counted(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or key.strip().casefold() not in lists:
        return value
    if not value.lstrip().startswith("["):
        return [part.strip() for part in value.split("|")]
    try:
        found = unpacked(value)
    except SpecError as error:
        raise SpecError(f"{path}, line {number}, {key}: {error}") from error
    return parse_json(value, f"{path}, line {number}, {key}") if isinstance(found, str) else found
