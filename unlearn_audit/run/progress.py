"""Who is told how far a run is, and what it is told from inside a job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

from unlearn_audit.errors import AuditError
from unlearn_audit.models.batching import Budget
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.modules.tally import Tokens
from unlearn_audit.plan.forecasting.forecast import Forecast, forecast_on
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job, PlannedModel

TELL_EVERY = 0.5
"""Seconds between two words from inside a probe or a training, at least."""
LARGE, LONG = 10_000_000, 10.0
"""Weights of a model, and seconds of a run, from which on a forecast is worth the seconds that it takes itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """How far a job is.

    Attributes:
        seconds: since it began.
        tokens: that went through the model since then.
        done: prompts or answers of the list at hand that are computed, of so many; both 0 outside of any list.
    """

    seconds: float
    tokens: Tokens
    done: int = 0
    of: int = 0


class Progress(Protocol):
    """Who is told how far the run is."""

    def wants_forecast(self) -> bool:
        """Whether somebody would be told how long the run has still to go."""

    def forecast(self, found: Forecast) -> None:
        """How long each job takes, measured on a model of this run."""

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """All jobs of the plan, and those that earlier runs finished."""

    def kept(self, job: Job, doses: Mapping[str, Mapping[str, float]]) -> None:
        """What an earlier run measured in a job: mean scores by `probe.measure`, by dose."""

    def loading(self, model: PlannedModel) -> None:
        """A model is being loaded."""

    def preparing(self, attack: str) -> None:
        """An attack makes its choices on the original."""

    def started(self, job: Job) -> None:
        """A job has begun."""

    def probing(self, job: Job, dose: str, probe: str) -> None:
        """A probe begins to measure a dose."""

    def working(self, job: Job, work: Work) -> None:
        """Something goes on: a batch was computed, a step of a training was taken. Not more than twice a second."""

    def probed(self, job: Job, dose: str, probe: str, scores: Mapping[str, float]) -> None:
        """A probe has measured a dose, now or in an earlier run; mean scores by `probe.measure`."""

    def dose(self, job: Job, label: str, hits: Mapping[str, float]) -> None:
        """All probes have measured a dose; mean score by `probe.measure`."""

    def finished(self, job: Job, seconds: float, fault: str | None) -> None:
        """A job has ended, well or not."""

    def skipped(self, job: Job, why: str) -> None:
        """A job cannot exist for this kind of model."""


class Forecasting:
    """Makes the forecast of a run, once, on the first model with work to do, where it is worth it."""

    def __init__(self, live: LivePlan, progress: Progress) -> None:
        self._live, self._progress = live, progress
        self._begun, self._open = time.monotonic(), progress.wants_forecast()

    def __call__(self, engine: Engine) -> None:
        """Between two jobs; leaves no trace in the engine."""
        large = self._live.plan.models[-1].checkpoint.extent.weights >= LARGE
        if not self._open or not (large or time.monotonic() - self._begun >= LONG):
            return
        self._open = False
        apart = replace(engine, budget=Budget(tokens=engine.budget.tokens), memory=None)
        with suppress(AuditError, RuntimeError, ValueError):  # a run is not stopped by what only foretells it
            self._progress.forecast(forecast_on(self._live, apart))


class Following:
    """Tells of one job from its inside, and stops it where the user wants that."""

    def __init__(self, job: Job, engine: Engine, progress: Progress, stop_if_interrupted: Callable[[], None]) -> None:
        self._job, self._engine, self._progress, self._stop = job, engine, progress, stop_if_interrupted
        self._tokens, self._begun = engine.tally.tokens, time.monotonic()
        self._told = self._begun
        self._batch = (0, 0)
        self.doses: dict[str, dict[str, float]] = {}

    def began(self, dose: str, probe: str) -> None:
        """A probe begins."""
        self._stop()
        self._batch = (0, 0)
        self._progress.probing(self._job, dose, probe)

    def ended(self, dose: str, probe: str, means: Mapping[str, float]) -> None:
        """A probe has ended."""
        self._batch = (0, 0)
        self._progress.probed(self._job, dose, probe, means)

    def dose(self, dose: str, means: Mapping[str, float]) -> None:
        """All probes of a dose have."""
        self._stop()
        self.doses[dose] = dict(means)
        self._progress.dose(self._job, dose, means)

    def batch(self, done: int, of: int) -> None:
        """So much of a list is computed."""
        self._batch = (done, of)
        self.work()

    def work(self) -> None:
        """Tells how far it is, if it did not just do so."""
        now = time.monotonic()
        if now - self._told < TELL_EVERY:
            return
        self._told = now
        done, of = self._batch
        tokens = self._engine.tally.tokens - self._tokens
        self._progress.working(self._job, Work(seconds=now - self._begun, tokens=tokens, done=done, of=of))


@contextmanager
def followed(
    job: Job, engine: Engine, progress: Progress, stop_if_interrupted: Callable[[], None]
) -> Iterator[Following]:
    """Follows a job by its probes and batches; while it trains or searches, by what goes through the model."""
    following = Following(job, engine, progress, stop_if_interrupted)
    engine.tally.heard_by, engine.budget.told = following.work, following.batch
    try:
        yield following
    finally:
        engine.tally.heard_by = engine.budget.told = None
