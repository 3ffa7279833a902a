"""The small file of results that is committed: judged organisms, one a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.validity.tabulation import Judged, Organism, Truth
from unlearn_audit.verdict.result import Outcome


def write_results(path: Path, quick: Sequence[Judged], harder: Sequence[Judged]) -> None:
    """The judged organisms of both batteries as JSON, one a line."""
    parts = (f'"{name}": [\n{_lines(judged)}\n]' for name, judged in (("quick", quick), ("harder", harder)))
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _lines(judged: Sequence[Judged]) -> str:
    return ",\n".join(json.dumps(asdict(one), ensure_ascii=False) for one in judged)


def read_results(path: Path) -> tuple[list[Judged], list[Judged]]:
    """What `write_results` wrote."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [_judged(row) for row in stored["quick"]], [_judged(row) for row in stored["harder"]]


def _judged(row: dict[str, Any]) -> Judged:
    organism = Organism(**{**row["organism"], "truth": Truth(row["organism"]["truth"])})
    return Judged(
        organism=organism,
        outcome=Outcome(row["outcome"]),
        failed=tuple(row["failed"]),
        deciding=row["deciding"],
        without={attack: Outcome(outcome) for attack, outcome in row["without"].items()},
        seconds=row["seconds"],
    )
