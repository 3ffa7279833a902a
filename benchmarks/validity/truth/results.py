"""The small file of results that is committed: decided organisms, one a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.validity.truth.tabulation import Decided, Organism, Truth
from unlearn_audit.verdict.result import Outcome


def write_results(path: Path, quick: Sequence[Decided], harder: Sequence[Decided]) -> None:
    """The decided organisms of both batteries as JSON, one a line."""
    parts = (f'"{name}": [\n{_lines(decided)}\n]' for name, decided in (("quick", quick), ("harder", harder)))
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _lines(decided: Sequence[Decided]) -> str:
    return ",\n".join(json.dumps(asdict(one), ensure_ascii=False) for one in decided)


def read_results(path: Path) -> tuple[list[Decided], list[Decided]]:
    """What `write_results` wrote."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [_decided(row) for row in stored["quick"]], [_decided(row) for row in stored["harder"]]


def _decided(row: dict[str, Any]) -> Decided:
    organism = Organism(**{**row["organism"], "truth": Truth(row["organism"]["truth"])})
    return Decided(
        organism=organism,
        outcome=Outcome(row["outcome"]),
        failed=tuple(row["failed"]),
        deciding=row["deciding"],
        without={attack: Outcome(outcome) for attack, outcome in row["without"].items()},
        seconds=row["seconds"],
    )
