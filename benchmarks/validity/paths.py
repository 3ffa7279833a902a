"""Where the benchmark keeps things, and how it reaches the modules of the bundled organisms' builder."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ORGANISMS = ROOT / "examples" / "organisms"


def reach_organisms() -> None:
    """Lets `examples/organisms`, a folder of sibling modules that is run as a script, be imported from here."""
    if str(ORGANISMS) not in sys.path:
        sys.path.insert(0, str(ORGANISMS))


@cache
def code_digest() -> str:
    """The first twelve letters of a SHA-256 over the tool's source files: which code gave a verdict."""
    found = hashlib.sha256()
    for package in ("unlearn_audit", "attacks", "probes"):
        for path in sorted((ROOT / package).rglob("*.py")):
            found.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return found.hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Home:
    """The folder of everything that is built and measured; nothing of it is committed."""

    folder: Path

    def world(self, world: str) -> Path:
        """Facts, tokenizer and organisms of a world."""
        return self.folder / "zoo" / world

    def organism(self, world: str, name: str) -> Path:
        """One organism: weights, tokenizer and what it was measured to know."""
        return self.world(world) / name

    def run(self, world: str, name: str, battery: str) -> Path:
        """The run directory of an organism's audit by this tool."""
        return self.folder / "runs" / battery / world / name

    def store(self, world: str) -> Path:
        """The finished jobs that the audits of a world share."""
        return self.folder / "store" / world

    def answer(self, auditor: str, world: str, name: str) -> Path:
        """What an auditor said of an organism."""
        return self.folder / "answers" / auditor / world / f"{name}.json"

    def oracle(self, oracle: str, world: str, name: str) -> Path:
        """What an oracle reads out of an organism."""
        return self.folder / "oracle" / oracle / world / f"{name}.json"
