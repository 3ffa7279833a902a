"""How long a run has still to go: by its forecast, corrected by what was measured so far in this run.

A job is cut into parts: each probe at each dose, and what the attack does itself. What a probe really takes, relative
to its forecast, is known once it has run, and corrects all that it has still to do; what has not run yet is corrected
by all that has. Without a forecast all jobs count alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from unlearn_audit.plan.plan import Job

if TYPE_CHECKING:
    from unlearn_audit.plan.forecasting.forecast import Forecast

OWN = ""
"""Stands for what an attack does itself, where else a probe is named."""
_DOUBT = 0.05
"""So much of the whole forecast weighs as much as the forecast's own word."""


class TimeLeft:
    """The seconds that a run has still to go."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[str, dict[str, float]] = {}
        self._known = False
        self._expected: dict[str, float] = {}
        self._taken: dict[str, float] = {}
        self._chunks: dict[str, dict[str, float]] = {}
        self._since = clock()

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """What is still to be done; all jobs alike, until there is a forecast."""
        finished = {job.key for job in done}
        self._left = {job.key: {OWN: 1.0} for job in jobs if job.key not in finished}
        self._since = self._clock()

    def forecast(self, found: Forecast) -> None:
        """How long each part of what is left takes, in seconds: from now on this is corrected."""
        known = {key: found.jobs[key] for key in self._left if key in found.jobs}
        self._left = {key: {OWN: one.own, **one.probes} for key, one in known.items()}
        self._known, self._expected, self._taken = True, {}, {}
        self._since = self._clock()

    def started(self, job: Job) -> None:
        """A job has begun: by its attack's own work, which goes on before each probe."""
        doses = max(1, job.arm.doses)
        parts = self._left.get(job.key, {}) if self._known else {}
        self._chunks[job.key] = {
            part: seconds / (doses * max(1, len(job.probes)) if part == OWN else doses)
            for part, seconds in parts.items()
        }
        if self._known:
            self._since = self._clock()
        else:
            self._note(OWN, 0.0)  # other jobs may be at work beside it

    def probing(self, job: Job) -> None:
        """A probe begins: until now the attack was at work."""
        self._spend(job, OWN)

    def probed(self, job: Job, probe: str) -> None:
        """A probe has measured a dose."""
        self._spend(job, probe)

    def finished(self, job: Job) -> None:
        """A job has ended: what it did not do is not done any more."""
        parts = self._left.pop(job.key, {})
        self._note(OWN, parts.get(OWN, 0.0))

    def seconds(self) -> float | None:
        """Seconds to go; None while nothing is known."""
        whole = sum(self._expected.values())
        if not self._known and not whole:
            return None
        left: dict[str, float] = {}
        for parts in self._left.values():
            for part, seconds in parts.items():
                left[part] = left.get(part, 0.0) + seconds
        doubt = _DOUBT * (sum(left.values()) + whole) if self._known else 0.0
        overall = (sum(self._taken.values()) + doubt) / max(whole + doubt, 1e-9)
        ahead = 0.0
        for part, seconds in left.items():
            known = self._expected.get(part, 0.0)
            ahead += seconds * (self._taken.get(part, 0.0) + doubt * overall) / max(known + doubt, 1e-9)
        return max(0.0, ahead - (self._clock() - self._since))

    def _spend(self, job: Job, part: str) -> None:
        """Takes off what was done of a part of a job."""
        parts = self._left.get(job.key, {})
        done = min(parts.get(part, 0.0), self._chunks.get(job.key, {}).get(part, 0.0))
        if done:
            parts[part] -= done
        self._note(part, done)

    def _note(self, part: str, expected: float) -> None:
        now = self._clock()
        part = part if self._known else OWN  # jobs that all count alike have no parts
        self._expected[part] = self._expected.get(part, 0.0) + expected
        self._taken[part] = self._taken.get(part, 0.0) + now - self._since
        self._since = now
