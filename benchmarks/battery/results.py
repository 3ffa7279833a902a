"""What the audits found, attack by attack, as numbers that the page is written from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from unlearn_audit.api import Profile
from unlearn_audit.report.formats.json import load_result
from unlearn_audit.verdict.result import CellEstimate, Finding, Result

MASKED = ("refusal", "nf4-masked")
HONEST = ("retrained-1", "retrained-2", "retrained-3")
MEASURE = "recall.hit"


@dataclass(frozen=True, kw_only=True)
class Home:
    """The folder of everything that is measured; nothing of it is committed."""

    folder: Path
    profile: Profile

    @property
    def store(self) -> Path:
        """The finished jobs that all audits share."""
        return self.folder / "store"

    @property
    def parts(self) -> Path:
        """The audits of one attack each."""
        return self.folder / self.profile / "parts"

    def run(self, name: str) -> Path:
        """The audit of one organism by all attacks."""
        return self.folder / self.profile / name


def collect(home: Home, names: Sequence[str]) -> dict[str, Any]:
    """The numbers of all audits: organism -> attack -> what it brought back, and the honest models' estimates."""
    results = {name: load_result(home.run(name) / "result.json") for name in names}
    return {
        "profile": home.profile,
        "versions": next(iter(results.values())).versions,
        "outcomes": {name: result.outcome for name, result in results.items()},
        "faults": [
            f"{name}: {fault.attack} {fault.arm} on {fault.model}: {fault.message}"
            for name, result in results.items()
            for fault in result.case.faults
        ],
        "attacks": {name: {one["attack"]: one for one in _recovery(result)} for name, result in results.items()},
        "plants": _plants(results[HONEST[0]]) if HONEST[0] in results else {},
        "honest": _honest([results[name] for name in HONEST if name in results]),
        "seconds": _seconds(results),
    }


def write_results(path: Path, content: dict[str, Any]) -> None:
    """Writes the numbers, rounded, in a stable order."""
    path.write_text(json.dumps(_rounded(content), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _recovery(result: Result) -> Iterator[dict[str, Any]]:
    for finding in result.verdict.findings:
        if f"{finding.probe}.{finding.measure}" == MEASURE and not finding.any_of and finding.worst is not None:
            yield {
                "attack": finding.attack,
                "status": finding.status,
                "dose": finding.worst.dose,
                "unlearned": finding.worst.unlearned,
                "original": finding.worst.original,
                "control": fmean(finding.worst.controls.values()),
                "recovered": finding.recovered,
                "cells": len(finding.cells),
            }


def _plants(result: Result) -> dict[str, Any]:
    """Attack -> plant -> the share of what was hidden that it brought back."""
    found: dict[str, Any] = {}
    for finding in result.verdict.findings:
        if f"{finding.probe}.{finding.measure}" == MEASURE and not finding.any_of and finding.power is not None:
            found[finding.attack] = {plant.name: plant.found for plant in finding.power.plants}
    return found


def _honest(results: Sequence[Result]) -> dict[str, Any]:
    """Over all honest models, attack by attack: cells whose estimate lies above the margin, and findings that FAIL."""
    tally: dict[str, dict[str, int]] = {}
    for finding in _gating(results):
        row = tally.setdefault(finding.attack, {"cells": 0, "above": 0, "findings": 0, "failed": 0})
        row["findings"] += 1
        row["failed"] += finding.status == "failed"
        row["cells"] += len(finding.cells)
        row["above"] += sum(map(_is_above, finding.cells))
    return tally


def _gating(results: Sequence[Result]) -> Iterator[Finding]:
    return (finding for result in results for finding in result.verdict.findings if finding.gates)


def _is_above(cell: CellEstimate) -> bool:
    return cell.excess.estimate > 0


def _seconds(results: dict[str, Result]) -> dict[str, float]:
    """Attack -> mean seconds on one organism, over those that were audited for being masked."""
    masked = [result for name, result in results.items() if name in MASKED]
    spent: dict[str, float] = {}
    for result in masked:
        for job in result.jobs:
            if job.role == "unlearned":
                spent[job.attack] = spent.get(job.attack, 0.0) + job.seconds / len(masked)
    return spent


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
