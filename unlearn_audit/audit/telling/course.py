"""How a run goes: where it is, what it has found so far, and how long it has still to go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from unlearn_audit.audit.telling.found_so_far import FoundSoFar
from unlearn_audit.audit.telling.time_left import TimeLeft
from unlearn_audit.plan.plan import Job

if TYPE_CHECKING:
    from unlearn_audit.plan.forecasting.forecast import Forecast
    from unlearn_audit.run.progress import Work

HEARTBEAT = 30.0
"""Seconds between two lines of a log from inside a job, at least."""


class Course:
    """Hears what a run tells, and can say it in short.

    Attributes:
        found: so far.
        at: dose and probe at work; empty while an attack is.
        work: how far it is there, as far as that was told.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = TimeLeft(clock)
        self._beat = clock()
        self.found = FoundSoFar()
        self.at: tuple[str, str] = ("", "")
        self.work: Work | None = None
        self.all = self.done = 0

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """The jobs."""
        self.all, self.done = len(jobs), len(done)
        self._left.begin(jobs, done)

    def forecast(self, found: Forecast) -> None:
        """How long they take."""
        self._left.forecast(found)

    def kept(self, job: Job, doses: Mapping[str, Mapping[str, float]]) -> None:
        """What an earlier run measured."""
        for dose, scores in doses.items():
            self.found.add(job, dose, scores)

    def started(self, job: Job) -> None:
        """A job has begun."""
        self.at, self.work, self._beat = ("", ""), None, self._clock()
        self._left.started(job)

    def probing(self, job: Job, dose: str, probe: str) -> None:
        """A probe begins."""
        self.at, self.work = (dose, probe), None
        self._left.probing(job)

    def working(self, work: Work) -> None:
        """Something goes on."""
        self.work = work

    def probed(self, job: Job, dose: str, probe: str, scores: Mapping[str, float]) -> None:
        """A probe has ended."""
        self.found.add(job, dose, scores)
        self.at, self.work = ("", ""), None
        self._left.probed(job, probe)

    def finished(self, job: Job) -> None:
        """A job has ended, or is skipped."""
        self.done += 1
        self._beat = self._clock()
        self._left.finished(job)

    def beats(self) -> bool:
        """Whether it is time for a word from inside a job; then it counts as said."""
        due = self._clock() - self._beat >= HEARTBEAT
        if due:
            self._beat = self._clock()
        return due

    @property
    def seconds_left(self) -> float | None:
        """Until the last job ends; None while nothing is known."""
        return self._left.seconds()

    @property
    def left(self) -> str:
        """The same for people, or nothing."""
        seconds = self.seconds_left
        if seconds is None:
            return ""
        minutes = int(seconds) // 60
        clock = f"{minutes // 60}:{minutes % 60:02d}:{int(seconds) % 60:02d}" if minutes >= 60 else ""
        return f"~{clock or f'{minutes}:{int(seconds) % 60:02d}'} left"

    @property
    def place(self) -> str:
        """`nf4: recall, 120 of 400`; where an attack is at work, how many tokens it has trained on or read."""
        dose, probe = self.at
        told = f"{dose}: {probe}" if probe else "the attack is at work"
        if self.work is None:
            return told
        if probe and self.work.of:
            return f"{told}, {self.work.done} of {self.work.of}"
        tokens = self.work.tokens
        counts = ((tokens.trained, "trained"), (tokens.generated, "generated"), (tokens.read, "read"))
        spent = ", ".join(f"{count:,} tokens {what}" for count, what in counts if count)
        return told if probe or not spent else f"{told} ({spent})"
