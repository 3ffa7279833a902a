"""The log of a run for machines: one timestamped JSON object per line, appended and flushed as things happen."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from unlearn_audit.audit.telling.course import Course
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.evidence.files import EVENTS, open_to_append
from unlearn_audit.plan.plan import Job, PlannedModel
from unlearn_audit.verdict.result import Result

if TYPE_CHECKING:
    from unlearn_audit.audit.telling.found_so_far import Leading
    from unlearn_audit.plan.forecasting.forecast import Forecast
    from unlearn_audit.run.progress import Work


class EventLog:
    """A `runner.Progress` that writes lines: scores, names and error messages, never a model's answer.

    Events: `begin`, `forecast`, `loading`, `preparing`; for each job `started`, `probe` and `dose` with what they
    found, `working` now and then, `done` or `fault`; `leading` where that
    moves; and at the end `verdict`, `stopped` (interrupted) or `error`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._scores: dict[str, dict[str, float]] = {}  # by job: several may run at once
        self._course = Course()

    def wants_forecast(self) -> bool:
        """Each event says how long the run has still to go."""
        return True

    def forecast(self, found: Forecast) -> None:
        """How long each attack takes."""
        self._course.forecast(found)
        attacks = {name: round(seconds) for name, seconds in found.attacks.items()}
        self._write("forecast", seconds=round(found.seconds), attacks=attacks)

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """How many jobs there are, and how many an earlier run did."""
        self._course.begin(jobs, done)
        self._write("begin", jobs=len(jobs), kept=len(done))

    def kept(self, job: Job, doses: Mapping[str, Mapping[str, float]]) -> None:
        """Nothing: the log of the run that measured it has it."""
        self._course.kept(job, doses)

    def loading(self, model: PlannedModel) -> None:
        """Which model comes next."""
        self._write("loading", model=model.name, role=model.role.value, reference=model.checkpoint.reference)

    def preparing(self, attack: str) -> None:
        """Which attack, probe or plant is made ready on the original."""
        self._write("preparing", name=attack)

    def started(self, job: Job) -> None:
        """A job has begun."""
        self._scores.pop(job.key, None)
        self._course.started(job)
        self._write("started", **_about(job), **self._left)

    def probing(self, job: Job, dose: str, probe: str) -> None:
        """A probe begins: said once it has ended."""
        self._course.probing(job, dose, probe)

    def working(self, job: Job, work: Work) -> None:
        """Something goes on: how far it is, twice a minute."""
        self._course.working(work)
        if self._course.beats():
            dose, probe = self._course.at
            tokens = {"read": work.tokens.read, "generated": work.tokens.generated, "trained": work.tokens.trained}
            place = {"dose": dose, "probe": probe, "done": work.done, "of": work.of}
            self._write("working", **_about(job), **place, tokens=tokens, **self._left)

    def probed(self, job: Job, dose: str, probe: str, scores: Mapping[str, float]) -> None:
        """A probe has measured a dose: its scores, and those of all models that are known there."""
        self._course.probed(job, dose, probe, scores)
        beside = {measure: self._course.found.beside(job, dose, measure) for measure in scores}
        self._write("probe", **_about(job), dose=dose, probe=probe, scores=dict(scores), beside=beside, **self._left)

    def dose(self, job: Job, label: str, hits: Mapping[str, float]) -> None:
        """A dose was measured."""
        self._scores[job.key] = dict(hits)
        self._write("dose", **_about(job), dose=label, scores=dict(hits))

    def finished(self, job: Job, seconds: float, fault: str | None) -> None:
        """A job has ended: `done` with the scores of its last dose, or `fault` with the error."""
        taken = round(seconds, 3)
        self._course.finished(job)
        if fault is None:
            self._write("done", **_about(job), seconds=taken, scores=self._scores.pop(job.key, {}))
        else:
            self._write("fault", **_about(job), seconds=taken, message=fault)

    def skipped(self, job: Job, why: str) -> None:
        """A job that cannot exist for this kind of model: `skipped` with the reason."""
        self._course.finished(job)
        self._write("skipped", **_about(job), message=why)

    def verdict(self, result: Result) -> None:
        """What came out."""
        self._write(
            "verdict",
            outcome=result.outcome.value,
            exit_code=result.exit_code,
            sentence=result.verdict.sentence,
            reasons=list(result.verdict.reasons),
        )

    def leading(self, found: Leading) -> None:
        """Where most has come back so far."""
        self._write("leading", **asdict(found))

    def stopped(self) -> None:
        """The user interrupted the run."""
        self._write("stopped")

    def error(self, message: str) -> None:
        """The run ended without a verdict."""
        self._write("error", message=message)

    @property
    def _left(self) -> dict[str, object]:
        seconds = self._course.seconds_left
        return {} if seconds is None else {"seconds_left": round(seconds)}

    def _write(self, event: str, **fields: object) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
        self._stream.write(json.dumps(line, ensure_ascii=True, default=str) + "\n")
        self._stream.flush()


@contextmanager
def event_log(path: Path) -> Iterator[EventLog]:
    """A log that appends to the file; only its owner can read a new one. Records why a run ended early.

    Raises:
        SpecError: the file cannot be written.
    """
    try:
        stream = io.TextIOWrapper(open_to_append(path), encoding="utf-8")
    except OSError as error:
        raise SpecError(f"--log-file {path}: cannot be written ({error.strerror})") from error
    with stream:
        log = EventLog(stream)
        with _ending(log):
            yield log


class Journal(EventLog):
    """The same in the run directory, for who watches: begun with the first job, once the directory is this run's."""

    def __init__(self, run: Path) -> None:
        super().__init__(io.StringIO())
        self._run = run

    def begin(self, jobs: Sequence[Job], done: Sequence[Job]) -> None:
        """Opens the file; one that cannot be written is done without."""
        with suppress(OSError, SpecError):
            if isinstance(self._stream, io.StringIO):
                self._stream = io.TextIOWrapper(open_to_append(self._run / EVENTS), encoding="utf-8")
        super().begin(jobs, done)

    def close(self) -> None:
        """Ends it."""
        self._stream.close()


@contextmanager
def journal(run: Path) -> Iterator[Journal]:
    """What a run tells, in its directory. Records why a run ended early."""
    log = Journal(run)
    with closing(log), _ending(log):
        yield log


@contextmanager
def _ending(log: EventLog) -> Iterator[None]:
    """Puts down why a run ended without a verdict."""
    try:
        yield
    except KeyboardInterrupt:
        log.stopped()
        raise
    except AuditError as error:
        log.error(str(error))
        raise
    except Exception as error:
        log.error(f"{type(error).__name__}: {error}")
        raise


def _about(job: Job) -> dict[str, object]:
    return {
        "job": job.key,
        "attack": job.attack,
        "arm": job.label,
        "model": job.model.name,
        "role": job.model.role.value,
        "seed": job.seed,
    }
