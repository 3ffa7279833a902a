"""`organisms.json`: what was built, how, and what it was measured to know. Written by the build, never by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes import Recipe, recipes

Entry = dict[str, Any]
WEIGHTS = "model.safetensors"


def file_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The entries on disk; every change is written at once, so that a killed build resumes where it was."""

    path: Path
    seed: int
    inputs: Mapping[str, str]

    def entries(self) -> dict[str, Entry]:
        """Entries by name, or none where seed or inputs (facts, tokenizer) are not those of this build."""
        if not self.path.is_file():
            return {}
        stored = json.loads(self.path.read_text(encoding="utf-8"))
        if stored["seed"] != self.seed or stored["inputs"] != dict(self.inputs):
            return {}
        return {entry["name"]: entry for entry in stored["organisms"]}

    def parent_of(self, recipe: Recipe) -> str | None:
        """The digest of the weights this organism starts from; none for one that is trained from scratch."""
        return self.entries()["original"]["sha256"] if recipe.role == "unlearned" else None

    def is_current(self, recipe: Recipe) -> bool:
        """Whether the organism on disk is the one that this recipe, this seed and this parent would give."""
        entry = self.entries().get(recipe.name)
        weights = self.path.parent / recipe.name / WEIGHTS
        return (
            entry is not None
            and entry["settings"] == recipe.settings
            and entry["parent_sha256"] == self.parent_of(recipe)
            and weights.is_file()
            and entry["sha256"] == file_digest(weights)
        )

    def record(self, recipe: Recipe, measured: Entry) -> None:
        """Put the organism into the ledger, in recipe order and in the place of any older one of that name."""
        entries = self.entries()
        entries[recipe.name] = {
            "name": recipe.name,
            "role": recipe.role,
            "made_by": recipe.made_by,
            "settings": recipe.settings,
            "parent_sha256": self.parent_of(recipe),
            "sha256": file_digest(self.path.parent / recipe.name / WEIGHTS),
            **measured,
        }
        places = {one.name: place for place, one in enumerate(recipes())}
        ordered = sorted(entries.values(), key=lambda entry: places.get(entry["name"], len(places)))
        document = {"seed": self.seed, "inputs": dict(self.inputs), "organisms": ordered}
        draft = self.path.with_suffix(".tmp")
        draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        draft.replace(self.path)
