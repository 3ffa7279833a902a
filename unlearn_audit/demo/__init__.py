"""The bundled model organisms: small models whose truth is known, audited by the real pipeline."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from unlearn_audit.api import Profile
from unlearn_audit.api.problems import did_you_mean
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.files import read_json
from unlearn_audit.spec.spec import AuditSpec

ASSETS = Path(str(files(__name__) / "assets"))
CONTROLS = ("retrained-1", "retrained-2", "retrained-3")
ALIASES = {"retrained": "retrained-1"}
ATTACKS: dict[str, dict[str, Any] | None] = {
    "as-is": None,
    "quantization": None,
    "relearning": {"data": ["in-domain"], "learning_rates": {"lora": [3e-3]}, "steps": [0, 40, 160]},
}
PROBES = ("recall", "forced-choice", "extraction-strength", "utility")
"""One kind of relearning, at one rate where `quick` tries three. `benchmarks/battery` runs all attacks."""

BRIEF = {"quantization": {"quantizers": ["nf4", "int8"]}}
"""What the demo leaves out besides, to end within two minutes of two cores: formats that no policy asks for."""

SETS = ("forget", "retain", "holdout")
MOST_WORKERS = 4
"""Processes that share the demo on a CPU."""


def organisms() -> dict[str, str]:
    """Name -> how it was made, of every bundled model."""
    listed = read_json(ASSETS / "organisms.json")["organisms"]
    return {entry["name"]: entry["made_by"] for entry in listed}


def organism_lines() -> list[str]:
    """One line an organism, for `demo --checkpoint list`."""
    return [f"{name:20} {made}" for name, made in organisms().items()]


def demo_spec(name: str) -> AuditSpec:
    """What `unlearn-audit demo` runs: one fact of each person, of another relation in turn.

    Args:
        name: one of those that `unlearn-audit demo --checkpoint list` lists.

    Raises:
        SpecError: no bundled model has that name.
    """
    spec = organism_spec(name)
    return spec.model_copy(update={"attacks": {**(spec.attacks or {}), **BRIEF}, **brief_facts()})


def brief_facts() -> dict[str, str]:
    """The files of the facts that the demo asks, by the set's name."""
    return {name: str(ASSETS / "facts" / "brief" / f"{name}.jsonl") for name in SETS}


def organism_spec(name: str) -> AuditSpec:
    """The audit of one bundled organism, by all facts, against the original and two retrained controls.

    Raises:
        SpecError: no organism has that name.
    """
    name = ALIASES.get(name, name)
    known = organisms()
    if name not in known:
        raise SpecError(f"demo: unknown organism {name!r}{did_you_mean(name, [*known, *ALIASES])}")
    controls = [control for control in CONTROLS if control != name][:2]
    return AuditSpec(
        checkpoint=str(ASSETS / name),
        original=str(ASSETS / "original"),
        retrained=tuple(str(ASSETS / control) for control in controls),
        **{one: str(ASSETS / "facts" / f"{one}.jsonl") for one in SETS},
        profile=Profile.QUICK,
        attacks=dict(ATTACKS),
        probes=dict.fromkeys(PROBES),
        comparisons={},
    )
