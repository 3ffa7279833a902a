"""Facts from whatever a source names, checked as a set, with one clear message for each error."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from unlearn_audit.api import Fact, FactSet
from unlearn_audit.api.problems import first_problem
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.digests import sha256_json
from unlearn_audit.evidence.records import DataRecord
from unlearn_audit.facts.benchmarks import benchmark_facts, set_of_file
from unlearn_audit.facts.columns import renamed, usual, with_subjects
from unlearn_audit.facts.forms import as_fields
from unlearn_audit.facts.readers.tables import LISTS
from unlearn_audit.facts.rows import read_rows
from unlearn_audit.facts.shapes import opened
from unlearn_audit.facts.spelling import folded, remarks, with_one_spelling
from unlearn_audit.facts.usual import FIELDS, meant, told
from unlearn_audit.spec.reading import Reading
from unlearn_audit.spec.sources import parse_source

_FACT = TypeAdapter(Fact)
_PART = re.compile(r"[a-z][a-z0-9]*(?:[ _-][a-z0-9]+){0,3}")
_LONGEST_PART = 40


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
        return self._digest

    @cached_property
    def _digest(self) -> str:
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
    row = {name: getattr(fact, name) for name in FIELDS}
    row["hops"] = [{"question": hop.question, "answer": hop.answer} for hop in fact.hops]
    return {name: value for name, value in row.items() if value not in (None, (), [])}


def load_facts(source: str, name: FactSet, reading: Reading | None = None) -> Facts:
    """A fact set from a file, a folder of `save_to_disk`, a datasets id, or a preset of a benchmark.

    Args:
        source: where from, as `spec.sources.parse_source` takes it apart. A datasets id (`owner/name[:config][@split]`)
            is read from the local cache.
        name: which set it is.
        reading: what its columns are called, and whom its rows are about. A preset knows both itself.

    Raises:
        SpecError: naming the file, the line and the remedy.
    """
    facts: list[Fact] = []
    used: dict[str, str] = {}
    taken: dict[str, str] = {}
    for place, fact in read_facts(source, name, reading or Reading(), taken):
        if folded(fact.id) in used:
            raise SpecError(
                f"{source}, {place}: id {fact.id!r} is already used in {used[folded(fact.id)]}; ids must be unique, "
                "whatever their case and blanks"
            )
        used[folded(fact.id)] = place
        facts.append(fact)
    if not facts:
        raise SpecError(f"{source}: expected at least one fact in the {name} set, found none")
    places = {fact.id: used[folded(fact.id)] for fact in facts}
    _check_clusters(facts, places, source)
    _check_answers(facts, places, source)
    said = [f"{source}: the columns were taken as they are usually meant: {told(taken)}"] if taken else []
    said += misplaced(source, name)
    said += remarks(facts, places, source, published=parse_source(source).preset is not None)
    return Facts(name=name, source=source, facts=with_one_spelling(facts), remarks=tuple(said))


def read_facts(
    source: str, name: FactSet, reading: Reading, taken: dict[str, str] | None = None
) -> Iterator[tuple[str, Fact]]:
    """The facts of a source one at a time, each with its place; each is looked at alone.

    Args:
        source: as `load_facts` takes it.
        name: which set it is.
        reading: what its columns are called, and whom its rows are about.
        taken: filled with the columns that have a usual name, and the fields that they were taken for.

    Raises:
        SpecError: a row is no fact, or the source cannot be read.
    """
    parsed = parse_source(source)
    rows: Iterable[tuple[str, Mapping[str, Any]]]
    if parsed.preset is None:
        lists = {column for field, column in reading.columns.items() if field in LISTS}
        read = read_rows(source, download=reading.download, lists=lists)
        named = usual(opened(read, source), reading, source, {} if taken is None else taken)
        rows = with_subjects(renamed(named, reading, source), reading, source)
    else:
        rows = benchmark_facts(parsed, name, download=reading.download)
    for place, row in rows:
        yield place, _fact(row, f"{source}, {place}")


def misplaced(source: str, name: FactSet) -> list[str]:
    """What to say of a benchmark's file that is published as what must stay, and is given as what must be gone."""
    if name is not FactSet.FORGET or set_of_file(parse_source(source)) is not FactSet.RETAIN:
        return []
    return [f"{source}: the benchmark has this file in its retain set, and here it is what must be gone; give --retain"]


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


def _fact(row: Mapping[str, Any], where: str) -> Fact:
    number = where.rpartition(" ")[2]
    try:
        fields = as_fields({key: value for key, value in row.items() if value is not None}, number)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error
    present = _as_passage(fields)
    if "subject" not in present and present.get("question"):
        present["subject"] = present["id"]  # said aloud (`spelling.remarks`)
    try:
        fact = _FACT.validate_python(present)
    except ValidationError as error:
        first = first_problem(error)
        if first.unknown:
            raise SpecError(
                f"{where}: unknown column {first.key!r}{meant(first.key)}; map it with `columns` in the spec (in "
                "`facts check`: --column FIELD=COLUMN); columns that a mapping does not name are left out"
            ) from error
        if first.missing and not present.keys() & {"question", "text"}:
            raise SpecError(
                f"{where}: expected a question and an answer, or a text; if your columns have other names, map them "
                "with `columns`"
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
    if fact.part is not None and not (_PART.fullmatch(fact.part) and len(fact.part) <= _LONGEST_PART):
        raise SpecError(  # it may name somebody
            f"{where}: expected `part` to be a lower-case word or two that names nobody, as `neighbours` or `shared`; "
            "results say it"
        )
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
