"""The section on the worst facts: those recovered most, by id only, without any text of a fact or an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.parts.numbers import NONE, count, percent
from unlearn_audit.report.parts.view import (
    Block,
    Code,
    Fold,
    Inline,
    Limits,
    Section,
    Table,
    number_columns,
    paragraph,
    text_columns,
)
from unlearn_audit.report.parts.words import place_of
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.report.sections.by_finding import code, numbers
from unlearn_audit.verdict.result import FactRecord, Finding, Result

_MOST = 25
_RELATION, _MOST_RELATIONS = 40, 6


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstFact:
    """A fact, where it came back most, and how many findings name it."""

    fact: FactRecord
    finding: Finding
    named_by: int

    @property
    def beyond(self) -> float:
        """U - C."""
        return self.fact.unlearned - self.fact.control


def worst_facts(findings: Sequence[Finding]) -> list[WorstFact]:
    """Every fact that some finding names: those that many name first, then by how far it lies above the control."""
    found: dict[str, list[tuple[FactRecord, Finding]]] = {}
    for finding in findings:
        for fact in finding.worst_facts:
            found.setdefault(fact.id, []).append((fact, finding))
    worst = []
    for several in found.values():
        fact, finding = max(several, key=lambda pair: pair[0].unlearned - pair[0].control)
        worst.append(WorstFact(fact=fact, finding=finding, named_by=len(several)))
    return sorted(worst, key=lambda one: (-one.named_by, -one.beyond, one.fact.id))


def section(result: Result, limits: Limits) -> Section:
    """The facts at the worst cells of what decides and did not pass."""
    worst = worst_facts(result.verdict.findings)
    naming = sum(bool(finding.worst_facts) for finding in result.verdict.findings)
    if not worst:
        failed = any(finding.gates and finding.status is Status.FAILED for finding in result.verdict.findings)
        nothing = paragraph(
            "A finding failed, but this result names no facts: an older version of the tool wrote it."
            if failed
            else "No fact is named: no deciding finding that did not pass shows a fact above its control."
        )
        return Section(id="facts", title="Worst facts", blocks=(nothing,), empty=True)
    shown = worst[: min(_MOST, limits.entries)]
    columns = (
        *text_columns("Fact", "Person", "Relation"),
        *number_columns("Findings"),
        *text_columns("Worst under", "At"),
        *number_columns("Checkpoint", "Control", "Original"),
    )
    table = Table(caption=("Worst facts",), columns=columns, rows=tuple(_row(one, result, limits) for one in shown))
    blocks: tuple[Block, ...] = (
        paragraph(
            "Those that the checkpoint shows furthest above its control at the worst cell, from "
            f"{count(naming, 'deciding finding')} that did not pass, at most ten facts each: {_counted(worst, result)}."
            " Ties are broken by id, so a fact that is not named may have been recovered as well."
        ),
        Fold(
            title=f"The {count(len(shown), 'fact')}, by id: look them up in the facts file",
            blocks=(table, *left_over(len(worst) - len(shown), "fact")),
        ),
    )
    return Section(id="facts", title="Worst facts", blocks=blocks)


def _counted(worst: Sequence[WorstFact], result: Result) -> str:
    """How many facts, of how many people, and of which relations, the most frequent first."""
    ids = [one.fact.id for one in worst]
    people = {result.case.subjects[each] for each in ids if each in result.case.subjects}
    relations = Counter(result.case.relations[each] for each in ids if each in result.case.relations)
    named = [f"{number} of {clean(name, _RELATION)}" for name, number in relations.most_common(_MOST_RELATIONS)]
    left = sum(relations.values()) - sum(number for _, number in relations.most_common(_MOST_RELATIONS))
    by_relation = "; by relation: " + ", ".join([*named, *([f"{left} of others"] if left else [])]) if named else ""
    of = f" of {count(len(people), 'person', 'people')}" if people else ""
    return f"{count(len(ids), 'fact')}{of}{by_relation}"


def _row(one: WorstFact, result: Result, limits: Limits) -> tuple[Inline, ...]:
    fact, cell = one.fact, one.finding.worst
    place = place_of(cell.dose, cell.variant, limits.text) if cell else NONE
    return (
        Code(clean(fact.id, limits.text)),
        _named(result.case.subjects, fact.id, limits),
        _named(result.case.relations, fact.id, limits),
        *numbers(str(one.named_by)),
        code(one.finding.id, limits),
        place,
        *numbers(percent(fact.unlearned), percent(fact.control), percent(fact.original)),
    )


def _named(names: Mapping[str, str], fact: str, limits: Limits) -> Inline:
    """The name that a fact has there, if any."""
    return Code(clean(names[fact], limits.text)) if fact in names else NONE
