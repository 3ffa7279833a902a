"""Rows from whatever a source names: a file by its suffix, a folder of `save_to_disk`, or a data set of the cache."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from unlearn_audit.api.user_files import is_there, kind_of
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.readers import lines, stored, tables
from unlearn_audit.spec.benchmarks import PACKED


def read_rows(
    source: str, *, download: bool = False, texts: bool = False, lists: Collection[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a source, each with its place for messages.

    Args:
        source: a file, a folder of `save_to_disk` (`FOLDER@SPLIT` for one of several splits), or the id of a data set.
        download: a data set that is not in the cache may be fetched.
        texts: a .txt file is one row; only a preset knows what to make of it.
        lists: columns of a table whose cells are lists, besides those that have a list's own name.

    Raises:
        SpecError: there is no such source, or it cannot be read.
    """
    path = _path(source)
    folder, _, split = source.rpartition("@")
    if not is_there(path) and folder and stored.is_saved(_path(folder)):
        return stored.read_saved(_path(folder), split)
    if is_there(path):
        if path.is_dir() and stored.is_saved(path):
            return stored.read_saved(path, "")
        return _read_file(path, texts=texts, lists=lists)
    if path.suffix or source.count("/") != 1:
        raise SpecError(f"{source}: expected a file of facts, found none; check the path")
    return stored.read_dataset(source, download=download)


_REMEDIES = {
    **dict.fromkeys(PACKED, "; unpack it first"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "; save the sheet as CSV"),
    ".arrow": "; give the folder that it is in, as `save_to_disk` wrote it",
}


def _path(source: str) -> Path:
    return Path(source).expanduser() if source.startswith("~/") else Path(source)


def _read_file(path: Path, *, texts: bool, lists: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = kind_of(path.stat().st_mode)
    if kind is not None:
        raise SpecError(f"{path}: expected a file of facts, got {kind}; give a file, or a folder of `save_to_disk`")
    match path.suffix.lower():
        case ".jsonl" | ".json" | ".ndjson":
            return lines.read_jsonl(path)
        case ".csv" | ".tsv":
            return tables.read_table(path, {*tables.LISTS, *lists})
        case ".parquet":
            return tables.read_parquet(path, {*tables.LISTS, *lists})
        case ".txt" if texts:
            return lines.read_txt(path)
    raise SpecError(f"{path}: expected .jsonl, .json, .csv, .tsv or .parquet{_REMEDIES.get(path.suffix.lower(), '')}")
