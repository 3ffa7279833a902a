"""Plan -> evidence: rounds of units, each done by a worker that keeps its model; a job is stored when it is whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Protocol, assert_never

import torch

from unlearn_audit.api import AttackContext, FactSet, Json, JudgeKind, Role
from unlearn_audit.errors import AttackError, AuditError, IntegrityError, NotApplicableError, SpecError
from unlearn_audit.evidence.costs import CostRecord
from unlearn_audit.evidence.records import ComparisonRecord, ModelRecord
from unlearn_audit.evidence.store import EvidenceStore, JobEvidence
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.loading import load_weights, loaded, record
from unlearn_audit.models.modules.meter import Meter
from unlearn_audit.plan.case import FaultyJob
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job, PlannedModel
from unlearn_audit.run.extractions import Comparing
from unlearn_audit.run.inputs import examine, unchanged
from unlearn_audit.run.interrupts import remembered_interrupts
from unlearn_audit.run.isolation import as_engine, log_traceback, masked, masking, message_of, own_randomness, untouched
from unlearn_audit.run.jobs.job import Proof, Rows, Screens, observe
from unlearn_audit.run.jobs.judges import loaded_judge
from unlearn_audit.run.jobs.saves import SavePoints, drop_saves
from unlearn_audit.run.preparations import ProbePreparing
from unlearn_audit.run.progress import Forecasting, Progress, followed
from unlearn_audit.run.records import model_record, record_key
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.run.transcripts import Outputs
from unlearn_audit.run.units import Agenda, Step, Unit, generator_of

MEANS = "means"
"""Under which a job's record has its mean scores by dose: for who is told how a run goes, and for no verdict."""


@dataclass(kw_only=True)
class Gathered:
    """What a run left behind, besides the evidence on disk.

    Attributes:
        unprepared: attack -> why it could not make its choices on the original.
        inapplicable: those of them that cannot exist for the original's kind of model.
        unready: probe -> why what it needs could not be made.
        uncompared: comparison -> what it met on a model.
    """

    models: list[ModelRecord] = field(default_factory=list)
    faults: list[FaultyJob] = field(default_factory=list)
    unprepared: dict[str, str] = field(default_factory=dict)
    inapplicable: set[str] = field(default_factory=set)
    unready: dict[str, str] = field(default_factory=dict)
    uncompared: dict[str, str] = field(default_factory=dict)
    comparisons: tuple[ComparisonRecord, ...] = ()

    def add(self, other: Gathered) -> None:
        """Takes over what went wrong elsewhere."""
        self.faults += other.faults
        self.unprepared |= other.unprepared
        self.inapplicable |= other.inapplicable
        self.unready |= other.unready
        self.uncompared |= {name: why for name, why in other.uncompared.items() if name not in self.uncompared}


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


@dataclass(frozen=True)
class Workplace:
    """All that the units of a run share in one process."""

    live: LivePlan
    store: EvidenceStore
    progress: Progress
    gathered: Gathered
    comparing: Comparing
    preparing: ProbePreparing
    load_original: Callable[[], torch.nn.Module] | None
    stop_if_interrupted: Callable[[], None]
    outputs: Outputs
    forecasting: Forecasting
    screens: Screens = field(default_factory=Screens)

    @classmethod
    def of(
        cls,
        live: LivePlan,
        store: EvidenceStore,
        progress: Progress,
        outputs: Outputs,
        stop_if_interrupted: Callable[[], None] = lambda: None,
    ) -> Workplace:
        """The work on a plan, with nothing gathered yet."""
        found = Gathered()
        return cls(
            live=live,
            store=store,
            progress=progress,
            gathered=found,
            comparing=Comparing(
                live=live, store=store, stop_if_interrupted=stop_if_interrupted, faults=found.uncompared
            ),
            preparing=ProbePreparing(live=live, store=store, tell=progress.preparing, faults=found.unready),
            load_original=_original_weights(live),
            stop_if_interrupted=stop_if_interrupted,
            outputs=outputs,
            forecasting=Forecasting(live, progress),
        )

    def judged(self, live: LivePlan) -> Workplace:
        """The same work on the same plan, with the judge in its probes."""
        return replace(self, live=live, preparing=replace(self.preparing, live=live))


class Worker:
    """Does units one after the other, and keeps the model that it loaded last for the next unit of it."""

    def __init__(self, work: Workplace) -> None:
        self._work = work
        self._held = ExitStack()
        self._name: str | None = None
        self._engine: Engine | None = None
        self._remembering: Engine | None = None
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
        self._engine = self._remembering = self._name = None
        self._held.close()

    def _do(self, unit: Unit, engine: Engine, left: list[Job]) -> None:
        work = self._work
        match unit.step:
            case Step.WRITE:
                work.preparing.write(engine)
            case Step.PREPARE:
                _prepare(work, engine, unit.name)
            case Step.PREPARE_PROBE:
                work.preparing.prepare(engine, unit.name)
            case Step.JOBS if unit.jobs[0].plant is not None:
                _run_plant(work, engine, tuple(left), left)
            case Step.JOBS:
                self._remembering = self._remembering or engine.remembering()
                _run_jobs(work, engine, self._remembering, tuple(left), left)
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
                _fault(work, job, masked(message), 0.0)
        case Step.FEATURES | Step.CROSS:
            work.comparing.fault(unit.model, unit.name, message)
        case _:
            assert_never(unit.step)


def _run_jobs(
    work: Workplace,
    engine: Engine,
    remembering: Engine,
    jobs: Sequence[Job],
    left: list[Job],
    *,
    made: Mapping[str, dict[str, Json]] | None = None,
) -> None:
    """Runs jobs of one model, striking each off `left`; `made` is proof of how the model was made."""
    for job in jobs:
        work.forecasting(engine)
        _run_job(work, engine, remembering, job, made)
        left.remove(job)


def _prepare(work: Workplace, engine: Engine, name: str) -> None:
    """Lets an attack make its choices on the original. One that cannot loses its own jobs and no others."""
    work.progress.preparing(name)
    title, prepared = f"{name}, preparing", None
    with untouched(engine, title):
        try:
            with _context(work, name) as context, own_randomness(context.seed):
                prepared = dict(work.live.attacks[name].prepare(engine, context))
        except NotApplicableError as error:
            work.gathered.inapplicable.add(name)
            work.gathered.unprepared[name] = masked(str(error))
        except Exception as error:  # a plug-in's failure is evidence: an ERROR of its jobs, never a silent default
            log_traceback(work.store.run, title)
            work.gathered.unprepared[name] = f"could not prepare on the original: {message_of(error)}"
    if prepared is not None:
        work.store.put_note(work.live.plan.prepared_keys[name], work.live.withheld.sealed(prepared))


def _run_plant(work: Workplace, engine: Engine, jobs: Sequence[Job], left: list[Job]) -> None:
    """Runs the jobs of a plant on it, made once; one that cannot be made leaves them without evidence."""
    name = jobs[0].model.name
    work.progress.preparing(name)
    with untouched(engine, name):
        try:
            with _plant(work, engine, jobs) as (model, proof):
                _run_jobs(work, model, model.remembering(), jobs, left, made={"plant": proof})
        except IntegrityError:
            raise
        except Exception as error:  # that nothing could be hidden is a result: the attack's power stays unknown
            log_traceback(work.store.run, name)
            for job in [job for job in jobs if job in left]:
                left.remove(job)
                _fault(work, job, message_of(error), 0.0)


@contextmanager
def _plant(work: Workplace, engine: Engine, jobs: Sequence[Job]) -> Iterator[tuple[Engine, dict[str, Json]]]:
    """The plant that some jobs share, with the proof that it is one."""
    planting = work.live.planting(jobs[0])
    with (
        _context(work, jobs[0].attack, seed_of=planting.name) as context,
        own_randomness(context.seed),
        ExitStack() as stack,
    ):
        with untouched(engine, planting.name):  # before any job of the plant is kept
            plant = stack.enter_context(planting.make(engine, context))
        yield as_engine(plant.model, planting.name), dict(plant.proof)


def _run_job(
    work: Workplace,
    engine: Engine,
    remembering: Engine,
    job: Job,
    made: Mapping[str, dict[str, Json]] | None,
) -> None:
    """Runs one job and keeps what it gave; an interrupt leaves what its probes had measured."""
    work.stop_if_interrupted()
    work.progress.started(job)
    meter, before = Meter(engine.tally), len(engine.budget.events)

    def so_far() -> tuple[CostRecord, list[str]]:
        return meter.spent(), engine.budget.events[before:]

    fault, skipped = None, False
    with SavePoints(work.store, job.key, work.live.withheld, work.outputs.text, so_far) as saves:
        with untouched(engine, job.title):
            try:
                rows, proof, doses = _observed(work, engine, remembering, job, saves)
            except NotApplicableError as error:
                fault, skipped = masked(str(error)), True
            except IntegrityError:
                raise
            except Exception as error:  # a plug-in's failure is evidence: an ERROR, never a pass
                log_traceback(work.store.run, job.title)
                fault = message_of(error)
        cost, events = saves.together(*so_far())
        if fault is not None:
            saves.drop()
            _fault(work, job, fault, cost.seconds, skipped=skipped)
            return
        evidence = JobEvidence(
            rows=rows,
            proof=work.live.withheld.masked_json({**(made or {}), **proof}),
            events=events,
            cost=cost,
            about={"attack": job.attack, "arm": job.arm.name, MEANS: doses},
        )
        work.outputs.keep()
        work.store.put(job.key, evidence)
        saves.drop()
    work.progress.finished(job, cost.seconds, None)


def _observed(
    work: Workplace, engine: Engine, remembering: Engine, job: Job, saves: SavePoints
) -> tuple[Rows, Proof, dict[str, dict[str, float]]]:
    """What a job gives: rows, proof, and mean scores by dose for whoever wants to be told before the verdict."""
    with (
        _context(work, job.attack, job=job) as context,
        own_randomness(context.seed),
        followed(job, engine, work.progress, work.stop_if_interrupted) as following,
    ):
        work.outputs.begin()
        live, counts = work.preparing.bound(job)
        rows, proof = observe(
            live,
            job,
            engine,
            remembering,
            context,
            screens=work.screens,
            outputs=work.outputs,
            saves=saves,
            following=following,
        )
    return rows, {**counts, **proof}, following.doses


@contextmanager
def _context(
    work: Workplace, attack: str, *, job: Job | None = None, seed_of: str | None = None
) -> Iterator[AttackContext]:
    """The attack's context with scratch space that is removed, and the original for diagnostics, alike in all roles.

    Args:
        work: the audit.
        attack: whose context.
        job: what it will run; None while it prepares or plants.
        seed_of: the plant that is made, which has the same seed for every attack that makes it.

    Raises:
        AttackError: the attack has jobs to run and its preparation failed: no default stands in for it.
    """
    prepared = None
    if job is not None and (key := work.live.plan.prepared_keys.get(attack)) is not None:
        note = work.store.note(key)
        if note is None and attack in work.gathered.inapplicable:
            raise NotApplicableError(work.gathered.unprepared[attack])
        if note is None:
            raise AttackError(work.gathered.unprepared.get(attack, "what it prepared on the original is missing"))
        prepared = work.live.withheld.opened(note)
    with tempfile.TemporaryDirectory(dir=work.store.scratch) as scratch:
        context = work.live.context(
            attack, job.seed if job else 0, prepared, sham=job is not None and job.sham, seed_of=seed_of
        )
        yield replace(context, scratch=Path(scratch), load_original=work.load_original)


def _original_weights(live: LivePlan) -> Callable[[], torch.nn.Module] | None:
    """Loads the original's bare weights when first asked, once a run; None where there is no original."""
    model = live.plan.model(Role.ORIGINAL)
    return None if model is None else cache(partial(load_weights, model.checkpoint, live.plan.spec.models))


def _fault(work: Workplace, job: Job, message: str, seconds: float, *, skipped: bool = False) -> None:
    work.gathered.faults.append(
        FaultyJob(
            attack=job.attack,
            arm=job.label,
            model=job.model.name,
            message=message,
            probe=job.own_probe,
            skipped=skipped,
        )
    )
    if skipped:
        work.progress.skipped(job, message)
    else:
        work.progress.finished(job, seconds, message)
