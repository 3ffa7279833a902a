"""Plan -> evidence: each model is loaded once, its jobs run one after the other, each stored when it is whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import groupby
from pathlib import Path

import torch

from unlearn_audit.api import AttackContext, FactSet, Json, JudgeKind, Role
from unlearn_audit.errors import AttackError, AuditError, IntegrityError, NotApplicableError
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
from unlearn_audit.run.inputs import open_models, unchanged
from unlearn_audit.run.interrupts import remembered_interrupts
from unlearn_audit.run.isolation import as_engine, log_traceback, masked, masking, message_of, own_randomness, untouched
from unlearn_audit.run.job import Proof, Rows, Screens, observe
from unlearn_audit.run.judges import loaded_judge
from unlearn_audit.run.preparations import ProbePreparing
from unlearn_audit.run.progress import Forecasting, Progress, followed
from unlearn_audit.run.records import model_record, record_key
from unlearn_audit.run.saves import SavePoints, drop_saves
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.run.transcripts import Outputs

MEANS = "means"
"""Under which a job's record has its mean scores by dose: for who is told how a run goes, and for no verdict."""


@dataclass(kw_only=True)
class Gathered:
    """What a run left behind, besides the evidence on disk.

    Attributes:
        unprepared: attack -> why it could not make its choices on the original.
        inapplicable: those of them that cannot exist for the original's kind of model.
    """

    models: list[ModelRecord] = field(default_factory=list)
    faults: list[FaultyJob] = field(default_factory=list)
    unprepared: dict[str, str] = field(default_factory=dict)
    inapplicable: set[str] = field(default_factory=set)
    comparisons: tuple[ComparisonRecord, ...] = ()


def run(live: LivePlan, store: EvidenceStore, progress: Progress, outputs: Outputs | None = None) -> Gathered:
    """Runs every job that is not done yet. A job that fails becomes a fault; an interrupt loses the running one.

    Args:
        live: the plan, with its facts and plug-ins.
        store: where evidence goes.
        progress: who is told how far the run is.
        outputs: keeps what models answer to probes, as far as it was asked for.
    """
    outputs = outputs or Outputs(store.run, KeptText.NONE, live.facts[FactSet.FORGET].facts)
    gathered = Gathered()
    done = [job for job in live.plan.jobs if store.has(job.key)]
    drop_saves(store.run, {job.key for job in done}.__contains__)
    progress.begin(live.plan.jobs, done)
    for job in done:
        progress.kept(job, store.about(job.key).get(MEANS, {}))
    with (
        masking(live.withheld.masked),
        remembered_interrupts() as check,
        unchanged(live, store),
        _judging(live, waiting=len(done) < len(live.plan.jobs)) as live,
    ):
        comparing = Comparing(live=live, store=store, stop_if_interrupted=check)
        preparing = ProbePreparing(live=live, store=store, tell=progress.preparing)
        shared = (comparing, preparing, _original_weights(live), check, outputs, Forecasting(live, progress))
        work = _Work(live, store, progress, gathered, *shared)
        open_models(live, [model for model in live.plan.loaded if _has_work(work, model)])
        _write(work)
        _run_models(work)
        _cross_models(work)
        gathered.comparisons = comparing.records()
    return gathered


@contextmanager
def _judging(live: LivePlan, *, waiting: bool) -> Iterator[LivePlan]:
    """The plan with its judge in every probe; a judge that cannot be loaded stops the run before its first job."""
    if not waiting or live.plan.judge.kind is JudgeKind.MATCH:
        yield live
        return
    with loaded_judge(live.plan.judge, live.plan.spec.models) as judge:
        yield replace(live, probes={name: probe.judged_by(judge) for name, probe in live.probes.items()})


def _run_models(work: _Work) -> None:
    for model in work.live.plan.loaded:
        # Two roles with the same weights share their jobs: the second finds them done.
        if _has_work(work, model):
            _run_model(work, model, _pending(work, model.name), _planted(work, model))
        work.gathered.models.append(model_record(work.store, model))


def _has_work(work: _Work, model: PlannedModel) -> bool:
    if _pending(work, model.name) or _planted(work, model) or work.comparing.pending(model):
        return True
    return model.role is Role.ORIGINAL and bool(_unprepared(work) or work.preparing.unprepared())


def _planted(work: _Work, model: PlannedModel) -> list[Job]:
    """The jobs of plants, which are made from the original."""
    if model.role is not Role.ORIGINAL:
        return []
    return [job for job in work.live.plan.jobs if job.plant is not None and not work.store.has(job.key)]


def _write(work: _Work) -> None:
    """Lets the generator write for probes, before any model of the audit is loaded: one is in memory at a time."""
    generator, names = work.live.plan.generator, work.preparing.unwritten()
    if generator is None or not work.live.plan.written_keys:
        return
    about = PlannedModel(role=Role.GENERATOR, name="generator", checkpoint=generator)
    if names:
        work.progress.loading(about)
        try:
            with loaded(generator, work.live.plan.spec.models.model_copy(update={"base": None})) as engine:
                seen = record(about.role, about.name, generator, engine)
                work.store.put_note(record_key(about), seen.model_dump(mode="json"))
                work.preparing.write(engine)
        except IntegrityError:
            raise
        except AuditError as error:
            work.preparing.fail(names, f"the generator: {error}")
    work.gathered.models.append(model_record(work.store, about))


def _cross_models(work: _Work) -> None:
    """Loads each model again for comparisons that look at it in view of the others; none where there are none."""
    for model in work.live.plan.models:
        if work.comparing.crossing(model):
            work.progress.loading(model)
            try:
                with loaded(model.checkpoint, work.live.plan.spec.models) as engine:
                    work.comparing.cross(model, engine)
            except IntegrityError:
                raise
            except AuditError as error:
                work.comparing.fault(model, str(error))


@dataclass(frozen=True)
class _Work:
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


def _pending(work: _Work, model: str) -> list[Job]:
    return [job for job in work.live.plan.jobs if job.model.name == model and not work.store.has(job.key)]


def _unprepared(work: _Work) -> list[str]:
    """Attacks with jobs to run, whose choices no earlier run made."""
    waiting = {job.attack for job in work.live.plan.jobs if not work.store.has(job.key)}
    return [
        name for name, key in work.live.plan.prepared_keys.items() if name in waiting and work.store.note(key) is None
    ]


def _run_model(work: _Work, model: PlannedModel, own: list[Job], planted: list[Job]) -> None:
    work.progress.loading(model)
    left = [*own, *planted]
    try:
        with loaded(model.checkpoint, work.live.plan.spec.models) as engine:
            about = record(model.role, model.name, model.checkpoint, engine)
            work.store.put_note(record_key(model), about.model_dump(mode="json"))
            if model.role is Role.ORIGINAL:
                _prepare(work, engine)
                work.preparing.prepare(engine)
            _run_jobs(work, engine, own, left)
            work.comparing.extract(model, engine)
            _run_plants(work, engine, planted, left)
    except IntegrityError:
        raise
    except AuditError as error:
        log_traceback(work.store.run, f"{model.name}, loading")
        for job in left:
            _fault(work, job, str(error), 0.0)


def _run_jobs(
    work: _Work,
    engine: Engine,
    jobs: Sequence[Job],
    left: list[Job],
    *,
    made: Mapping[str, dict[str, Json]] | None = None,
) -> None:
    """Runs the jobs of one model, striking each off `left`; `made` is proof of how the model was made."""
    remembering = engine.remembering()
    for job in jobs:
        work.forecasting(engine)
        _run_job(work, engine, remembering, job, made)
        left.remove(job)


def _prepare(work: _Work, engine: Engine) -> None:
    """Lets attacks make their choices on the original. One that cannot loses its own jobs and no others."""
    for name in _unprepared(work):
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


def _run_plants(work: _Work, engine: Engine, planted: Sequence[Job], left: list[Job]) -> None:
    """Runs the jobs of each plant on it, made once; one that cannot be made leaves them without evidence."""
    for name, group in groupby(planted, key=lambda job: job.model.name):
        jobs = list(group)
        work.progress.preparing(name)
        with untouched(engine, name):
            try:
                with _plant(work, engine, jobs) as (model, proof):
                    _run_jobs(work, model, jobs, left, made={"plant": proof})
            except IntegrityError:
                raise
            except Exception as error:  # that nothing could be hidden is a result: the attack's power stays unknown
                log_traceback(work.store.run, name)
                for job in [job for job in jobs if job in left]:
                    left.remove(job)
                    _fault(work, job, message_of(error), 0.0)


@contextmanager
def _plant(work: _Work, engine: Engine, jobs: Sequence[Job]) -> Iterator[tuple[Engine, dict[str, Json]]]:
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
    work: _Work,
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
    work: _Work, engine: Engine, remembering: Engine, job: Job, saves: SavePoints
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
    work: _Work, attack: str, *, job: Job | None = None, seed_of: str | None = None
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


def _fault(work: _Work, job: Job, message: str, seconds: float, *, skipped: bool = False) -> None:
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
