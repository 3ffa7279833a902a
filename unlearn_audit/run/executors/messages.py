"""What the pool and its workers tell each other: values, which can be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.run.text_policy import KeptText

if TYPE_CHECKING:  # a worker loads nothing heavy before it has its post
    from unlearn_audit.run.jobs.workplace import Gathered
    from unlearn_audit.run.units import Unit


@dataclass(frozen=True, kw_only=True)
class Post:
    """Where and how a worker works.

    Attributes:
        run: the run directory, which worker and pool both see; `plan.json` in it is what the worker works by.
        shared: the store that runs share.
        directory: the working directory, from which relative paths of the plan start.
        token: a file of the run's scratch space, by which a worker makes sure that it sees the same directory.
        environment: variables that are set before anything heavy is imported.
        device: the kind of device that the keys of the jobs say.
        threads: the most that a model may use; None for as many as there are.
        cores: of this machine, those that are its own; None leaves it where it is.
    """

    run: Path
    shared: Path | None
    text: KeptText
    directory: Path
    token: str
    environment: Mapping[str, str]
    device: str
    threads: int | None
    cores: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """A unit to do.

    Attributes:
        known: what went wrong so far, for those that depend on it.
        present: keys of evidence that other workers left and that this unit reads.
    """

    unit: Unit
    known: Gathered
    present: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Told:
    """An event for whoever shows progress: a method of `runner.Progress`, and what it is called with."""

    event: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Noticed:
    """A notice for the user."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Done:
    """A unit was done: what went wrong in it, and the keys of the evidence that is kept now."""

    gathered: Gathered
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """What ends the run: an error of ours by the name of its type, or another one."""

    kind: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Died:
    """The worker ended before its unit was done."""

    how: str


Message = Told | Noticed | Done | Refused | Died
