"""A benchmark by its name stands for the sources of its fact sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase as fnmatch
from itertools import islice
from pathlib import Path
from typing import Any

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.kit.printable import listed
from unlearn_audit.api.plugins import PRESETS, named
from unlearn_audit.api.preset import Part
from unlearn_audit.errors import SpecError
from unlearn_audit.spec.sources import benchmark_source

_LETTER = re.compile(r"\[[^]]*\]|([^\W\d_])")  # what stands in brackets is left as it is
_SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".tsv", ".txt")
PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst")
_SHARD = re.compile(r"-\d+-of-\d+$")
_MOST_FOLDERS, _MOST_NAMED = 200, 4


def with_preset(content: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's content with `preset` and `data` put into the fact sets that it does not name itself.

    Raises:
        SpecError: there is no such benchmark, or there is `data` without one.
    """
    rest = {key: value for key, value in content.items() if key not in ("preset", "data")}
    preset, folder = content.get("preset"), content.get("data")
    if preset is None:
        if folder is not None:
            raise SpecError("`data` is a benchmark's folder: name the benchmark with `preset`, e.g. tofu/forget10")
        return rest
    for name in sets_of(str(preset), str(folder or "")):
        if rest.get(name) is None:
            rest[name] = benchmark_source(str(preset), str(folder or ""))
    return rest


def sets_of(benchmark: str, folder: str) -> list[str]:
    """The fact sets of a benchmark: `forget`, and which others it has, those of optional parts where these are found.

    Args:
        benchmark: its name, as in `tofu/forget10`.
        folder: where its files are; empty for the hub's cache, in which optional parts are not looked for.

    Raises:
        SpecError: there is no such benchmark.
    """
    name, _, config = benchmark.partition("/")
    preset = named(PRESETS, FactPreset, name, "preset")()  # type: ignore[type-abstract]
    held: set[FactSet | None] = {
        part.set for part in preset.parts(config) if not part.optional or (folder and files_of(folder, part))
    }
    return [one.value for one in FactSet if one in held]


def files_of(folder: str, part: Part) -> list[Path]:
    """The files of a part below a folder: one, the shards of a table, or a folder of `save_to_disk`; none where absent.

    They may stand in the folder `data` below it, as in a copy of a hub's repository.

    Raises:
        SpecError: there is no such folder.
    """
    below = Path(folder).expanduser()
    if not below.is_dir():
        raise SpecError(f"{folder}: expected the folder of a benchmark's files; check --data")
    return _files(below, part) or _files(below / "data", part)


def where_else(folder: str, part: Part) -> str:
    """What was looked for in a folder that does not have a part, and what to do about it."""
    below = Path(folder).expanduser()
    packed = [one for file in part.files for one in _matches(below, f"{file}.*") if one.suffix.lower() in PACKED]
    folders = [one for one in islice(below.iterdir(), _MOST_FOLDERS) if one.is_dir() and files_of(str(one), part)]
    remedy = (
        f"{packed[0].name} is packed: unpack it first"
        if packed
        else f"give --data {sorted(folders)[0]}, which has it"
        if len(folders) == 1
        else f"give one of the folders that have it with --data: {listed(sorted(map(str, folders)), _MOST_NAMED)}"
        if folders
        else "check --data"
    )
    names = listed(part.files, _MOST_NAMED)
    return f"expected {names} as .jsonl, .json, .parquet or .csv below {folder}, found none; {remedy}"


def _files(below: Path, part: Part) -> list[Path]:
    split = part.dataset.partition("@")[2] or "train"
    # Of the hub, a part is a folder with one split: `NAME/train-00000-of-00001.parquet`, `NAME/train/0000.parquet`.
    for pattern in (stem for file in part.files for stem in (file, f"{file}/{split}")):
        most = None if "*" in pattern.split("/") else 1  # a whole folder that may be any stands for all of them
        for suffix in _SUFFIXES:
            found = _matches(below, pattern + suffix)[:most]
            if not found and suffix == ".parquet":
                found = _matches(below, f"{pattern}-*-of-*{suffix}") or _matches(below, f"{pattern}/[0-9]*{suffix}")
            if found:
                return found
        saved = [one for one in _matches(below, pattern) if (one / "state.json").is_file()]
        if saved:
            return saved[:most]
    return []


def is_named(path: Path, pattern: str) -> bool:
    """Whether a file has the name of a part, whatever its suffix, its case and the number of its shard."""
    plain = path.with_name(_SHARD.sub("", path.stem)).as_posix().casefold()
    return fnmatch(plain, f"*/{pattern.casefold()}")


def _matches(below: Path, pattern: str) -> list[Path]:
    """What is there under a name, or under one that differs from it in case."""
    any_case = _LETTER.sub(lambda it: f"[{it[1].lower()}{it[1].upper()}]" if it[1] else it[0], pattern)
    return sorted(below.glob(pattern)) or sorted(below.glob(any_case))
