"""Jobs without evidence, grouped by what stopped them: one line a cause, with the jobs that it hit and the remedy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from unlearn_audit.api.kit.printable import listed
from unlearn_audit.plan.case import FaultyJob

MOST_NAMED, _MOST_LISTED = 4, 3
_IN_A_FINDING = 300
"""Characters of a cause that a finding repeats; the verdict's own reasons have all of it."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_REMEDIES = (
    (
        r"out of memory|OutOfMemory|not enough memory|Cannot allocate memory",
        "process less at a time: --max-batch-tokens 1024, --dtype bfloat16 or --device-map auto",
    ),
    (r"No space left on device|Disk quota exceeded", "free disk space, or give an --out on another disk"),
    (r"Permission denied", "allow this user to read and write what it names"),
    (r"CUDA error|device-side assert", "rerun with --device cpu to see whether the device is at fault"),
    (r"No module named|ImportError|ModuleNotFoundError", "install what is missing; `unlearn-audit doctor` lists it"),
)
"""What to do about errors of libraries; errors of ours end with what to do."""


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What stopped some jobs.

    Attributes:
        message: as the first of the jobs met it.
        faults: the jobs.
    """

    message: str
    faults: tuple[FaultyJob, ...]

    @property
    def jobs(self) -> str:
        """`as-is on original, as-is on unlearned and 3 more`."""
        return listed(list(dict.fromkeys(name_of(fault) for fault in self.faults)), MOST_NAMED)

    @property
    def remedy(self) -> str | None:
        """What to do, where that is known and the message does not say it."""
        return next((remedy for pattern, remedy in _REMEDIES if re.search(pattern, self.message)), None)

    @property
    def line(self) -> str:
        """How many jobs it hit and which, what to do, where the tracebacks are, and the cause.

        The cause comes last: it may be long, and what a narrow format cuts off is the end.
        """
        number = "1 job" if len(self.faults) == 1 else f"{len(self.faults)} jobs"
        todo = f"; {self.remedy}" if self.remedy else ""
        return f"{number} gave no evidence: {self.jobs}{todo} (tracebacks: errors.log): {self.message}"


def name_of(fault: FaultyJob) -> str:
    """`quantization (nf4) on original`."""
    arm = ", ".join(filter(None, (fault.arm if fault.arm != fault.attack else "", fault.probe)))
    return f"{fault.attack} ({arm}) on {fault.model}" if arm else f"{fault.attack} on {fault.model}"


def causes_of(faults: Sequence[FaultyJob]) -> tuple[Cause, ...]:
    """The causes of some faults, in the order in which they came."""
    groups: dict[str, list[FaultyJob]] = {}
    for fault in faults:
        groups.setdefault(_kind(fault), []).append(fault)
    return tuple(Cause(message=group[0].message, faults=tuple(group)) for group in groups.values())


def crashes(faults: Sequence[FaultyJob]) -> tuple[str, ...]:
    """The same for one finding, in short."""
    lines = []
    for cause in causes_of(faults):
        message = cause.message
        short = message if len(message) <= _IN_A_FINDING else message[: _IN_A_FINDING - 3].rstrip() + "..."
        lines.append(f"no evidence from {cause.jobs}: {short}")
    return tuple(lines)


def some(lines: Sequence[str]) -> str:
    """The first few lines and the number of the rest."""
    rest = len(lines) - _MOST_LISTED
    return "; ".join(lines[:_MOST_LISTED]) + (f"; and {rest} more" if rest > 0 else "")


def _kind(fault: FaultyJob) -> str:
    """The message without numbers and without the job's own names, so that equal causes are equal."""
    text = fault.message
    for name in sorted({fault.model, fault.arm, fault.attack}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "*", text)
    return _NUMBER.sub("0", text)
