"""The small files of results that are committed: decided organisms and what auditors said of them, one a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.validity.auditing.contract import Answer, answer_of
from benchmarks.validity.truth.board import Judged
from benchmarks.validity.truth.tabulation import Decided, Organism, Truth
from unlearn_audit.verdict.result import Outcome


@dataclass(frozen=True, kw_only=True)
class Entered:
    """One organism with every auditor's answer, by the name of its row."""

    organism: Organism
    answers: Mapping[str, Answer]


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that the page is made from.

    Attributes:
        decided: battery of this tool -> its verdicts in detail.
        entered: what all auditors said.
    """

    decided: Mapping[str, Sequence[Decided]] = field(default_factory=dict)
    entered: Sequence[Entered] = ()

    def by_auditor(self) -> dict[str, list[Judged]]:
        """Auditor -> what it said, in the order in which they first come."""
        names = dict.fromkeys(name for one in self.entered for name in one.answers)
        return {
            name: [Judged(organism=o.organism, answer=o.answers[name]) for o in self.entered if name in o.answers]
            for name in names
        }


def write_results(path: Path, results: Results) -> None:
    """As JSON, an organism a line."""
    parts = [f'"{name}": [\n{_lines(decided)}\n]' for name, decided in results.decided.items()]
    parts.append(f'"entered": [\n{_lines(results.entered)}\n]')
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _lines(rows: Sequence[Any]) -> str:
    return ",\n".join(json.dumps(asdict(one), ensure_ascii=False) for one in rows)


def read_results(path: Path) -> Results:
    """What `write_results` wrote; the first zoo's file has no answers but its own."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    entered = [
        Entered(
            organism=_organism(row["organism"]),
            answers={name: answer_of(one) for name, one in row["answers"].items()},
        )
        for row in stored.pop("entered", ())
    ]
    return Results(decided={name: [_decided(row) for row in rows] for name, rows in stored.items()}, entered=entered)


def _organism(row: Mapping[str, Any]) -> Organism:
    return Organism(**{**row, "truth": Truth(row["truth"])})


def _decided(row: Mapping[str, Any]) -> Decided:
    return Decided(
        organism=_organism(row["organism"]),
        outcome=Outcome(row["outcome"]),
        failed=tuple(row["failed"]),
        deciding=row["deciding"],
        without={attack: Outcome(outcome) for attack, outcome in row["without"].items()},
        seconds=row["seconds"],
    )
