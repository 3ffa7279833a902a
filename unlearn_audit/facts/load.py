"""Reads facts from JSONL, CSV, Parquet or a datasets id, with column mapping and one clear message for each error."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from unlearn_audit.api import Fact, FactSet
from unlearn_audit.api.plugins import PRESETS, named
from unlearn_audit.api.preset import FactPreset, split_source
from unlearn_audit.api.problems import did_you_mean, first_problem
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.digests import sha256_json
from unlearn_audit.evidence.records import DataRecord
from unlearn_audit.facts.forms import as_fields
from unlearn_audit.facts.rows import read_rows
from unlearn_audit.facts.spelling import folded, remarks, with_one_spelling

_FACT = TypeAdapter(Fact)
_FIELDS = [field.name for field in fields(Fact)]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One fact set and where it came from.

    Attributes:
        remarks: what the user should know about its rows, without a name.
    """

    name: FactSet
    source: str
    facts: tuple[Fact, ...]
    remarks: tuple[str, ...] = ()

    def digest(self) -> str:
        """SHA-256 over all facts, in order."""
        return sha256_json([as_row(fact) for fact in self.facts])

    def record(self) -> DataRecord:
        """What was read, for the result; by digest, never the text."""
        return DataRecord(
            set=self.name,
            digest=self.digest(),
            facts=len(self.facts),
            subjects=len({folded(fact.subject) for fact in self.facts}),
        )


def as_row(fact: Fact) -> dict[str, Any]:
    """A fact as the JSON object that it is read from, absent fields left out."""
    row = {name: getattr(fact, name) for name in _FIELDS}
    row["hops"] = [{"question": hop.question, "answer": hop.answer} for hop in fact.hops]
    return {name: value for name, value in row.items() if value not in (None, (), [])}


def load_facts(source: str, name: FactSet, columns: Mapping[str, str] | None = None) -> Facts:
    """A fact set from a file (`.jsonl`, `.csv`, `.parquet`) or a datasets id (`owner/name[:config][@split]`).

    Args:
        source: where from; a datasets id is read from the local cache. `PRESET:SOURCE` reads the rows of a published
            benchmark through its preset.
        name: which set it is.
        columns: fact field -> column in the source, where they differ. A preset knows its own columns.

    Raises:
        SpecError: naming the file, the line and the remedy.
    """
    preset, where = split_source(source)
    rows = _rename(read_rows(where), columns or {}, source) if preset is None else _preset_rows(preset, where, source)
    facts: list[Fact] = []
    taken: dict[str, str] = {}
    for place, row in rows:
        fact = _fact(row, f"{source}, {place}")
        if folded(fact.id) in taken:
            raise SpecError(
                f"{source}, {place}: id {fact.id!r} is already used in {taken[folded(fact.id)]}; ids must be unique, "
                "whatever their case and blanks"
            )
        taken[folded(fact.id)] = place
        facts.append(fact)
    if not facts:
        raise SpecError(f"{source}: expected at least one fact in the {name} set, found none")
    places = {fact.id: taken[folded(fact.id)] for fact in facts}
    _check_clusters(facts, places, source)
    _check_answers(facts, places, source)
    return Facts(name=name, source=source, facts=with_one_spelling(facts), remarks=remarks(facts, places, source))


def _check_clusters(facts: Sequence[Fact], places: Mapping[str, str], source: str) -> None:
    """A subject is in one cluster, or in none.

    Raises:
        SpecError: two facts of one subject name different ones; by their lines, without the names.
    """
    first: dict[str, Fact] = {}
    for fact in facts:
        other = first.setdefault(folded(fact.subject), fact)
        if folded(other.cluster or "") != folded(fact.cluster or ""):
            raise SpecError(
                f"{source}, {places[fact.id]}: names another `cluster` than {places[other.id]}, for the same subject; "
                "give all facts of a subject the same one"
            )


def _check_answers(facts: Sequence[Fact], places: Mapping[str, str], source: str) -> None:
    """One question about one subject has one answer.

    Raises:
        SpecError: two facts give it different ones; by their lines, without the words.
    """
    first: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        if fact.question is None or fact.answer is None:
            continue
        other = first.setdefault((folded(fact.subject), folded(fact.question)), fact)
        answers = [{folded(text) for text in (one.answer or "", *one.aliases)} for one in (fact, other)]
        if answers[0].isdisjoint(answers[1]):
            raise SpecError(
                f"{source}, {places[fact.id]}: `answer` contradicts {places[other.id]}, which asks the same about the "
                "same subject; keep one, or give the other as an alias"
            )


def check_disjoint(forget: Facts, others: Sequence[Facts]) -> None:
    """Refuses fact sets that overlap: a fact cannot be both gone and kept.

    Raises:
        SpecError: naming both places; on a shared id, a shared question, or a subject of both sets, however spelled.
    """
    subjects = {folded(fact.subject) for fact in forget.facts}
    ids = {folded(fact.id) for fact in forget.facts}
    questions = {folded(fact.question) for fact in forget.facts if fact.question}
    for other in others:
        for fact in other.facts:
            shared = (
                f"the subject of {fact.id!r}"
                if folded(fact.subject) in subjects
                else f"id {fact.id!r}"
                if folded(fact.id) in ids
                else f"the question of {fact.id!r}"
                if fact.question and folded(fact.question) in questions
                else None
            )
            if shared:
                raise SpecError(
                    f"{other.source}: {shared} is also in {forget.source}; "
                    f"the forget and {other.name} sets must not overlap: remove it from one of them"
                )


def chance_levels(facts: Iterable[Fact]) -> dict[str, float]:
    """Fact id -> hit rate of the best constant answer to its relation: the share of the most common answer."""
    groups: dict[str | None, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.answer is not None:
            groups[fact.relation].append(fact)
    levels: dict[str, float] = {}
    for group in groups.values():
        commonest = Counter(folded((fact.aliases or (fact.answer or "",))[0]) for fact in group).most_common(1)[0][1]
        levels.update({fact.id: commonest / len(group) for fact in group})
    return levels


def _preset_rows(name: str, where: str, source: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a benchmark as its preset gives them, with a place in its facts for each."""
    preset = named(PRESETS, FactPreset, name, source)()  # type: ignore[type-abstract]
    rows = [row for _, row in read_rows(where)]
    try:
        yield from ((f"fact {number}", row) for number, row in enumerate(preset.facts(rows), 1))
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from error
    except Exception as error:  # a plug-in's failure; its message may repeat an answer, and is not shown
        raise SpecError(
            f"{source}: the preset {name!r} failed on these rows ({type(error).__name__}; --debug shows where)"
        ) from error


def _rename(
    rows: Iterable[tuple[str, dict[str, Any]]], columns: Mapping[str, str], source: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    unknown = sorted(set(columns) - set(_FIELDS))
    if unknown:
        raise SpecError(f"columns: {unknown[0]!r} is not a field of a fact{did_you_mean(unknown[0], _FIELDS)}")
    for place, row in rows:
        # One mapping is for all files of a spec: a file that calls a field by its own name needs none.
        named = {field: column for field, column in columns.items() if column in row or field not in row}
        absent = [column for column in named.values() if column not in row]
        if absent:
            raise SpecError(f"{source}, {place}: no column {absent[0]!r}{did_you_mean(absent[0], list(row))}")
        taken = set(named.values())
        kept = {key: value for key, value in row.items() if key not in taken and key in _FIELDS}
        # With an explicit mapping, other columns are the user's own business; without, they are mistakes.
        extra = {} if columns else {key: row[key] for key in row if key not in _FIELDS}
        yield place, {**kept, **extra, **{field: row[column] for field, column in named.items()}}


def _fact(row: Mapping[str, Any], where: str) -> Fact:
    number = where.rpartition(" ")[2]
    present = _as_passage(as_fields({key: value for key, value in row.items() if value is not None}, number))
    if "subject" not in present and present.get("question"):
        present["subject"] = present["id"]  # said aloud (`spelling.remarks`)
    try:
        fact = _FACT.validate_python(present)
    except ValidationError as error:
        first = first_problem(error)
        if first.unknown:
            hint = did_you_mean(first.key, _FIELDS)
            raise SpecError(
                f"{where}: unknown column {first.key!r}{hint}; map it with `columns` in the spec"
            ) from error
        if first.missing:
            raise SpecError(
                f"{where}: {first.key!r} is required; if your column has another name, map it with `columns`"
            ) from error
        raise SpecError(f"{where}: {first.key!r}: {first.message}") from error  # never the value: it may be the secret
    if not fact.subject.strip():
        raise SpecError(f"{where}: `subject` is empty; name whom or what the fact is about")
    if fact.given and not (fact.text or "").strip().startswith(fact.given.strip()):
        raise SpecError(f"{where}: expected a `text` that begins with what is `given`; give the whole text")
    if fact.text is None and (not (fact.question or "").strip() or not (fact.answer or "").strip()):
        raise SpecError(f"{where}: expected a question and an answer, or a text; add what is missing")
    return fact


def _as_passage(row: dict[str, Any]) -> dict[str, Any]:
    """A row that is a text alone: cut as MUSE has it (`prompt` and `gt`); without a subject it is its own document."""
    if row.keys() >= {"prompt", "gt"} and not row.keys() & {"question", "text", "given"}:
        prompt, rest = str(row.pop("prompt")), str(row.pop("gt"))
        blank = "" if prompt[-1:].isspace() or rest[:1].isspace() else " "
        row |= {"given": prompt.strip(), "text": prompt + blank + rest}
    if "text" in row and "question" not in row and "id" in row:
        row.setdefault("subject", str(row["id"]))
    return row
