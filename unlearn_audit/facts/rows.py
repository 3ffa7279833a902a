"""Rows of JSONL, CSV, TSV or Parquet files, or of a data set in the local cache, each with its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unlearn_audit.errors import SpecError

_LISTS = ("aliases", "paraphrases", "wrong_answers", "hops")


def read_rows(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file (by its suffix) or of a datasets id, each with its place for messages.

    Raises:
        SpecError: there is no such file, or it cannot be read.
    """
    path = Path(source).expanduser()
    if path.is_file():
        match path.suffix.lower():
            case ".jsonl" | ".json":
                return _read_jsonl(path)
            case ".csv" | ".tsv" | ".parquet":
                return _read_table(path)
        raise SpecError(f"{path}: expected .jsonl, .csv, .tsv or .parquet")
    if path.is_dir() or path.suffix or source.count("/") != 1:
        raise SpecError(f"{source}: expected a file of facts, found none; check the path")
    return _read_dataset(source)


def _read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: expected UTF-8 text ({error}); convert the file") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SpecError(f"{path}, line {number}: expected one JSON object per line ({error})") from error
        if not isinstance(row, dict):
            raise SpecError(f"{path}, line {number}: expected one JSON object per line")
        yield f"line {number}", row


def _read_table(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, keep_default_na=False)
    except Exception as error:  # pandas and pyarrow raise many kinds for a damaged file
        raise SpecError(f"{path}: expected a table ({error})") from error
    for number, row in enumerate(frame.to_dict("records"), 2):
        yield f"line {number}", {str(key): _cell(str(key), value, path, number) for key, value in row.items()}


def _cell(key: str, value: Any, path: Path, number: int) -> Any:
    """A table cell as a fact's value: an empty one is absent, a list stands as JSON or `a | b`."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or value == "" or (isinstance(value, float) and value != value):
        return None
    if key not in _LISTS or not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [part.strip() for part in value.split("|")]
    try:
        return json.loads(value)
    except ValueError as error:
        raise SpecError(f"{path}, line {number}: expected a JSON list in {key} ({error})") from error


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
