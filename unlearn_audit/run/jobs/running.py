"""The jobs of one model, one after the other, each stored when it is whole; plants made, choices prepared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from unlearn_audit.api import AttackContext, Json
from unlearn_audit.errors import AttackError, IntegrityError, NotApplicableError
from unlearn_audit.evidence.costs import CostRecord
from unlearn_audit.evidence.store import JobEvidence
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.modules.meter import Meter
from unlearn_audit.plan.case import FaultyJob
from unlearn_audit.plan.plan import Job
from unlearn_audit.run.isolation import as_engine, log_traceback, masked, message_of, own_randomness, untouched
from unlearn_audit.run.jobs.job import Proof, Rows, observe
from unlearn_audit.run.jobs.saves import SavePoints
from unlearn_audit.run.jobs.workplace import Workplace
from unlearn_audit.run.progress import followed

MEANS = "means"
"""Under which a job's record has its mean scores by dose: for who is told how a run goes, and for no verdict."""


def run_jobs(
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


def prepare(work: Workplace, engine: Engine, name: str) -> None:
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


def run_plant(work: Workplace, engine: Engine, jobs: Sequence[Job], left: list[Job]) -> None:
    """Runs the jobs of a plant on it, made once; one that cannot be made leaves them without evidence."""
    name = jobs[0].model.name
    work.progress.preparing(name)
    with untouched(engine, name):
        try:
            with _plant(work, engine, jobs) as (model, proof):
                run_jobs(work, model, model.remembering(), jobs, left, made={"plant": proof})
        except IntegrityError:
            raise
        except Exception as error:  # that nothing could be hidden is a result: the attack's power stays unknown
            log_traceback(work.store.run, name)
            for job in [job for job in jobs if job in left]:
                left.remove(job)
                put_down(work, job, message_of(error), 0.0)


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
            put_down(work, job, fault, cost.seconds, skipped=skipped)
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
        yield replace(context, scratch=Path(scratch), load_original=work.load_original, load_base=work.load_base)


def put_down(work: Workplace, job: Job, message: str, seconds: float, *, skipped: bool = False) -> None:
    """Puts down that a job gave no evidence, and why; `skipped`: it cannot exist for this kind of model."""
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
