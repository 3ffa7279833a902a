"""Whether two audits say the same: `python -m benchmarks.same_audit OLD NEW`, two run directories.

For a change that must not alter what an audit finds: run `unlearn-audit demo --out OLD` before it and `--out NEW` after
it, on one machine. Outcome, findings and evidence must be equal; keys of jobs, names that changed and times may differ.
Exit code 0 where they are, else 1.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unlearn_audit.evidence.observations import evidence_digest
from unlearn_audit.evidence.old_names import OldName
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.report.formats.json import load_result
from unlearn_audit.verdict.result import Result

CLOSE = 1e-9


def differences(old: Result, new: Result) -> Iterator[str]:
    """A line for each thing that is not the same; sentences are not compared."""
    if old.outcome != new.outcome:
        yield f"outcome: {old.outcome} and {new.outcome}"
    if old.evidence_digest != new.evidence_digest:
        yield f"evidence: {old.evidence_digest[:12]} and {new.evidence_digest[:12]}"
    ours, theirs = ({one.id: one for one in result.verdict.findings} for result in (old, new))
    for name in sorted(ours.keys() ^ theirs.keys()):
        yield f"{name}: in one of them alone"
    for name in sorted(ours.keys() & theirs.keys()):
        for place in _unequal(ours[name].model_dump(mode="json"), theirs[name].model_dump(mode="json"), name):
            yield f"{place}: differs"


def _unequal(one: Any, other: Any, place: str) -> Iterator[str]:
    if place.rsplit(".", 1)[-1] in ("reason", "why"):
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from _unequal(one.get(key), other.get(key), f"{place}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _unequal(left, right, f"{place}[{number}]")
    elif isinstance(one, float | int) and isinstance(other, float | int):
        if not math.isclose(one, other, rel_tol=CLOSE, abs_tol=CLOSE):
            yield place
    elif one != other:
        yield place


def main() -> int:
    """Prints what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore", OldName)
    old, new = (load_result(run / "result.json") for run in (given.old, given.new))
    for run, result in ((given.old, old), (given.new, new)):
        if evidence_digest(EvidenceStore(run).gather(result.jobs)) != result.evidence_digest:
            raise SystemExit(f"{run}: the evidence is not the one that its result was made from")
    found = list(differences(old, new))
    print("\n".join(found) or f"the same: {new.outcome}, {len(new.verdict.findings)} findings, evidence equal")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
