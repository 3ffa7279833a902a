"""What the audits found, attack by attack, as numbers that the page is written from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from unlearn_audit.api import Profile
from unlearn_audit.report.formats.json import load_result
from unlearn_audit.verdict.result import Finding, Result

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
        """The audits of one attack on one organism each."""
        return self.folder / self.profile / "parts"

    def run(self, attack: str, organism: str) -> Path:
        """One of them."""
        return self.parts / attack / organism


def collect(profile: Profile, measured: Iterable[tuple[str, str, Path]], honest: Iterable[str]) -> dict[str, Any]:
    """The numbers of all audits: attack -> organism -> what it brought back alone."""
    found: dict[str, dict[str, Any]] = {}
    versions: set[str] = set()
    for attack, organism, path in measured:
        result = load_result(path)
        versions.add(result.tool_version)
        found.setdefault(attack, {})[organism] = _alone(result, attack)
    return {"profile": profile, "versions": sorted(versions), "honest": sorted(honest), "attacks": found}


def write_results(path: Path, content: dict[str, Any]) -> None:
    """Writes the numbers, rounded, in a stable order."""
    path.write_text(json.dumps(_rounded(content), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _alone(result: Result, attack: str) -> dict[str, Any]:
    """What one attack says of one organism: its finding on hits, its cells, and the seconds that it took."""
    findings = [one for one in result.verdict.findings if one.attack == attack]
    hits = next((one for one in findings if f"{one.probe}.{one.measure}" == MEASURE and not one.any_of), None)
    jobs = [job for job in result.jobs if job.attack == attack and job.role == "unlearned"]
    return {
        "outcome": result.outcome,
        "seconds": sum(job.cost.processor_seconds for job in jobs if job.cost is not None),
        "failed": [one.id for one in findings if one.gates and one.status == "failed"],
        "faults": [f"{one.arm}: {one.message}" for one in result.case.faults if one.attack == attack],
        **({} if hits is None else _hits(hits)),
    }


def _hits(finding: Finding) -> dict[str, Any]:
    worst = finding.worst
    return {
        "status": finding.status,
        "recovered": finding.recovered,
        "cells": len(finding.cells),
        "above": sum(cell.excess.estimate > 0 for cell in finding.cells),
        "proven": [cell.dose for cell in finding.cells if cell.excess.lower > 0],
        **(
            {}
            if worst is None
            else {
                "dose": worst.dose,
                "unlearned": worst.unlearned,
                "original": worst.original,
                "control": fmean(worst.controls.values()),
            }
        ),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
