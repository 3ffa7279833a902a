"""Rows of JSONL, CSV, TSV or Parquet files, or of a data set in the local cache, each with its place."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unlearn_audit.api.user_files import (
    LARGEST_DATA,
    MIB,
    MOST_LINES,
    is_there,
    kind_of,
    parse_json,
    read_bytes,
    read_lines,
)
from unlearn_audit.errors import SpecError

_LISTS = ("aliases", "paraphrases", "wrong_answers", "hops")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_MOST_COLUMNS = 1_000
_ROWS_AT_ONCE = 64
"""Rows of a Parquet file that are decoded before their size is looked at: a few bytes may stand for a gigabyte."""


def read_rows(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file (by its suffix) or of a datasets id, each with its place for messages.

    Raises:
        SpecError: there is no such file, or it cannot be read.
    """
    path = Path(source).expanduser() if source.startswith("~/") else Path(source)
    if is_there(path):
        kind = kind_of(path.stat().st_mode)
        if kind is not None:
            raise SpecError(f"{path}: expected a file of facts, got {kind}; give a file")
        match path.suffix.lower():
            case ".jsonl" | ".json":
                return _read_jsonl(path)
            case ".csv" | ".tsv":
                return _read_table(path)
            case ".parquet":
                return _read_parquet(path)
        raise SpecError(f"{path}: expected .jsonl, .csv, .tsv or .parquet")
    if path.suffix or source.count("/") != 1:
        raise SpecError(f"{source}: expected a file of facts, found none; check the path")
    return _read_dataset(source)


def _read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    lines = read_lines(path)
    if lines and lines[0].lstrip().startswith("["):
        yield from _read_array(path, lines)
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = parse_json(line, f"{path}, line {number}")
        if not isinstance(row, dict):
            raise SpecError(f"{path}, line {number}: expected one JSON object per line")
        yield f"line {number}", row


def _read_array(path: Path, lines: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A JSON list of objects, or of texts alone."""
    rows = parse_json("\n".join(lines), f"{path}")
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
        if not isinstance(row, dict | str):
            raise SpecError(f"{path}, item {number}: expected an object or a text")
        yield f"item {number}", {"text": row} if isinstance(row, str) else row


def _read_table(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pandas as pd

    lines, separator = read_lines(path), _SEPARATORS[path.suffix.lower()]
    if lines[0].count(separator) >= _MOST_COLUMNS:
        raise SpecError(f"{path}: expected at most {_MOST_COLUMNS} columns")
    try:
        frame = pd.read_csv(io.StringIO("\n".join(lines)), sep=separator, dtype=str, keep_default_na=False)
    except Exception as error:  # pandas raises many kinds for a damaged file
        raise SpecError(f"{path}: expected a table ({error})") from error
    for number, row in enumerate(frame.to_dict("records"), 2):
        yield _row(row, path, number)


def _read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    content, size, number = read_bytes(path), 0, 1
    try:
        file = ParquetFile(pa.BufferReader(content))
        if (rows := file.metadata.num_rows) > MOST_LINES:
            raise SpecError(f"{path}: expected at most {MOST_LINES} rows, got {rows}; split the file")
        columns = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]  # of pandas
        if len(columns) > _MOST_COLUMNS:
            raise SpecError(f"{path}: expected at most {_MOST_COLUMNS} columns, got {len(columns)}")
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
            size += batch.nbytes
            if size > LARGEST_DATA:
                raise SpecError(f"{path}: expected at most {LARGEST_DATA // MIB} MiB of facts; split the file")
            for row in batch.to_pylist():
                number += 1
                yield _row(row, path, number)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise SpecError(f"{path}: expected a table ({error})") from error


def _row(row: dict[Any, Any], path: Path, number: int) -> tuple[str, dict[str, Any]]:
    return f"line {number}", {str(key): _cell(str(key), value, path, number) for key, value in row.items()}


def _cell(key: str, value: Any, path: Path, number: int) -> Any:
    """A table cell as a fact's value: an empty one is absent, a list stands as JSON or `a | b`."""
    if value is None or value == "" or (isinstance(value, float) and value != value):
        return None
    if key not in _LISTS or not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [part.strip() for part in value.split("|")]
    return parse_json(value, f"{path}, line {number}, {key}")


def _read_dataset(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    from datasets import DownloadConfig, load_dataset

    name, _, split = source.partition("@")
    name, _, config = name.partition(":")
    try:
        rows = load_dataset(
            name, config or None, split=split or "train", download_config=DownloadConfig(local_files_only=True)
        )
    except Exception as error:  # the hub client and the builders raise many kinds
        raise SpecError(
            f"{source}: no such file, and no such data set in the local cache ({type(error).__name__})"
        ) from error
    for number, row in enumerate(rows, 1):
        yield f"row {number}", dict(row)
