"""`facts`: shows what was understood of facts, and writes them as the tool's own, for whoever has them."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.api import Fact, FactPreset, FactSet
from unlearn_audit.cli.common import Json, say
from unlearn_audit.cli.common import stdout as _stdout
from unlearn_audit.cli.network import Network
from unlearn_audit.errors import SpecError, require
from unlearn_audit.evidence.files import open_to_append
from unlearn_audit.spec.reading import Reading

app = typer.Typer(help="Look at facts before an audit, and write them as the tool's own.", no_args_is_help=True)


class Form(StrEnum):
    """What `convert` writes."""

    JSONL = "jsonl"
    LM_EVAL = "lm-eval"


Facts = Annotated[
    str, typer.Argument(metavar="FACTS", help="A facts file, a data set, PRESET:FILE, or the folder of a --preset.")
]
Preset = Annotated[
    str | None, typer.Option("--preset", help="The benchmark that the file or folder is of.", show_default=False)
]
Retain = Annotated[str | None, typer.Option("--retain", help="Facts that must stay, looked at as well.")]
Rows = Annotated[int | None, typer.Option("--subject-rows", min=1, help="So many rows each are about one subject.")]
Columns = Annotated[
    list[str] | None, typer.Option("--column", metavar="FIELD=COLUMN", help="What a column is called; repeatable.")
]
Download = Annotated[bool, typer.Option("--download", help="Fetch data sets that are not cached. Off by default.")]
_NEEDED = ("babel", "icu4py", "num2words", "opencc", "anyascii")


@app.command("check")
def check(
    context: typer.Context,
    source: Facts,
    preset: Preset = None,
    retain: Retain = None,
    subject_rows: Rows = None,
    column: Columns = None,
    every: Annotated[bool, typer.Option("--all", help="Show the key of every fact.")] = False,
    download: Download = False,
    json: Json = False,
) -> None:
    """Show what was understood: subjects, keys, doubles, overlaps, what each probe can use. Prints answers."""
    require("`facts check`", _NEEDED)
    asked = given(source, preset, retain, _reading(context, subject_rows, column, download=download))
    _check(asked, as_json=json, every=every)


@app.command("convert")
def convert(
    context: typer.Context,
    source: Facts,
    out: Annotated[Path, typer.Option("--out", help="File to write (.jsonl); a folder, where there are several sets.")],
    preset: Preset = None,
    retain: Retain = None,
    subject_rows: Rows = None,
    column: Columns = None,
    download: Download = False,
    to: Annotated[
        Form, typer.Option("--to", help="The tool's own lines, or a folder with tasks for lm-evaluation-harness.")
    ] = Form.JSONL,
) -> None:
    """Write facts as the tool's own JSON lines, one file for each set; or as tasks for lm-evaluation-harness."""
    asked = given(source, preset, retain, _reading(context, subject_rows, column, download=download))
    if to is Form.LM_EVAL:
        for name, count in convert_tasks(asked, out).items():
            say(f"wrote {out}: {count} facts; lm_eval --include_path {out} --tasks {name}")
        return
    for path, count in convert_facts(asked, out).items():
        say(f"wrote {path}: {count} facts")


def _reading(context: typer.Context, subject_rows: int | None, column: list[str] | None, *, download: bool) -> Reading:
    network = context.find_object(Network)
    if download and network is not None:
        network.open()
    pairs = [one.partition("=") for one in column or ()]
    if any(not sign or not name for field, sign, name in pairs):
        raise SpecError("--column: expected FIELD=COLUMN, e.g. question=Q")
    columns = {field: name for field, _, name in pairs}
    return Reading(columns=columns, subject_rows=subject_rows, download=download)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is looked at, as it was asked for.

    Attributes:
        sources: fact set -> where its facts are; one file counts as a forget set.
    """

    sources: Mapping[FactSet, str]
    reading: Reading = field(default_factory=Reading)

    def facts(self, name: FactSet, taken: dict[str, str] | None = None) -> Iterator[tuple[str, Fact]]:
        """The facts of a set with their places; `taken` is filled with columns under usual names, and their fields."""
        from unlearn_audit.facts.load import read_facts

        return read_facts(self.sources[name], name, self.reading, taken)


def given(source: str, preset: str | None, retain: str | None, reading: Reading) -> Given:
    """The sources that FACTS, `--preset` and `--retain` name: a benchmark in a folder has all of its sets.

    Raises:
        SpecError: there is no such preset, or its benchmark is not named although FACTS is a folder.
    """
    from unlearn_audit.api.plugins import PRESETS, named
    from unlearn_audit.spec.benchmarks import sets_of
    from unlearn_audit.spec.sources import benchmark_source, parse_source

    sources = {FactSet.FORGET: source}
    parsed = parse_source(source)
    if preset is not None and parsed.preset is None:
        if source and Path(source).expanduser().is_file():
            name, slash, _ = preset.partition("/")
            named(PRESETS, FactPreset, name, "preset")  # type: ignore[type-abstract]
            sources = {FactSet.FORGET: benchmark_source(preset, source) if slash else f"{name}:{source}"}
        else:
            sources = {FactSet(name): benchmark_source(preset, source) for name in sets_of(preset, source)}
    elif parsed.config is not None and not Path(parsed.where).expanduser().is_file():
        benchmark = f"{parsed.preset}/{parsed.config}" if parsed.config else str(parsed.preset)
        sources = {FactSet(name): source for name in sets_of(benchmark, parsed.where)}
    if retain is not None:
        sources[FactSet.RETAIN] = retain
    return Given(sources=sources, reading=reading)


def _check(asked: Given, *, as_json: bool, every: bool) -> None:
    """Prints what was understood of each set: counts, keys, what each probe can use, three examples.

    Raises:
        SpecError: the facts cannot be read, or there are none.
    """
    from unlearn_audit.cli.telling.facts_shown import Shown, document_of, show
    from unlearn_audit.facts.check import Understood

    sets: dict[FactSet, Shown] = {}
    for name, source in asked.sources.items():
        taken: dict[str, str] = {}
        found = Understood(asked.facts(name, taken))
        if not found.facts:
            raise SpecError(f"{source}: expected at least one fact in the {name} set, found none")
        shared = found.shared_with(sets[FactSet.FORGET].found) if sets else None
        sets[name] = Shown(name=name, source=source, found=found, shared=shared, taken=taken)
    if as_json:
        document = {name.value: document_of(one) for name, one in sets.items()}
        own = document.pop(FactSet.FORGET.value)
        whole = {**own, "sets": document} if document else own
        _stdout().out(json_module.dumps(whole, indent=2, ensure_ascii=False), highlight=False)
        return
    for one in sets.values():
        show(_stdout(), one, every=every)


def convert_facts(asked: Given, out: Path) -> dict[Path, int]:
    """Writes each set as JSON lines: one file, or a folder with one for each set of a benchmark.

    Returns:
        File -> facts.

    Raises:
        SpecError: the facts cannot be read, or a file is there already.
    """
    several = len(asked.sources) > 1
    if not several and out.suffix != ".jsonl":
        raise SpecError(f"{out}: expected a name that ends in .jsonl")
    targets = {name: out / f"{name}.jsonl" if several else out for name in asked.sources}
    taken = [path for path in targets.values() if path.exists()]
    if taken:
        raise SpecError(f"{taken[0]}: is there already; remove it, or give another --out")
    (out if several else out.parent).mkdir(parents=True, exist_ok=True)
    return {path: _write(path, asked.facts(name), asked.sources[name]) for name, path in targets.items()}


def convert_tasks(asked: Given, out: Path) -> dict[str, int]:
    """Writes each set as a task of lm-evaluation-harness, all into one folder.

    Returns:
        Task -> facts.

    Raises:
        SpecError: the facts cannot be read, or the folder has something in it.
    """
    from unlearn_audit.audit.harness import TASK, write_task

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(f"{out}: expected a new or an empty folder; remove it, or give another --out")
    return {
        TASK.format(name=name.value): write_task((fact for _, fact in asked.facts(name)), out, name.value)
        for name in asked.sources
    }


def _write(path: Path, facts: Iterator[tuple[str, Fact]], source: str) -> int:
    """Writes facts as they come, into a file that has its name once it is whole.

    Raises:
        SpecError: there are none.
    """
    from unlearn_audit.facts.load import as_row

    scratch, count = path.with_name(f".writing-{path.name}"), 0
    try:
        with open_to_append(scratch) as file:
            for _, fact in facts:
                file.write(json_module.dumps(as_row(fact), ensure_ascii=False).encode() + b"\n")
                count += 1
        if not count:
            raise SpecError(f"{source}: expected at least one fact, found none")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return count
