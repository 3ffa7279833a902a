"""Models whose truth is known, each with what it is audited against: the bundled ones, and those of any folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearn_audit.demo import ASSETS, CONTROLS, organism_spec
from unlearn_audit.spec.spec import AuditSpec

LEAKY = ("refusal", "nf4-masked", "npo", "gradient-difference")
"""Bundled checkpoints that may hold what they were to forget. What any attack brings back was there."""
LISTED = "organisms.json"
"""Names a folder's organisms: name -> `honest`, and the keys of a spec (`checkpoint`, `original`, `retrained`, ...)."""


@dataclass(frozen=True, kw_only=True)
class Organism:
    """One checkpoint to audit.

    Attributes:
        honest: it never met what must be gone, so that whatever fails it is wrong.
    """

    name: str
    honest: bool
    spec: AuditSpec


def bundled(facts: Path) -> list[Organism]:
    """The leaky ones, and each retrained model against the two others; asked one fact a subject (`one_a_subject`)."""
    asked = {name: str(one_a_subject(ASSETS / "facts" / f"{name}.jsonl", facts)) for name in ("forget", "retain")}
    return [
        Organism(
            name=name, honest=name in CONTROLS, spec=organism_spec(name).model_copy(update={**asked, "holdout": None})
        )
        for name in (*LEAKY, *CONTROLS)
    ]


def of_folder(folder: Path) -> list[Organism]:
    """The organisms of a folder, by its `organisms.json`; paths are relative to it."""
    listed: dict[str, dict[str, Any]] = json.loads((folder / LISTED).read_text(encoding="utf-8"))
    return [
        Organism(name=name, honest=bool(own.pop("honest")), spec=AuditSpec.model_validate(_placed(own, folder)))
        for name, own in listed.items()
    ]


def one_a_subject(source: Path, folder: Path) -> Path:
    """A file with one fact of each subject, its relations in turn: a third of the cost, and as many units."""
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    relations = sorted({row["relation"] for row in rows})
    chosen = []
    for place, subject in enumerate(dict.fromkeys(row["subject"] for row in rows)):
        own = [row for row in rows if row["subject"] == subject]
        wanted = relations[place % len(relations)]
        chosen.append(next((row for row in own if row["relation"] == wanted), own[0]))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / source.name
    target.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
    return target


def _placed(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    def here(value: Any) -> Any:
        return str(folder / value) if isinstance(value, str) and (folder / value).exists() else value

    return {key: [here(one) for one in value] if key == "retrained" else here(value) for key, value in spec.items()}
