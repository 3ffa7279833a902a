"""Rows of the library `datasets`: a folder that `save_to_disk` wrote, the local cache of the hub, or the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unlearn_audit.errors import SpecError, require

from .tables import counted

Placed = tuple[str, dict[str, Any]]

_SAVED, _SEVERAL = "state.json", "dataset_dict.json"


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return any((folder / name).is_file() for name in (_SAVED, _SEVERAL))


def read_saved(folder: Path, split: str) -> Iterator[Placed]:
    """The rows of a folder of `save_to_disk`; of several splits, the one named, or the only one.

    Raises:
        SpecError: it cannot be read, or several splits are there and none is named.
    """
    require("a folder of `save_to_disk`", ("datasets",))
    from datasets import DatasetDict, load_from_disk

    try:
        found = load_from_disk(str(folder), keep_in_memory=False)
    except Exception as error:  # a damaged folder raises many kinds
        raise SpecError(f"{folder}: expected a folder of `save_to_disk` ({type(error).__name__})") from error
    if isinstance(found, DatasetDict):
        chosen = split or (next(iter(found)) if len(found) == 1 else "")
        if chosen not in found:
            raise SpecError(f"{folder}: expected one of its splits ({', '.join(found)}); give {folder}@SPLIT")
        found = found[chosen]
    return _placed(found)


def read_dataset(source: str, *, download: bool) -> Iterator[Placed]:
    """The rows of a data set by its id (`owner/name[:config][@split]`), from the local cache.

    Args:
        source: the id.
        download: it may be fetched from the hub where the cache does not have it.

    Raises:
        SpecError: it is in neither.
    """
    require(f"the data set {source}", ("datasets",))
    from datasets import DownloadConfig, load_dataset

    name, _, split = source.partition("@")
    name, _, config = name.partition(":")
    try:
        rows = load_dataset(
            name,
            config or None,
            split=split or "train",
            download_config=DownloadConfig(local_files_only=not download),
        )
    except Exception as error:  # the hub client and the builders raise many kinds
        where = "the local cache or on the hub" if download else "the local cache; --download fetches it"
        raise SpecError(f"{source}: no such file, and no such data set in {where} ({type(error).__name__})") from error
    return _placed(rows)


def _placed(rows: Any) -> Iterator[Placed]:
    return (
        (f"row {number}", {name: counted(value) for name, value in row.items()}) for number, row in enumerate(rows, 1)
    )
