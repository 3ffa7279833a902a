"""How far the run is: a live display on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from threading import RLock
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.live import Live as Display
from rich.markup import escape

from unlearn_audit.api import Role
from unlearn_audit.api.kit.printable import clean
from unlearn_audit.audit.telling.board import board
from unlearn_audit.audit.telling.course import Course
from unlearn_audit.audit.telling.scene import About, Scene
from unlearn_audit.evidence.records import JobRecord
from unlearn_audit.plan.plan import Job, PlannedModel

if TYPE_CHECKING:
    from unlearn_audit.audit.telling.found_so_far import Leading
    from unlearn_audit.plan.forecasting.forecast import Forecast
    from unlearn_audit.run.progress import Progress as Progress_
    from unlearn_audit.run.progress import Work

_LONGEST_LINE = 400


class Quiet:
    """Prints only faults."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def wants_forecast(self) -> bool:
        """Nobody is told."""
        return False

    def forecast(self, found: Forecast) -> None:
        """Nothing."""

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """Nothing."""

    def kept(self, job: Job, doses: Mapping[str, Mapping[str, float]]) -> None:
        """Nothing."""

    def loading(self, model: PlannedModel) -> None:
        """Nothing."""

    def preparing(self, attack: str) -> None:
        """Nothing."""

    def started(self, job: Job) -> None:
        """Nothing."""

    def probing(self, job: Job, dose: str, probe: str) -> None:
        """Nothing."""

    def working(self, job: Job, work: Work) -> None:
        """Nothing."""

    def probed(self, job: Job, dose: str, probe: str, scores: Mapping[str, float]) -> None:
        """Nothing."""

    def dose(self, job: Job, label: str, hits: Mapping[str, float]) -> None:
        """Nothing."""

    def finished(self, job: Job, seconds: float, fault: str | None) -> None:
        """A fault is always printed. A plant that could not be made is not a fault: the report says so."""
        if fault and job.plant is None:
            self._console.print(f"[red]error[/red] {escape(job.title)}: {escape(fault)}", highlight=False)

    def skipped(self, job: Job, why: str) -> None:
        """Nothing: the report lists it."""


class Following(Quiet):
    """Follows how a run goes, for those who tell it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._course = Course()

    def wants_forecast(self) -> bool:
        """Somebody is told."""
        return True

    def forecast(self, found: Forecast) -> None:
        """How long each job takes."""
        self._course.forecast(found)

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """How many jobs there are, and how many an earlier run did."""
        self._course.begin(jobs, done)

    def kept(self, job: Job, doses: Mapping[str, Mapping[str, float]]) -> None:
        """What that run found."""
        self._course.kept(job, doses)

    def started(self, job: Job) -> None:
        """The running job."""
        self._course.started(job)

    def probing(self, job: Job, dose: str, probe: str) -> None:
        """The running probe."""
        self._course.probing(job, dose, probe)
        self._moved(job)

    def working(self, job: Job, work: Work) -> None:
        """How far it is."""
        self._course.working(work)
        self._moved(job)

    def probed(self, job: Job, dose: str, probe: str, scores: Mapping[str, float]) -> None:
        """What it has found."""
        self._course.probed(job, dose, probe, scores)
        self._moved(job)

    def finished(self, job: Job, seconds: float, fault: str | None) -> None:
        """A fault is always printed."""
        self._course.finished(job)
        super().finished(job, seconds, fault)

    def skipped(self, job: Job, why: str) -> None:
        """One less to do."""
        self._course.finished(job)

    def _moved(self, job: Job) -> None:
        """Something went on inside a job."""


class Lines(Following):
    """Few plain lines, for logs: the beginning and the end of each job, and in between a heartbeat now and then."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._latest: dict[str, str] = {}  # by job: several may run at once

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """How many jobs there are, and how many an earlier run did."""
        super().begin(jobs, done)
        kept = f", {len(done)} already done" if done else ""
        self._say(f"{len(jobs)} jobs{kept}")

    def loading(self, model: PlannedModel) -> None:
        """Which model comes next."""
        self._say(f"loading {model.name}: {model.checkpoint.reference}")

    def preparing(self, attack: str) -> None:
        """Which attack prepares."""
        self._say(f"{attack}: preparing on the original")

    def started(self, job: Job) -> None:
        """The job, and how long all have still to go."""
        super().started(job)
        self._latest.pop(job.key, None)
        left = f", {self._course.left}" if self._course.left else ""
        self._say(f"[{self._course.done + 1}/{self._course.all}] {job.title}: started{left}")

    def dose(self, job: Job, label: str, hits: Mapping[str, float]) -> None:
        """Kept for the line that ends the job."""
        self._latest[job.key] = self._course.found.told(job, label, hits)

    def finished(self, job: Job, seconds: float, fault: str | None) -> None:
        """The job, its time and its last dose."""
        super().finished(job, seconds, fault)
        if not fault:
            self._say(f"{self._count}{job.title}: {self._latest.pop(job.key, '')} ({seconds:.1f} s)")

    def skipped(self, job: Job, why: str) -> None:
        """The job and the reason."""
        super().skipped(job, why)
        self._say(f"{self._count}{job.title}: skipped: {why}")

    def _moved(self, job: Job) -> None:
        if self._course.beats():
            told = [self._course.place, self._latest.get(job.key, ""), self._course.left]
            self._say(f"  {job.title}: {'; '.join(filter(None, told))}")

    @property
    def _count(self) -> str:
        return f"[{self._course.done}/{self._course.all}] "

    def _say(self, text: str) -> None:
        self._console.print(escape(text), highlight=False, soft_wrap=True)


class Detailed(Lines):
    """Plain lines with every probe and dose and all their scores."""

    def probed(self, job: Job, dose: str, probe: str, scores: Mapping[str, float]) -> None:
        """What a probe has found, beside what the controls show."""
        super().probed(job, dose, probe, scores)
        self._say(f"  {probe}: {self._course.found.told(job, dose, scores)}")

    def dose(self, job: Job, label: str, hits: Mapping[str, float]) -> None:
        """All scores of a dose."""
        super().dose(job, label, hits)
        scores = ", ".join(f"{name} {100 * value:.0f} %" for name, value in hits.items())
        self._say(f"  {label}: {scores}" if scores else f"  {label}")


class Live(Quiet):
    """A live display: the matrix of attacks and measures as it fills, what leads, time left, the last messages."""

    def __init__(self, console: Console, about: About | None = None) -> None:
        super().__init__(console)
        self.scene = Scene(about)
        self._lock = RLock()  # the display draws itself in a thread of its own
        self._live = Display(console=console, get_renderable=self._drawn, transient=True, refresh_per_second=2)

    def __enter__(self) -> Live:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Clears the display."""
        self._live.stop()

    def wants_forecast(self) -> bool:
        """Somebody is told."""
        return True

    def forecast(self, found: Forecast) -> None:
        """How long each job takes."""
        with self._lock:
            self.scene.forecast(found)

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """Starts where an earlier run left off."""
        with self._lock:
            self.scene.begin(jobs, done)

    def kept(self, job: Job, doses: Mapping[str, Mapping[str, float]]) -> None:
        """What that run found."""
        with self._lock:
            self.scene.kept(job, doses)

    def loading(self, model: PlannedModel) -> None:
        """Which model comes next."""
        with self._lock:
            self.scene.say(f"loading {model.name}")

    def preparing(self, attack: str) -> None:
        """Which attack prepares."""
        with self._lock:
            self.scene.say(f"{attack}: preparing on the original")

    def started(self, job: Job) -> None:
        """The running job."""
        with self._lock:
            self.scene.started(job)

    def probing(self, job: Job, dose: str, probe: str) -> None:
        """The running probe."""
        with self._lock:
            self.scene.probing(job, dose, probe)

    def working(self, job: Job, work: Work) -> None:
        """How far it is."""
        with self._lock:
            self.scene.working(job, work)

    def probed(self, job: Job, dose: str, probe: str, scores: Mapping[str, float]) -> None:
        """What a probe has found."""
        with self._lock:
            self.scene.probed(job, dose, probe, scores)

    def finished(self, job: Job, seconds: float, fault: str | None) -> None:
        """One more done."""
        with self._lock:
            self.scene.finished(job, seconds, fault)
        super().finished(job, seconds, fault)

    def skipped(self, job: Job, why: str) -> None:
        """One less to do."""
        with self._lock:
            self.scene.skipped(job, why)

    def leading(self, found: Leading) -> None:
        """Where most has come back so far."""
        with self._lock:
            self.scene.lead(found)

    def _drawn(self) -> RenderableType:
        with self._lock:
            return board(self.scene, self._console.width, self._console.height)


class Both:
    """Two receivers of the same events."""

    def __init__(self, one: Progress_, other: Progress_) -> None:
        self._told = (one, other)

    def wants_forecast(self) -> bool:
        """Whether one of them does."""
        return any(each.wants_forecast() for each in self._told)

    def forecast(self, found: Forecast) -> None:
        """Passed to both."""
        for each in self._told:
            each.forecast(found)

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """Passed to both."""
        for each in self._told:
            each.begin(jobs, done)

    def kept(self, job: Job, doses: Mapping[str, Mapping[str, float]]) -> None:
        """Passed to both."""
        for each in self._told:
            each.kept(job, doses)

    def loading(self, model: PlannedModel) -> None:
        """Passed to both."""
        for each in self._told:
            each.loading(model)

    def preparing(self, attack: str) -> None:
        """Passed to both."""
        for each in self._told:
            each.preparing(attack)

    def started(self, job: Job) -> None:
        """Passed to both."""
        for each in self._told:
            each.started(job)

    def probing(self, job: Job, dose: str, probe: str) -> None:
        """Passed to both."""
        for each in self._told:
            each.probing(job, dose, probe)

    def working(self, job: Job, work: Work) -> None:
        """Passed to both."""
        for each in self._told:
            each.working(job, work)

    def probed(self, job: Job, dose: str, probe: str, scores: Mapping[str, float]) -> None:
        """Passed to both."""
        for each in self._told:
            each.probed(job, dose, probe, scores)

    def dose(self, job: Job, label: str, hits: Mapping[str, float]) -> None:
        """Passed to both."""
        for each in self._told:
            each.dose(job, label, hits)

    def finished(self, job: Job, seconds: float, fault: str | None) -> None:
        """Passed to both."""
        for each in self._told:
            each.finished(job, seconds, fault)

    def skipped(self, job: Job, why: str) -> None:
        """Passed to both."""
        for each in self._told:
            each.skipped(job, why)


def show_proofs(jobs: Sequence[JobRecord], console: Console) -> None:
    """The proof of each job on the checkpoint, and the events of all jobs: one line each."""
    for job in jobs:
        place = f"{job.attack} ({job.arm}) on {job.model}"
        told = [(dose, proof) for dose, proof in job.proof.items() if proof] if job.role == Role.UNLEARNED else []
        lines = [f"{place}, proof of {dose}: {json.dumps(proof, default=str)}" for dose, proof in told]
        for line in (*lines, *(f"{place}: {event}" for event in job.events)):
            console.print(clean(line, _LONGEST_LINE), markup=False, highlight=False, soft_wrap=True)


def make_progress(console: Console, about: About | None = None, *, quiet: bool, verbose: bool = False) -> Quiet:
    """The display for this terminal and verbosity."""
    if quiet:
        return Quiet(console)
    if verbose:
        return Detailed(console)
    return Live(console, about) if console.is_terminal else Lines(console)
