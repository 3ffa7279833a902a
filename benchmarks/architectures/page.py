"""docs/architectures.md, from `results.json`: architecture x attack, and why something was skipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results.json", HERE.parents[1] / "docs" / "architectures.md"
HEAD = "<!-- Written by benchmarks/architectures from its results.json. Do not edit. -->"
INTRO = """
A tiny random model of each architecture (2 layers, width 64, {transformers}) went through `doctor` and a whole
audit under fourteen attacks, full fine-tuning among them, with as little work as each can have.
The models know nothing, so the outcome is INCONCLUSIVE; what counts is that no attack breaks. A part of an attack that
cannot exist for a model is *skipped with its reason*: it is no ERROR, and it does not count as withstood.

`ran` means all parts of the attack; `part` and `skipped` are explained below the table. Nothing in the tool knows an
architecture by name: blocks are found by what they are seen to read and write, and weights by being a linear layer or
a stack of matrices. `python -m benchmarks.architectures` tries what is not in the table yet.
"""
VALUES = """
**Quantization by values**: the layers of these architectures are rounded like all others. bitsandbytes' own layers
cannot stand in their place (experts that are one tensor, a linear layer of the architecture's own, a weight that is
read without calling its layer), so the model computes with the values that the codes stand for: {names}.
"""


def page(results: Mapping[str, Any]) -> str:
    """The page."""
    found: Mapping[str, Any] = results["architectures"]
    attacks = sorted({attack for one in found.values() for attack in one["attacks"]})
    lines = [
        HEAD,
        "",
        f"# {len(found)} architectures",
        INTRO.format(transformers=f"transformers {results['transformers']}"),
        "| architecture | doctor | outcome | " + " | ".join(attacks) + " |",
        "|---|---|---|" + "---|" * len(attacks),
    ]
    for name, one in found.items():
        cells = [_cell(one["attacks"].get(attack)) for attack in attacks]
        lines.append(f"| {name} | {'ok' if one['doctor'] else 'broken'} | {one['outcome']} | {' | '.join(cells)} |")
    reasons = [line for name, one in found.items() for line in _reasons(name, one["attacks"])]
    lines += ["", "## Skipped, and why", "", *(reasons or ["Nothing was skipped."])]
    by_value = [name for name, one in found.items() if _by_value(one["attacks"])]
    if by_value:
        lines.append(VALUES.format(names=", ".join(by_value)).rstrip())
    return "\n".join(lines) + "\n"


def _cell(attack: Mapping[str, Any] | None) -> str:
    if attack is None:
        return "-"
    if attack["errors"]:
        return "**error**"
    if not attack["skipped"]:
        return "ran"
    return "part" if attack["ran"] else "skipped"


def _reasons(name: str, attacks: Mapping[str, Any]) -> list[str]:
    return [
        f"- **{name}**, {attack} ({', '.join(arms)}): {why}"
        for attack, one in attacks.items()
        for why, arms in {**one["skipped"], **one["errors"]}.items()
    ]


def _by_value(attacks: Mapping[str, Any]) -> bool:
    return any(kind.startswith("values of ") for kind in attacks.get("quantization", {}).get("layers", []))


def write() -> None:
    """Writes the page anew."""
    PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
