"""The audits of the battery's benchmark: one attack on one organism each, so that every one stands alone."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from rich.console import Console

from benchmarks.battery.organisms import Organism
from benchmarks.battery.results import Home
from unlearn_audit.api import Profile
from unlearn_audit.audit.hops import audit
from unlearn_audit.audit.telling.progress import Lines
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.spec import AuditSpec

SCALES = {"quantization": {"quantizers": ["nf4", "fp4", "int8", "q4_0", "q8_0"]}}
"""Quantizers that come with the tool; those of extras are left to who has them."""

PROBES = {"recall": {"max_paraphrases": 0}, "utility": {}}
"""What asks under every attack, in one wording, and what tells a broken model."""


def spec_of(organism: Organism, profile: Profile, attack: str) -> AuditSpec:
    """One attack on one organism, beside the model as it is."""
    update = {
        "profile": profile,
        "attacks": {"as-is": {}, attack: SCALES.get(attack, {})},
        "probes": PROBES,
        "comparisons": {},
        "plant": False,
        "seeds": 1,
    }
    return organism.spec.model_copy(update=update)


def measure(home: Home, organism: Organism, attack: str) -> str:
    """One audit, unless it was made; jobs of the original and the controls are shared. A line that says how it went."""
    out = home.run(attack, organism.name)
    if (out / "result.json").is_file():
        return f"{attack} {organism.name}: there"
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    begun = time.monotonic()
    plan = make_plan(spec_of(organism, home.profile, attack))
    result = audit(plan, out, Lines(Console(stderr=True, width=140)), shared=home.store, formats=("json",))
    return f"{attack} {organism.name}: {result.outcome}, {time.monotonic() - begun:.0f} s"


def measured(home: Home) -> list[tuple[str, str, Path]]:
    """Attack, organism and result of every audit that was made."""
    found = sorted(home.parts.glob("*/*/result.json"))
    return [(path.parts[-3], path.parts[-2], path) for path in found]
