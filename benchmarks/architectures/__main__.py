"""Audits a tiny model of each architecture with the default attacks, and keeps what ran and what was skipped.

    python -m benchmarks.architectures [NAME ...] [--again]

Adds to `results.json` and writes docs/architectures.md from it. An architecture that is there is run again only where
it is named, or with `--again`. The models know nothing: what counts is that each attack runs or says
why it cannot.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import __version__ as transformers_version

from benchmarks.architectures.page import RESULTS, write
from unlearn_audit.audit.hops import audit
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.cli.commands.doctor import examine
from unlearn_audit.demo import ASSETS
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.testing.architectures import CONFIGS
from unlearn_audit.testing.models import tiny_module, tiny_tokenizer
from unlearn_audit.verdict.result import Result

SUBJECTS, FACTS = 4, 1
BASELINE = "as-is"
KEYS = ("id", "subject", "question", "answer", "relation")
_TEXT = {"steps": [1], "width": 4, "length": 4}
SPARING: dict[str, dict[str, Any]] = {
    "ablation": {},
    "best-of-n": {"counts": [2]},
    "latent": {"steps": [1]},
    "few-shot": {},
    "noise": {"sigmas": [0.2]},
    "prefill": {},
    "prompt-search": {"queries": [8], "population": 4},
    "pruning": {"questions": 4},
    "quantization": {},
    "relearning": {"data": ["in-domain"], "methods": ["lora", "full"], "steps": [1]},
    "soft-prompt": {"steps": [1]},
    "steering": {},
    "suffix": _TEXT,
    "suffix-answer": _TEXT,
}
"""Attacks with as little work as each can have."""


def main() -> None:
    """Runs what is missing, one architecture after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    found = kept.setdefault("architectures", {})
    kept["transformers"] = transformers_version
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in asked.names or CONFIGS:
        if name in found and not asked.again and not asked.names:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            found[name] = tried(name, Path(scratch))
        kept["architectures"] = {one: found[one] for one in CONFIGS if one in found}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        write()
        print(name, found[name]["outcome"], json.dumps(found[name]["attacks"]), flush=True)


def tried(name: str, where: Path, attacks: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    """What `doctor` and an audit make of a tiny model, under `SPARING` unless other attacks are given."""
    checkpoint = where / "checkpoint"
    tokenizer = tiny_tokenizer()
    tiny_module(name, len(tokenizer)).save_pretrained(checkpoint)  # type: ignore[operator]
    tokenizer.save_pretrained(checkpoint)
    console = Console(file=StringIO())
    healthy = examine(console, str(checkpoint), None)
    spec = AuditSpec.model_validate(
        {
            "checkpoint": str(checkpoint),
            "forget": str(_facts(where, "forget")),
            "retain": str(_facts(where, "retain")),
            "profile": "quick",
            "attacks": SPARING if attacks is None else attacks,
            "probes": {"recall": {}},
            "comparisons": {},
            "models": {"device": "cpu"},
        }
    )
    result = audit(make_plan(spec), where / "run", Quiet(console), formats=["json"])
    return {"doctor": healthy, "outcome": result.outcome.value, "attacks": _by_attack(result)}


def _facts(where: Path, name: str) -> Path:
    rows = [json.loads(line) for line in (ASSETS / "facts" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    people = list(dict.fromkeys(row["subject"] for row in rows))[:SUBJECTS]
    chosen = [row for who in people for row in [one for one in rows if one["subject"] == who][:FACTS]]
    path = where / f"{name}.jsonl"
    short = [{key: row[key] for key in KEYS} for row in chosen]
    path.write_text("\n".join(map(json.dumps, short)), encoding="utf-8")
    return path


def _by_attack(result: Result) -> dict[str, dict[str, Any]]:
    """Attack -> how many jobs ran, the reasons of those that were skipped, and the errors."""
    found: dict[str, dict[str, Any]] = {}
    for job in result.jobs:
        if job.attack != BASELINE:
            one = found.setdefault(job.attack, {"ran": 0, "skipped": {}, "errors": {}})
            one["ran"] += job.status == "done"
            kinds = {kind for proof in job.proof.values() for kind in dict(proof.get("layer_types", {}))}  # type: ignore[call-overload]
            if kinds:
                one["layers"] = sorted({*one.get("layers", []), *kinds})
    for fault in result.case.faults:
        if fault.attack in found:
            kept = found[fault.attack]["skipped" if fault.skipped else "errors"]
            kept.setdefault(fault.message, []).append(fault.arm)
    return found


if __name__ == "__main__":
    main()
