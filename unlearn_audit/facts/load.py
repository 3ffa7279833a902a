"""Facts in: from JSONL, CSV, Parquet or a datasets id, with column mapping and one clear message for what is wrong."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from unlearn_audit.api import Fact, FactSet, Hop
from unlearn_audit.api.problems import did_you_mean, first_problem
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.digests import sha256_json
from unlearn_audit.evidence.records import DataRecord


class _HopRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    question: str
    answer: str


class _FactRow(BaseModel):
    """One line of a facts file (design, section 5)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    subject: str
    question: str | None = None
    answer: str | None = None
    aliases: tuple[str, ...] = ()
    paraphrases: tuple[str, ...] = ()
    wrong_answers: tuple[str, ...] = ()
    text: str | None = None
    relation: str | None = None
    hops: tuple[_HopRow, ...] = ()


_LISTS = ("aliases", "paraphrases", "wrong_answers", "hops")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One fact set and where it came from."""

    name: FactSet
    source: str
    facts: tuple[Fact, ...]

    @property
    def subjects(self) -> dict[str, str]:
        """Fact id -> subject."""
        return {fact.id: fact.subject for fact in self.facts}

    def digest(self) -> str:
        """SHA-256 over all facts, in order."""
        return sha256_json([as_row(fact) for fact in self.facts])

    def record(self) -> DataRecord:
        """What was read, for the result; by digest, never the text."""
        return DataRecord(
            set=self.name,
            digest=self.digest(),
            facts=len(self.facts),
            subjects=len(set(self.subjects.values())),
        )


def as_row(fact: Fact) -> dict[str, Any]:
    """A fact as the JSON object that it is read from, absent fields left out."""
    row = {name: getattr(fact, name) for name in _FactRow.model_fields}
    row["hops"] = [{"question": hop.question, "answer": hop.answer} for hop in fact.hops]
    return {name: value for name, value in row.items() if value not in (None, (), [])}


def load_facts(source: str, name: FactSet, columns: Mapping[str, str] | None = None) -> Facts:
    """A fact set from a file (`.jsonl`, `.csv`, `.parquet`) or a datasets id (`owner/name[:config][@split]`).

    Args:
        source: where from; a datasets id is read from the local cache.
        name: which set it is.
        columns: fact field -> column in the source, where they differ.

    Raises:
        SpecError: naming the file, the line and the remedy.
    """
    rows = _rename(_read(source), columns or {}, source)
    facts: list[Fact] = []
    lines: dict[str, str] = {}
    for place, row in rows:
        fact = _fact(row, f"{source}, {place}")
        if fact.id in lines:
            raise SpecError(
                f"{source}, {place}: id {fact.id!r} is already used in {lines[fact.id]}; ids must be unique"
            )
        lines[fact.id] = place
        facts.append(fact)
    if not facts:
        raise SpecError(f"{source}: no facts in it; the {name} set must not be empty")
    return Facts(name=name, source=source, facts=tuple(facts))


def check_disjoint(forget: Facts, others: Sequence[Facts]) -> None:
    """Refuses fact sets that overlap: a fact cannot be both gone and kept.

    Raises:
        SpecError: naming both places; on a shared id, a shared question, or a subject of both sets.
    """
    subjects = {fact.subject for fact in forget.facts}
    ids = {fact.id for fact in forget.facts}
    questions = {_folded(fact.question) for fact in forget.facts if fact.question}
    for other in others:
        for fact in other.facts:
            shared = (
                f"subject {fact.subject!r}"
                if fact.subject in subjects
                else f"id {fact.id!r}"
                if fact.id in ids
                else f"the question of {fact.id!r}"
                if fact.question and _folded(fact.question) in questions
                else None
            )
            if shared:
                raise SpecError(
                    f"{other.source}: {shared} is also in {forget.source}; "
                    f"the forget and {other.name} sets must not overlap: remove it from one of them"
                )


def chance_levels(facts: Iterable[Fact]) -> dict[str, float]:
    """Fact id -> hit rate of the best constant answer to its relation: the share of the commonest answer."""
    groups: dict[str | None, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.answer is not None:
            groups[fact.relation].append(fact)
    levels: dict[str, float] = {}
    for group in groups.values():
        commonest = Counter(_folded((fact.aliases or (fact.answer or "",))[0]) for fact in group).most_common(1)[0][1]
        levels.update({fact.id: commonest / len(group) for fact in group})
    return levels


def _folded(text: str | None) -> str:
    return " ".join((text or "").casefold().split())


def _read(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    path = Path(source).expanduser()
    if path.is_file():
        match path.suffix.lower():
            case ".jsonl" | ".json":
                return _read_jsonl(path)
            case ".csv" | ".tsv" | ".parquet":
                return _read_table(path)
        raise SpecError(f"{path}: expected .jsonl, .csv, .tsv or .parquet")
    if path.is_dir() or path.suffix or source.count("/") != 1:
        raise SpecError(f"{source}: no such file of facts")
    return _read_dataset(source)


def _read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SpecError(f"{path}, line {number}: not valid JSON ({error}); one object a line") from error
        if not isinstance(row, dict):
            raise SpecError(f"{path}, line {number}: expected a JSON object, one a line")
        yield f"line {number}", row


def _read_table(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, keep_default_na=False)
    except Exception as error:  # pandas and pyarrow raise many kinds for a damaged file
        raise SpecError(f"{path}: cannot be read as a table ({error})") from error
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
        raise SpecError(f"{path}, line {number}: {key} is not a JSON list ({error})") from error


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


def _rename(
    rows: Iterable[tuple[str, dict[str, Any]]], columns: Mapping[str, str], source: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    unknown = sorted(set(columns) - set(_FactRow.model_fields))
    if unknown:
        raise SpecError(
            f"columns: {unknown[0]!r} is no field of a fact{did_you_mean(unknown[0], list(_FactRow.model_fields))}"
        )
    for place, row in rows:
        absent = [column for column in columns.values() if column not in row]
        if absent:
            raise SpecError(f"{source}, {place}: no column {absent[0]!r}{did_you_mean(absent[0], list(row))}")
        taken = set(columns.values())
        kept = {key: value for key, value in row.items() if key not in taken and key in _FactRow.model_fields}
        # With an explicit mapping, other columns are the user's own business; without, they are mistakes.
        extra = {} if columns else {key: row[key] for key in row if key not in _FactRow.model_fields}
        yield place, {**kept, **extra, **{field: row[column] for field, column in columns.items()}}


def _fact(row: Mapping[str, Any], where: str) -> Fact:
    present = {key: value for key, value in row.items() if value is not None}
    try:
        parsed = _FactRow.model_validate(present)
    except ValidationError as error:
        first = first_problem(error)
        if first.unknown:
            hint = did_you_mean(first.key, list(_FactRow.model_fields))
            raise SpecError(
                f"{where}: unknown column {first.key!r}{hint}; map it with `columns` in the spec"
            ) from error
        if first.missing:
            raise SpecError(
                f"{where}: {first.key!r} is required; a column by another name is mapped with `columns`"
            ) from error
        raise SpecError(f"{where}: {first.key!r}: {first.message}") from error  # never the value: it may be the secret
    if parsed.text is None and (not (parsed.question or "").strip() or not (parsed.answer or "").strip()):
        raise SpecError(f"{where}: a fact needs a question and an answer, or a text")
    hops = tuple(Hop(question=hop.question, answer=hop.answer) for hop in parsed.hops)
    return Fact(**{**{name: getattr(parsed, name) for name in _FactRow.model_fields}, "hops": hops})
