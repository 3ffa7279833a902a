"""What a place must offer where workers run. A further kind is a class that does this, and a line in `choice`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from unlearn_audit.run.executors.messages import Message, Post, Task


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a worker needs, by the plan.

    Attributes:
        device: the kind of device, `cuda` or `cpu` or another.
        spread: whether a model is spread over all devices that a worker has.
        bytes: memory for the largest model, and for what an attack makes of it meanwhile.
        threads: the most that is of use.
    """

    device: str
    spread: bool
    bytes: int
    threads: int | None


class Hired(Protocol):
    """A worker, as the pool sees it."""

    def assign(self, task: Task) -> None:
        """Gives it a unit; it has no other."""

    def end(self) -> None:
        """Ends it at once, whatever it does; it has ended on return."""


class Place(Protocol):
    """Where workers run."""

    def count(self, needs: Needs) -> int:
        """How many workers there will be; asked once, before the first is hired.

        Raises:
            SpecError: so many cannot be had that each has what it needs.
        """

    def hire(self, post: Post, number: int) -> Hired:
        """Starts a worker, counted from 0; one that takes the place of a dead one has its number."""

    def heard(self, hired: Sequence[Hired], seconds: float) -> Sequence[tuple[Hired, Message]]:
        """What workers said; waits for it, but not for much longer than so many seconds. A worker dies once."""

    def close(self) -> None:
        """Ends whatever it started besides the workers."""
