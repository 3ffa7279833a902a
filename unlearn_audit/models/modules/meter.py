"""Measures what a job costs: time by the clock and of the processor, the most memory at a time, and tokens."""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch

from unlearn_audit.evidence.costs import CostRecord
from unlearn_audit.models.modules.tally import Tally, Tokens

_PROCESS = Path("/proc/self")
_FORGET_PEAK = "5"
"""Written to `clear_refs`, has Linux measure the peak of the resident memory again (man 5 proc)."""


class Meter:
    """Measures from its making on.

    The peak of the memory is the process's since then. Where a system cannot do that, it is the process's since
    its start, which no job of it can be below.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._tokens: Tokens = tally.tokens
        self._begun, self._processor = time.monotonic(), processor_seconds()
        with suppress(OSError):
            (_PROCESS / "clear_refs").write_text(_FORGET_PEAK, encoding="ascii")
        for device in _devices():
            torch.cuda.reset_peak_memory_stats(device)

    def spent(self) -> CostRecord:
        """What was spent so far."""
        tokens = self._tally.tokens - self._tokens
        return CostRecord(
            seconds=round(time.monotonic() - self._begun, 3),
            processor_seconds=round(processor_seconds() - self._processor, 3),
            peak_bytes=_peak_bytes(),
            device_peak_bytes=max(map(torch.cuda.max_memory_allocated, _devices()), default=None),
            tokens_read=tokens.read,
            tokens_generated=tokens.generated,
            tokens_trained=tokens.trained,
        )


def processor_seconds() -> float:
    """Processor time of this process, all threads, and of those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _devices() -> range:
    used = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return range(torch.cuda.device_count() if used else 0)


def _peak_bytes() -> int:
    with suppress(OSError, StopIteration, ValueError):
        lines = (_PROCESS / "status").read_text(encoding="ascii", errors="replace").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else 1024 * peak)
