"""What was understood of a set of facts, as a page for the terminal and as a document. Both repeat answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unlearn_audit.api import Fact, FactSet, Probe
from unlearn_audit.api.kit.printable import listed
from unlearn_audit.api.plugins import PROBES, build
from unlearn_audit.facts.check import Places, Understood, places_of
from unlearn_audit.facts.keys import Looked, looked_for, remarks_on
from unlearn_audit.facts.load import as_row, misplaced
from unlearn_audit.facts.spelling import remarks
from unlearn_audit.facts.usual import told
from unlearn_audit.plan.findings import unscorable
from unlearn_audit.spec.sources import parse_source

_EXAMPLES, _MOST_NAMED, _MOST_ROWS, _MOST_PROBED = 3, 5, 40, 400
"""Facts shown whole; relations and places named; rows of a table of single facts, unless all are asked for; facts that
probes are asked about."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One set as it is shown.

    Attributes:
        source: where it is from.
        shared: facts of it that are in the forget set as well, by id, question or subject; None for the forget set.
        taken: columns under usual names, and the fields that they were taken for.
    """

    name: FactSet
    source: str
    found: Understood
    shared: Places | None = None
    taken: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def facts(self) -> list[Fact]:
        """Those looked at closely."""
        return [fact for _, fact in self.found.sample]

    @cached_property
    def looked(self) -> list[Looked]:
        """What their answers are looked for by."""
        return list(looked_for(self.facts))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What their owner should know."""
        places = {fact.id: place for place, fact in self.found.sample}
        said = remarks(self.facts, places, "facts", published=self.published)
        said = (*misplaced(self.source, self.name), *said)
        return (*said, *remarks_on(self.looked, has_control=False))

    @property
    def published(self) -> bool:
        """Whether a preset read them, and says itself whom they are about."""
        return parse_source(self.source).preset is not None

    @property
    def places(self) -> dict[str, Places]:
        """What their owner should look at."""
        found = dict(places_of(self.found))
        return found if self.shared is None or not self.shared.count else {**found, "in_forget_set": self.shared}


def document_of(one: Shown) -> dict[str, Any]:
    """All of it, for machines."""
    found, facts = one.found, one.facts
    return {
        "count": found.facts,
        "subjects": len(found.subject_sizes),
        "fields": found.held,
        "taken": dict(one.taken),
        "relations": dict(found.relations.most_common()),
        "found": {name: {"count": of.count, "first": of.first} for name, of in one.places.items()},
        "probes": [{"measure": name, "can_score": count, "why_not": why} for name, count, why in _usable(facts)],
        "examples": [as_row(fact) for fact in facts[:_EXAMPLES]],
        "facts": [
            {
                "id": key.fact.id,
                "judged_by": key.way.value,
                "looked_for": key.texts,
                "by_chance": key.by_chance,
                "missing": key.missing,
            }
            for key in one.looked
        ],
        "remarks": one.remarks,
    }


_SAYS = {
    "without_subject": "questions without a subject: each counts as one; name it, or use --subject-rows or --preset",
    "as_published": "questions without a subject: each counts as one, because the benchmark's files name none",
    "same_id": "ids used before: refused by an audit",
    "repeated_question": "questions asked before, with the same answer",
    "other_answer": "questions asked before, with another answer: refused by an audit if they are about one subject",
    "in_forget_set": "facts whose id, question or subject is in the forget set: refused by an audit",
}


def show(console: Console, one: Shown, *, every: bool) -> None:
    """All of it, for people; the keys of a large set are cut unless `every` one is wanted."""
    found, facts = one.found, one.facts
    sampled = "" if len(facts) == found.facts else f" (looked at closely: {len(facts):,}, evenly spread)"
    _line(console, f"{one.name} set, {one.source}: {found.facts:,} facts{sampled}")
    console.print(_summary(one))
    console.print(_probes(facts))
    if one.looked:
        ways = Counter(key.way.value for key in one.looked)
        _line(console, f"\nAnswers are looked for: {', '.join(f'{way} {count:,}' for way, count in ways.items())}.")
        console.print(_keys(one.looked, every=every))
    for place, fact in found.sample[:_EXAMPLES]:
        _line(console, f"\n{place}: {json.dumps(as_row(fact), ensure_ascii=False)}")
    for remark in one.remarks:
        _line(console, f"Note: {remark}.")
    console.print()


def _says(one: Shown, what: str) -> str:
    return _SAYS["as_published" if what == "without_subject" and one.published else what]


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)


def _summary(one: Shown) -> Table:
    found, sizes = one.found, one.found.subject_sizes
    each = f", at most {sizes.max():,} facts each" if sizes.max() > 1 else ", a fact each"
    relations = [f"{relation} ({count:,})" for relation, count in found.relations.most_common()]
    held = [f"{field} {count:,}" for field, count in found.held.items() if field not in ("id", "subject")]
    rows = [
        ("subjects", f"{len(sizes):,}{each}"),
        ("relations", listed(relations, _MOST_NAMED) if relations else "none: probes that need twins have none"),
        ("fields", ", ".join(held)),
        *((("columns", f"taken as usual: {told(one.taken)}"),) if one.taken else ()),
        *(
            ("found", f"{places.count:,} {_says(one, what)} ({listed(places.first, _MOST_NAMED)})")
            for what, places in one.places.items()
        ),
    ]
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, text in rows:
        table.add_row(name, escape(text))
    return table


def _usable(facts: Sequence[Fact]) -> Iterator[tuple[str, str, str]]:
    """Each measure of a probe of the forget set, how many facts it can score, and why not the others."""
    probes = build(PROBES, Probe, None, "probes")  # type: ignore[type-abstract]
    mine = {name: probe for name, probe in probes.items() if probe.reads is FactSet.FORGET}
    facts = facts[:_MOST_PROBED]
    outlooks = {name: dict(probe.outlook(facts)) for name, probe in mine.items()}
    without = unscorable(facts, mine, outlooks)
    for name, probe in mine.items():
        for measure in probe.measures:
            missing = without.get((name, measure.name), {})
            why = Counter(missing.values()).most_common(1)
            count = f"{len(facts) - len(missing):,} of {len(facts):,}"
            yield f"{name}.{measure.name}", count, why[0][0] if why else ""


def _probes(facts: Sequence[Fact]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("measure", "can score", "why not the others, mostly"):
        table.add_column(column, overflow="fold")
    for name, count, why in _usable(facts):
        table.add_row(name, count, escape(why))
    return table


def _keys(found: Sequence[Looked], *, every: bool) -> Table:
    """What answers are looked for by: weak ones first, unless all are shown."""
    shown = list(found)
    if not every and len(found) > _MOST_ROWS:
        shown = sorted(found, key=lambda one: (one.missing is None, not one.by_chance))[:_MOST_ROWS]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("fact", "judged by", "looked for"):
        table.add_column(column, overflow="fold")
    for one in shown:
        mark = " (any text may hold it)" if one.by_chance else ""
        joint = " + " if one.way.value.endswith("sentence") else " | "
        table.add_row(escape(one.fact.id), one.way.value, escape((one.missing or joint.join(one.texts)) + mark))
    if len(shown) < len(found):
        table.add_row("...", "", f"{len(found) - len(shown):,} more; --all shows each")
    return table
