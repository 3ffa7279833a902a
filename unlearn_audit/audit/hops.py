"""One audit from its spec to its result: plan, run, decide, write. The only place that knows all five hops."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import unlearn_audit
from unlearn_audit.api import FactSet
from unlearn_audit.errors import Notice
from unlearn_audit.evidence.directory import make_private, run_directory
from unlearn_audit.evidence.files import write_json, write_text
from unlearn_audit.evidence.manifest import PLAN, SHARD, SPEC, write_manifest
from unlearn_audit.evidence.old_names import asked_as
from unlearn_audit.evidence.published import Metrics, Suite, write_published
from unlearn_audit.evidence.records import ComparisonRecord, short_of_plateau
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.case import FaultyJob
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Plan
from unlearn_audit.plan.steps import steps
from unlearn_audit.report import write as write_reports
from unlearn_audit.run.claim import claim, refuse_foreign, sealed
from unlearn_audit.run.executors.shard import Shard
from unlearn_audit.run.interrupts import ending_signals
from unlearn_audit.run.progress import Progress
from unlearn_audit.run.published.measure import measure
from unlearn_audit.run.published.sequences import Labels
from unlearn_audit.run.records import job_records, judge_record
from unlearn_audit.run.runner import Executor, run
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.run.transcripts import Outputs
from unlearn_audit.spec.waivers import Waiving
from unlearn_audit.verdict.conclude import ShardRecord, concluded
from unlearn_audit.verdict.policy.rules import strictly
from unlearn_audit.verdict.result import Outcome, Result

REPORTS = ("json", "md", "html")


def audit(
    live: LivePlan,
    out: Path,
    progress: Progress,
    *,
    shared: Path | None = None,
    command: str = "",
    formats: Sequence[str] = REPORTS,
    text: KeptText = KeptText.NONE,
    waivers: Waiving | None = None,
    overwrite: bool = False,
    fail_fast: bool = False,
    executor: Executor | None = None,
    seal: Path | None = None,
) -> Result:
    """Runs what is not done yet, decides on all of it, and writes the reports into `out`.

    `text` says how much of the models' answers is kept, in a separate file next to the reports. `overwrite` replaces
    the result of another request; jobs that are still valid are kept. `fail_fast` runs one attack after the other and
    stops once the verdict is FAIL, whatever the others would say; it never changes a PASS. `executor` is where the jobs
    run: None for this process; the evidence does not depend on it. `seal` is what `plan --seal` wrote: the result says
    whether the run kept to it.

    Raises:
        SpecError: `out` holds another audit, or another process runs one in it.
        IntegrityError: files that the request names have changed since `out` was begun.
    """
    opened = _opened(live.plan, out, shared, seal=seal, overwrite=overwrite)
    with opened as (plan, store), _closing(executor):
        live = replace(live, plan=plan)
        ran = partial(_ran, store=store, progress=progress, command=command, text=text, executor=executor)
        result = _until_proven(live, store, ran, waivers) if fail_fast else concluded(ran(live), store, waivers)
        write_reports(result, out, formats)
        write_manifest(out)
    return result


def measure_published(live: LivePlan, out: Path, suite: Suite, labels: Labels) -> Metrics:
    """Measures what others publish on the models of a finished run, and puts it into its directory.

    It decides nothing, and is sealed with the rest.

    Raises:
        SpecError: the forget set is not the suite's benchmark.
    """
    spec = live.plan.spec
    models = [(model.role.value, model.checkpoint) for model in live.plan.models]
    with run_directory(out):
        metrics = measure(suite, spec.forget, models, spec.models, labels)
        write_published(out, metrics)
        write_manifest(out)
    return metrics


def audit_shard(
    live: LivePlan,
    out: Path,
    progress: Progress,
    shard: Shard,
    *,
    shared: Path | None = None,
    command: str = "",
    overwrite: bool = False,
    executor: Executor | None = None,
    seal: Path | None = None,
) -> ShardRecord:
    """Runs one part of the jobs and decides nothing: `merge` does, once it has all parts.

    Comparisons of models as wholes belong to the first part.

    Raises:
        SpecError: `out` holds another audit or another part, or another process runs one in it.
        IntegrityError: files that the request names have changed since `out` was begun.
    """
    extractions = live.plan.extractions if shard.number == 1 else ()
    opened = _opened(live.plan, out, shared, shard=str(shard), seal=seal, overwrite=overwrite)
    with opened as (plan, store), _closing(executor):
        part = plan.model_copy(update={"jobs": shard.of(plan.jobs), "extractions": extractions})
        own = replace(live, plan=part)
        record = _ran(own, store, progress, command, executor=executor).model_copy(update={"shard": str(shard)})
        write_json(out / SHARD, record.model_dump(mode="json"))
    return record


def _until_proven(
    live: LivePlan, store: EvidenceStore, ran_part: Callable[[LivePlan], ShardRecord], waivers: Waiving | None
) -> Result:
    """The verdict after as many attacks as it takes to prove a leak, or after all.

    What was not run stays in the family of tests with p = 1, so that stopping early cannot make a FAIL.
    """
    parts = list(steps(live.plan))
    faults: tuple[FaultyJob, ...] = ()
    comparisons: tuple[ComparisonRecord, ...] = ()
    seconds = 0.0
    for place, part in enumerate(parts, 1):
        record = ran_part(replace(live, plan=part))
        faults, comparisons = (*faults, *record.case.faults), (*comparisons, *record.comparisons)
        seconds += record.seconds
        ran = {job.attack for done in parts[:place] for job in done.jobs}
        waiting = tuple(dict.fromkeys(job.attack for job in live.plan.jobs if job.attack not in ran))
        jobs = tuple(job for job in live.plan.jobs if job.attack in ran)
        note = f"--fail-fast: a leak was proven before {', '.join(waiting)} ran"
        records = tuple(job_records(live.plan.model_copy(update={"jobs": jobs}), store, faults))
        seen = {"faults": faults, "not_run": waiting, "short_of_plateau": short_of_plateau(records)}
        record = record.model_copy(
            update={
                "case": live.case.model_copy(update=seen),
                "comparisons": comparisons,
                "jobs": records,
                "notes": (*live.plan.notes, *([note] if waiting else [])),
                "seconds": round(seconds, 3),
            }
        )
        proven = concluded(record.model_copy(update={"policy": strictly(record.policy)}), store, waivers)
        if proven.outcome is Outcome.FAIL:
            break
    return concluded(record, store, waivers)


@contextmanager
def _opened(
    plan: Plan, out: Path, shared: Path | None, *, shard: str = "", seal: Path | None = None, overwrite: bool
) -> Iterator[tuple[Plan, EvidenceStore]]:
    """The plan with its seal, and the evidence of a run directory that is this run's alone until it ends."""
    refuse_foreign(out)
    with ending_signals(), run_directory(out):
        replaced = claim(plan, out, shard=shard, overwrite=overwrite)
        store = EvidenceStore(out, shared)
        if shared is not None:
            make_private(shared)
        write_text(out / SPEC, plan.spec.as_yaml())
        plan = sealed(plan, out, seal, store, overwrite=overwrite)
        write_json(out / PLAN, plan.as_json())
        if replaced:
            kept = sum(store.has(job.key) for job in plan.jobs)
            line = f"{out}: the former result is replaced; {kept} of {len(plan.jobs)} jobs are still valid and kept"
            warnings.warn(line, Notice, stacklevel=2)
        yield plan, store


@contextmanager
def _closing(executor: Executor | None) -> Iterator[None]:
    """Ends what an executor started before the run directory is left: nothing writes into it afterwards."""
    try:
        yield
    finally:
        if executor is not None:
            executor.close()


def _ran(
    live: LivePlan,
    store: EvidenceStore,
    progress: Progress,
    command: str,
    text: KeptText = KeptText.NONE,
    executor: Executor | None = None,
) -> ShardRecord:
    """Runs the jobs of a plan, and returns all that a result needs besides the evidence."""
    plan, begun, started = live.plan, time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    gathered = run(live, store, progress, Outputs(store.run, text, live.pool(FactSet.FORGET)), executor)
    jobs = tuple(job_records(plan, store, gathered.faults))
    seen = {"faults": tuple(gathered.faults), "short_of_plateau": short_of_plateau(jobs)}
    return ShardRecord(
        tool_version=unlearn_audit.__version__,
        policy=plan.spec.policy,
        spec_digest=plan.spec.digest(),
        case=live.case.model_copy(update=seen),
        comparisons=gathered.comparisons,
        models=tuple(gathered.models),
        data=tuple(facts.record() for facts in live.facts.values()),
        jobs=jobs,
        prepared=tuple(sorted(plan.all_prepared)),
        judge=judge_record(plan.judge),
        versions=dict(plan.versions),
        notes=plan.notes,
        engine=plan.engine,
        plugins=plan.plugins,
        profile=plan.spec.profile,
        seed=plan.spec.seed,
        started=started,
        seconds=round(time.monotonic() - begun, 3),
        command=command,
        asked_as=asked_as(plan.spec.attacks or {}),
    )
