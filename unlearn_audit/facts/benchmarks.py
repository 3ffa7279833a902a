"""The files of a benchmark, found in a folder or in the hub's cache, and their rows as the facts of one set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unlearn_audit.api import FactPreset, FactSet
from unlearn_audit.api.plugins import PRESETS, named
from unlearn_audit.api.preset import Part
from unlearn_audit.errors import MissingExtraError, SpecError
from unlearn_audit.facts.rows import read_rows
from unlearn_audit.facts.usual import check_header
from unlearn_audit.spec.benchmarks import files_of, is_named, where_else
from unlearn_audit.spec.sources import Source

Placed = tuple[str, Mapping[str, Any]]


def benchmark_facts(source: Source, name: FactSet, *, download: bool) -> Iterator[Placed]:
    """The facts that a preset makes of a file or, of a benchmark, for one set; each with a place for messages.

    Raises:
        SpecError: a file is missing or not in the published layout, or the preset fails.
    """
    preset = named(PRESETS, FactPreset, source.preset or "", str(source))()  # type: ignore[type-abstract]
    if source.config is None or Path(source.where).expanduser().is_file():
        rows = [row for _, row in _read(source.where, preset, download=download)]
        config = source.config or ""
        chosen, kept = preset.chosen(config, rows), _kept_part(source, preset)
        yield from _numbered(source, lambda: _kept_facts(preset, kept, chosen) if kept else preset.facts(chosen))
        return
    parts = preset.parts(source.config)
    if name not in {part.set for part in parts}:
        held = ", ".join(sorted({part.set.value for part in parts if part.set is not None}))
        raise SpecError(f"{source}: the benchmark has no {name} set (it has {held}); leave it out, or name a file")
    found = _rows(source, preset, [part for part in parts if part.set is not None], name, download=download)
    config = source.config
    yield from _numbered(source, lambda: preset.sets(config, found).get(name, ()))


def set_of_file(source: Source) -> FactSet | None:
    """The retain set, where a file that a preset reads alone is published as a part of that; else None."""
    if source.preset is None or not Path(source.where).expanduser().is_file():
        return None
    preset = named(PRESETS, FactPreset, source.preset, str(source))()  # type: ignore[type-abstract]
    return None if _kept_part(source, preset) is None else FactSet.RETAIN


def _kept_part(source: Source, preset: FactPreset) -> tuple[str, Part] | None:
    """The configuration and the part of its retain set that a file is, by its name and the folders above it."""
    path = Path(source.where).expanduser().absolute()
    for config in preset.configs if source.config is None else (source.config,):
        mine = [part for part in preset.parts(config) if any(is_named(path, file) for file in part.files)]
        if mine:
            return (config, mine[0]) if {part.set for part in mine} == {FactSet.RETAIN} else None
    return None


def _kept_facts(
    preset: FactPreset, kept: tuple[str, Part], rows: Sequence[Mapping[str, Any]]
) -> Iterable[Mapping[str, Any]]:
    """The facts of one part of the retain set as the whole benchmark has them, with its subjects and `part`."""
    config, part = kept
    try:
        return list(preset.sets(config, {part.name: rows}).get(FactSet.RETAIN, ()))
    except KeyError:  # the preset needs its other parts for that
        return preset.facts(rows)


def benchmark_rows(source: Source, *, download: bool) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of a benchmark as they are published, by the name of their part; parts that are not found are left out.

    Raises:
        SpecError: a part of the forget set is missing, or there is no such benchmark.
    """
    preset = named(PRESETS, FactPreset, source.preset or "", str(source))()  # type: ignore[type-abstract]
    return _rows(source, preset, preset.parts(source.config or ""), FactSet.FORGET, download=download)


def _read(where: str, preset: FactPreset, *, download: bool = False) -> Iterator[Placed]:
    """The rows of one file, which has the columns that the benchmark has, or at least one of them.

    Raises:
        SpecError: it cannot be read, or is a table without a header.
    """
    known = {name for rows in (preset.example, *preset.example_parts.values()) for row in rows for name in row}
    for number, (place, row) in enumerate(read_rows(where, download=download, texts=True)):
        if not number:
            check_header(row, where, known)
        yield place, row


def _numbered(source: Source, facts: Callable[[], Iterable[Mapping[str, Any]]]) -> Iterator[Placed]:
    try:
        yield from ((f"fact {number}", row) for number, row in enumerate(facts(), 1))
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from error
    except Exception as error:  # a plug-in's failure; its message may repeat an answer, and is not shown
        raise SpecError(
            f"{source}: the preset {source.preset!r} failed on these rows ({type(error).__name__}; --debug shows where)"
        ) from error


def _rows(
    source: Source, preset: FactPreset, parts: Sequence[Part], name: FactSet, *, download: bool
) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of every part that is there. What a set takes from another's part is the preset's business.

    Raises:
        SpecError: a part of the wanted set that is not optional is in none of its places.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        rows = _of_part(source.where, preset, part, download=download)
        if rows is not None:
            found[part.name] = list(preset.chosen(source.config or "", [row for _, row in rows]))
        elif part.set is name and not part.optional:
            raise SpecError(_absent(source, part))
    if not any(part.name in found for part in parts if part.set is name):
        raise SpecError(_absent(source, next(part for part in parts if part.set is name)))
    return found


def _of_part(folder: str, preset: FactPreset, part: Part, *, download: bool) -> Iterator[Placed] | None:
    """The rows of the first place where a part is found; None where there is none."""
    if folder:
        files = files_of(folder, part)
        return None if not files else (row for file in files for row in _read(str(file), preset))
    for dataset in _datasets(part):
        try:
            return read_rows(dataset, download=download)
        except MissingExtraError:
            raise
        except SpecError:
            continue
    return None


def _datasets(part: Part) -> list[str]:
    return [dataset for dataset in (part.dataset, *part.other_datasets) if dataset]


def _absent(source: Source, part: Part) -> str:
    if source.where:
        return f"{source}: {where_else(source.where, part)}"
    places = _datasets(part)
    if not places:
        return f"{source}: the benchmark is not on the hub; give the folder of its files (--data)"
    are = "are" if len(places) > 1 else "is"
    return (
        f"{source}: {' and '.join(places)} {are} not in the local cache; give the folder of its files (--data), or "
        "--download to fetch it"
    )
