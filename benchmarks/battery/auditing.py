"""The audits of the battery's benchmark. A spawned process finds its work here, and could not in `__main__`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.battery.results import HONEST, Home
from unlearn_audit.api import Profile
from unlearn_audit.audit import audit
from unlearn_audit.cli.telling.progress import Lines
from unlearn_audit.demo import organism_spec
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.verdict.result import Result

SCALES = {"quantization": {"quantizers": ["nf4", "fp4", "int8", "q4_0", "q8_0"]}}
"""Quantizers that come with the tool; those of extras are left to who has them."""

PROBES = ("recall", "forced-choice", "utility")
"""What asks under every attack, and what tells a broken model."""


def spec_of(name: str, profile: Profile, attacks: Sequence[str]) -> AuditSpec:
    """One organism against the original and the retrained models that it is not; with plants, found or not."""
    wanted = {attack: SCALES.get(attack, {}) for attack in ("as-is", *attacks)}
    update = {
        "profile": profile,
        "attacks": wanted,
        "probes": {probe: {} for probe in PROBES},
        "comparisons": {},
        "plant": name == HONEST[0],
        "seeds": 1,
    }
    return organism_spec(name).model_copy(update=update)


def run_attack(home: Home, attack: str, names: Sequence[str]) -> str:
    """One attack on every organism, for its jobs; the audits of all attacks find them done."""
    import torch

    torch.set_num_threads(1)
    for name in names:
        run_audit(home, name, [attack], home.parts / attack / name)
    return attack


def run_audit(home: Home, name: str, attacks: Sequence[str], out: Path) -> Result:
    """These attacks on one organism; what is in the shared store is not run again."""
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    progress = Lines(Console(stderr=True, width=140))
    return audit(make_plan(spec_of(name, home.profile, attacks)), out, progress, shared=home.store, formats=("json",))
