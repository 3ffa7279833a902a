"""What there is to see of a run at a moment: told by the run itself, or told again from its directory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Self

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.audit.telling.course import Course
from unlearn_audit.plan.case import Case
from unlearn_audit.plan.plan import Job, Plan
from unlearn_audit.verdict.policy.planned import under

if TYPE_CHECKING:
    from unlearn_audit.audit.telling.found_so_far import Leading
    from unlearn_audit.plan.forecasting.forecast import Forecast
    from unlearn_audit.run.progress import Work

_MOST_MESSAGES, _LONGEST = 50, 300


class State(StrEnum):
    """How it stands with a run."""

    PLANNED = "planned"
    RUNNING = "running"
    FINISHED = "finished"
    PART = "part finished"
    STOPPED = "interrupted"
    BROKEN = "ended by an error"
    GONE = "ended without a verdict"
    UNKNOWN = "on another machine"

    @property
    def is_over(self) -> bool:
        """Nothing more will come of it, unless it is begun again."""
        return self not in (State.PLANNED, State.RUNNING, State.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class About:
    """What a plan says of the matrix: its attacks, its measures with the deciding ones first, and the margin."""

    name: str
    attacks: tuple[str, ...]
    measures: tuple[str, ...]
    margin: float

    @classmethod
    def of(cls, plan: Plan, case: Case) -> Self:
        """Of a plan."""
        planned = [one for one in under(case, plan.spec.policy).planned if not one.any_of]
        planned.sort(key=lambda one: not one.gates)
        return cls(
            name=name_of(plan.spec.checkpoint),
            attacks=tuple(plan.attacks),
            measures=tuple(dict.fromkeys(f"{one.probe}.{one.measure}" for one in planned)),
            margin=plan.spec.policy.margin,
        )


def name_of(reference: str) -> str:
    """The end of a checkpoint's path."""
    return clean(PurePosixPath(reference.rstrip("/")).name or reference, 60) or "the checkpoint"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place of the matrix.

    Attributes:
        shown: mean of the checkpoint over facts, at the dose where it shows most beyond `controls`.
        under_way: jobs of the attack are running.
    """

    shown: float | None = None
    controls: float | None = None
    dose: str = ""
    under_way: bool = False


class Scene:
    """Hears what a run tells and has what a display shows.

    Attributes:
        course: where the run is.
        messages: the last of them, with the seconds of the clock at which they came.
        leading: where most has come back so far.
        state: how it stands with the run; `sentence` what the verdict says.
    """

    def __init__(self, about: About | None = None, clock: Callable[[], float] = time.time) -> None:
        self.about, self._clock = about, clock
        self.course = Course()
        self.messages: deque[tuple[float, str]] = deque(maxlen=_MOST_MESSAGES)
        self.leading: Leading | None = None
        self.state = State.PLANNED
        self.outcome = self.sentence = ""
        self.began = clock()
        self.seconds_left: tuple[float, float] | None = None
        self.jobs: dict[str, Job] = {}
        self.done: set[str] = set()
        self.faults = self.skips = 0
        self.running: dict[str, tuple[Job, str]] = {}

    @property
    def now(self) -> float:
        """What its clock says."""
        return self._clock()

    @property
    def left(self) -> float | None:
        """Seconds until the last job ends; None where nobody knows."""
        if self.seconds_left is not None:
            seconds, told = self.seconds_left
            return max(0.0, seconds - (self.now - told))
        return self.course.seconds_left

    def say(self, message: str) -> None:
        """A message."""
        self.messages.append((self.now, clean(message, _LONGEST)))

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """The run begins, or goes on."""
        self.course.begin(jobs, done)
        self.jobs = {job.key: job for job in jobs}
        self.done = {job.key for job in done}
        self.running.clear()
        self.faults = self.skips = 0
        self.state, self.began = State.RUNNING, self.now
        kept = f", {len(done)} already done" if done else ""
        self.say(f"{len(jobs)} jobs{kept}")

    def forecast(self, found: Forecast) -> None:
        """How long each job takes."""
        self.course.forecast(found)

    def kept(self, job: Job, doses: Mapping[str, Mapping[str, float]]) -> None:
        """What an earlier run found."""
        self.done.add(job.key)
        self.course.kept(job, doses)

    def started(self, job: Job) -> None:
        """A job runs."""
        self.course.started(job)
        self.running[job.key] = (job, "")

    def probing(self, job: Job, dose: str, probe: str) -> None:
        """A probe is at work."""
        self.course.probing(job, dose, probe)
        self._moved(job)

    def working(self, job: Job, work: Work) -> None:
        """How far it is."""
        self.course.working(work)
        self._moved(job)

    def probed(self, job: Job, dose: str, probe: str, scores: Mapping[str, float]) -> None:
        """What a probe has found."""
        self.course.probed(job, dose, probe, scores)
        if scores:
            self.say(f"{job.attack} on {job.model.name}: {self.course.found.told(job, dose, scores)}")

    def finished(self, job: Job, seconds: float, fault: str | None) -> None:
        """A job has ended."""
        self._ended(job)
        if fault:
            self.faults += job.plant is None
            self.say(f"error: {job.title}: {fault}")

    def skipped(self, job: Job, why: str) -> None:
        """A job cannot exist for this kind of model."""
        self._ended(job)
        self.skips += 1
        self.say(f"{job.title}: skipped: {why}")

    def lead(self, found: Leading) -> None:
        """Where most has come back so far."""
        self.leading = found

    def place(self, attack: str, measure: str) -> Place:
        """What is known in a place of the matrix."""
        under_way = any(job.attack == attack for job, _ in self.running.values())
        worst = self.course.found.worst(attack, measure)
        if worst is None:
            return Place(under_way=under_way)
        dose, who = worst
        return Place(shown=who.get("checkpoint"), controls=who.get("control"), dose=dose, under_way=under_way)

    def measures(self) -> list[str]:
        """Columns of the matrix: the plan's, of the forget set; or those that came, where there is no plan."""
        if self.about is not None:
            return list(self.about.measures)
        return [one for one in self.course.found.measures() if not one.startswith("utility.")]

    def attacks(self) -> list[tuple[str, int, int]]:
        """Rows of the matrix: an attack, how many of its jobs are done, of how many."""
        named = self.about.attacks if self.about is not None else ()
        names = dict.fromkeys([*named, *(job.attack for job in self.jobs.values())])
        own = {name: [key for key, job in self.jobs.items() if job.attack == name] for name in names}
        return [(name, sum(key in self.done for key in keys), len(keys)) for name, keys in own.items()]

    def retained(self) -> dict[str, float]:
        """Who answers how much of what must stay, as far as known."""
        probe = next((job for job in self.jobs.values() if "utility" in job.probes), None)
        worst = None if probe is None else self.course.found.worst(probe.attack, "utility.hit")
        return {} if worst is None else worst[1]

    def _ended(self, job: Job) -> None:
        self.course.finished(job)
        self.running.pop(job.key, None)
        self.done.add(job.key)

    def _moved(self, job: Job) -> None:
        self.running[job.key] = (job, self.course.place)
