"""What all comparisons share: the questions, the clock, and where results are kept."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import AutoModelForCausalLM

from unlearn_audit.models.engine import Engine
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import resolve
from unlearn_audit.spec.spec import ModelOptions

RESULTS = Path(__file__).with_name("results.json")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a comparison is run on.

    Attributes:
        checkpoint: a plain transformers directory with a chat template.
        questions: TOFU's rows, as JSON lines.
        dtype: of the weights on both sides.
        rows: how many questions, from the first on.
    """

    checkpoint: str
    questions: Path
    dtype: str
    rows: int

    def engine(self) -> Engine:
        """Our engine with the checkpoint."""
        return load(resolve(self.checkpoint), ModelOptions(device="cpu", dtype=self.dtype))  # type: ignore[arg-type]

    def plain(self) -> Any:
        """The checkpoint as transformers loads it for anyone, for the other side."""
        dtype = getattr(torch, self.dtype)
        return AutoModelForCausalLM.from_pretrained(self.checkpoint, dtype=dtype, local_files_only=True).eval()

    def pairs(self) -> list[tuple[str, str]]:
        """Questions with their answers."""
        return [(row["question"], row["answer"]) for row in self.all_rows()]

    def all_rows(self) -> list[dict[str, Any]]:
        """The rows with all their columns."""
        return [json.loads(line) for line in self.lines()]

    def lines(self) -> list[str]:
        """The rows as they stand in the file."""
        return self.questions.read_text(encoding="utf-8").splitlines()[: self.rows]


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Processor seconds of one thread, and what came out."""
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def alternately(ours: Callable[[], T], theirs: Callable[[], T], times: int) -> tuple[Sequence[float], Sequence[float]]:
    """Seconds of both, one after the other, so that other load meets both."""
    both: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for kept, work in zip(both, (ours, theirs), strict=True):
            kept.append(timed(work)[0])
    return both


def keep(name: str, row: dict[str, Any]) -> None:
    """Adds a result, or takes the place of the one of that name."""
    rows: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    rows[name] = {**row, "processor": _processor(), "torch": torch.__version__}
    RESULTS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(name, json.dumps(row), flush=True)


def _processor() -> str:
    name = "unknown"
    cpus = Path("/proc/cpuinfo")
    if cpus.is_file():
        names = [line.partition(":")[2].strip() for line in cpus.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    with_amx = bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
    return f"{name} ({platform.machine()}{', AMX' if with_amx else ''})"
