"""Where the benchmark keeps things, and how it reaches the modules of the bundled organisms' builder."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ROOT = Path(__file__).parents[2]
ORGANISMS = ROOT / "examples" / "organisms"


def reach_organisms() -> None:
    """Lets `examples/organisms`, a folder of sibling modules that is run as a script, be imported from here."""
    if str(ORGANISMS) not in sys.path:
        sys.path.insert(0, str(ORGANISMS))


class Battery(StrEnum):
    """What a model is audited with; the folder of its audits."""

    QUICK = "runs"
    HARDER = "harder"


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

    def run(self, world: str, name: str, battery: Battery) -> Path:
        """The run directory of an organism's audit."""
        return self.folder / battery / world / name

    def store(self, world: str) -> Path:
        """The finished jobs that the audits of a world share."""
        return self.folder / "store" / world

    def oracle(self, world: str, name: str) -> Path:
        """What the oracle reads out of an organism."""
        return self.folder / "oracle" / world / f"{name}.json"
