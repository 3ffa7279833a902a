"""Plan -> evidence: rounds of units, each done by a worker that keeps its model; a job is stored when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Protocol, assert_never

from unlearn_audit.api import FactSet, JudgeKind, Role
from unlearn_audit.errors import AuditError, IntegrityError, SpecError
from unlearn_audit.evidence.records import ModelRecord
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.loading import loaded, record
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job, PlannedModel
from unlearn_audit.run.inputs import examine, unchanged
from unlearn_audit.run.interrupts import remembered_interrupts
from unlearn_audit.run.isolation import log_traceback, masked, masking
from unlearn_audit.run.jobs.judges import loaded_judge
from unlearn_audit.run.jobs.running import MEANS, prepare, put_down, run_jobs, run_plant
from unlearn_audit.run.jobs.saves import drop_saves
from unlearn_audit.run.jobs.workplace import Gathered, Workplace
from unlearn_audit.run.progress import Progress
from unlearn_audit.run.records import model_record, record_key
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.run.transcripts import Outputs
from unlearn_audit.run.units import Agenda, Step, Unit, generator_of


class Executor(Protocol):
    """Where the units of a run are done: in this process, or by workers."""

    def crew(self, work: Workplace) -> AbstractContextManager[Callable[[Sequence[Unit]], None]]:
        """What does the units of a round, each once those that it needs are done; left when the run ends.

        It returns once all are done, raises what ends a run, and puts everything else into `work.gathered`.
        """

    def close(self) -> None:
        """Ends whatever it started."""


def run(
    live: LivePlan,
    store: EvidenceStore,
    progress: Progress,
    outputs: Outputs | None = None,
    executor: Executor | None = None,
) -> Gathered:
    """Runs every job that is not done yet. A job that fails becomes a fault; an interrupt loses the running one.

    Args:
        live: the plan, with its facts and plug-ins.
        store: where evidence goes.
        progress: who is told how far the run is.
        outputs: keeps what models answer to probes, as far as it was asked for.
        executor: where jobs run; in this process where None.
    """
    outputs = outputs or Outputs(store.run, KeptText.NONE, live.facts[FactSet.FORGET].facts)
    done = [job for job in live.plan.jobs if store.has(job.key)]
    drop_saves(store.run, {job.key for job in done}.__contains__)
    progress.begin(live.plan.jobs, done)
    for job in done:
        progress.kept(job, store.about(job.key).get(MEANS, {}))
    with masking(live.withheld.masked), remembered_interrupts() as check, unchanged(live, store):
        work = Workplace.of(live, store, progress, outputs, check)
        agenda = Agenda(live=live, store=store, comparing=work.comparing, preparing=work.preparing)
        with (executor or _ThisProcess()).crew(work) as do:
            for units in (agenda.opening, agenda.writing, agenda.working, agenda.crossing):
                do(units())
        work.gathered.models += _model_records(live, store)
        work.gathered.comparisons = work.comparing.records()
    return work.gathered


class _ThisProcess:
    """Does the units of a run here, one after the other."""

    @contextmanager
    def crew(self, work: Workplace) -> Iterator[Callable[[Sequence[Unit]], None]]:
        """As `Executor` says."""
        waiting = any(not work.store.has(job.key) for job in work.live.plan.jobs)
        with judging(work.live, waiting=waiting) as live, closing(Worker(work.judged(live))) as worker:
            yield worker.do_all

    def close(self) -> None:
        """Nothing outlives a run."""


@contextmanager
def judging(live: LivePlan, *, waiting: bool) -> Iterator[LivePlan]:
    """The plan with its judge in every probe; a judge that cannot be loaded stops the run before its first job."""
    if not waiting or live.plan.judge.kind is JudgeKind.MATCH:
        yield live
        return
    with loaded_judge(live.plan.judge, live.plan.spec.models) as judge:
        yield replace(live, probes={name: probe.judged_by(judge) for name, probe in live.probes.items()})


def _model_records(live: LivePlan, store: EvidenceStore) -> list[ModelRecord]:
    """How each model was loaded, the generator first; it has a record where something was written with it."""
    generator = generator_of(live.plan) if live.plan.written_keys else None
    return [model_record(store, model) for model in (*filter(None, [generator]), *live.plan.loaded)]


class Worker:
    """Does units one after the other, and keeps the model that it loaded last for the next unit of it."""

    def __init__(self, work: Workplace) -> None:
        self._work = work
        self._held = ExitStack()
        self._name: str | None = None
        self._engine: Engine | None = None
        self._remembering: Engine | None = None
        self._preparing: Engine | None = None
        self._told = False
        self._unloadable: dict[str, str] = {}

    def do_all(self, units: Sequence[Unit]) -> None:
        """Does some units, as `do` does one."""
        for unit in units:
            self.do(unit)

    def do(self, unit: Unit) -> None:
        """Does a unit; what goes wrong in it is put down as a fault of its own.

        Raises:
            SpecError: a model cannot be audited.
            IntegrityError: something changed while the audit ran.
        """
        work = self._work
        if unit.step is Step.OPEN:
            examine(work.live, unit.model, lambda: self._loaded(unit.model))
            return
        left = [job for job in unit.jobs if not work.store.has(job.key)]
        if unit.jobs and not left:
            return
        try:
            self._do(unit, self._ready(unit.model), left)
        except IntegrityError:
            raise
        except AuditError as error:
            log_traceback(work.store.run, unit.title)
            self.close()  # whatever happened to the model, the next unit gets it anew
            give_up(work, replace(unit, jobs=tuple(left)), str(error))

    def close(self) -> None:
        """Gives the model back."""
        self._engine = self._remembering = self._preparing = self._name = None
        self._held.close()

    def _do(self, unit: Unit, engine: Engine, left: list[Job]) -> None:
        work = self._work
        match unit.step:
            case Step.WRITE:
                work.preparing.write(engine)
            case Step.PREPARE:
                prepare(work, engine, unit.name)
            case Step.PREPARE_PROBE:
                self._preparing = self._preparing or engine.remembering()  # probes may ask it the same
                work.preparing.prepare(self._preparing, unit.name)
            case Step.JOBS if unit.jobs[0].plant is not None:
                run_plant(work, engine, tuple(left), left)
            case Step.JOBS:
                self._remembering = self._remembering or engine.remembering()
                run_jobs(work, engine, self._remembering, tuple(left), left)
            case Step.FEATURES:
                work.comparing.extract(unit.model, engine, unit.name)
            case Step.CROSS:
                work.comparing.cross(unit.model, engine, unit.name)
            case Step.OPEN:
                raise AuditError(f"{unit.title}: is no work on a model that is open")

    def _ready(self, model: PlannedModel) -> Engine:
        """The model, with its record kept and told of, where it was not the last one to be worked on."""
        if self._name != model.name or not self._told:
            self._work.progress.loading(model)
        engine = self._loaded(model)
        if not self._told:
            about = record(model.role, model.name, model.checkpoint, engine)
            self._work.store.put_note(record_key(model), about.model_dump(mode="json"))
            self._told = True
        return engine

    def _loaded(self, model: PlannedModel) -> Engine:
        """The model, loaded where it is not the one that is held; one that once could not be is not tried again."""
        if self._engine is not None and self._name == model.name:
            return self._engine
        self.close()
        if model.name in self._unloadable:
            raise AuditError(self._unloadable[model.name])
        options = self._work.live.plan.spec.models
        if model.role is Role.GENERATOR:
            options = options.model_copy(update={"base": None})
        try:
            self._engine = self._held.enter_context(loaded(model.checkpoint, options))
        except IntegrityError:
            raise
        except AuditError as error:
            self._unloadable[model.name] = str(error)  # not the error, which keeps alive what it met
            raise
        self._name, self._told = model.name, False
        return self._engine


def give_up(work: Workplace, unit: Unit, message: str) -> None:
    """Puts down that a unit could not be done, as a fault of what it is for.

    Raises:
        SpecError: it was to open a model.
    """
    match unit.step:
        case Step.OPEN:
            raise SpecError(f"{unit.model.name}: {message}")
        case Step.WRITE:
            work.preparing.fail(work.preparing.unwritten(), f"the generator: {message}")
        case Step.PREPARE:
            work.gathered.unprepared[unit.name] = f"could not prepare on the original: {masked(message)}"
        case Step.PREPARE_PROBE:
            work.preparing.fail([unit.name], f"could not prepare on the original: {masked(message)}")
        case Step.JOBS:
            for job in unit.jobs:
                put_down(work, job, masked(message), 0.0)
        case Step.FEATURES | Step.CROSS:
            work.comparing.fault(unit.model, unit.name, message)
        case _:
            assert_never(unit.step)
