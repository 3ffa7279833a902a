"""One audit from its spec to its result: plan, run, decide, write. The only place that knows all five hops."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import unlearn_audit
from unlearn_audit.api import FactSet
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.files import write_json, write_text
from unlearn_audit.evidence.manifest import SHARD, write_manifest
from unlearn_audit.evidence.old_names import asked_as
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Plan
from unlearn_audit.report import write as write_reports
from unlearn_audit.run.records import job_records, judge_record
from unlearn_audit.run.runner import Progress, run
from unlearn_audit.run.shard import Shard
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.run.transcripts import Outputs
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.spec.waivers import Waiving
from unlearn_audit.spec.yaml_files import read_yaml
from unlearn_audit.verdict.conclude import ShardRecord, concluded
from unlearn_audit.verdict.result import RESULT, Result

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
) -> Result:
    """Runs what is not done yet, decides on all of it, and writes the reports into `out`.

    `text` says how much of the models' answers is kept, in a separate file next to the reports.

    Raises:
        SpecError: `out` holds another audit.
    """
    store = _opened(live.plan, out, shared)
    record = _ran(live, store, progress, command, text)
    result = concluded(record, store, waivers)
    write_reports(result, out, formats)
    write_manifest(out)
    return result


def audit_shard(
    live: LivePlan, out: Path, progress: Progress, shard: Shard, *, shared: Path | None = None, command: str = ""
) -> ShardRecord:
    """Runs one part of the jobs and decides nothing: `merge` does, once it has all parts.

    Comparisons of models as wholes belong to the first part.

    Raises:
        SpecError: `out` holds another audit.
    """
    store = _opened(live.plan, out, shared)
    extractions = live.plan.extractions if shard.number == 1 else ()
    part = live.plan.model_copy(update={"jobs": shard.of(live.plan.jobs), "extractions": extractions})
    own = replace(live, plan=part)
    record = _ran(own, store, progress, command).model_copy(update={"shard": str(shard)})
    write_json(out / SHARD, record.model_dump(mode="json"))
    return record


def _opened(plan: Plan, out: Path, shared: Path | None) -> EvidenceStore:
    _claim(out, plan.spec)
    store = EvidenceStore(out, shared)
    write_text(out / "spec.yaml", plan.spec.as_yaml())
    write_json(out / "plan.json", plan.as_json())
    return store


def _ran(
    live: LivePlan, store: EvidenceStore, progress: Progress, command: str, text: KeptText = KeptText.NONE
) -> ShardRecord:
    """Runs the jobs of a plan, and returns all that a result needs besides the evidence."""
    plan, begun, started = live.plan, time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    gathered = run(live, store, progress, Outputs(store.run, text, live.pool(FactSet.FORGET)))
    return ShardRecord(
        tool_version=unlearn_audit.__version__,
        policy=plan.spec.policy,
        spec_digest=plan.spec.digest(),
        case=live.case.model_copy(update={"faults": tuple(gathered.faults)}),
        comparisons=gathered.comparisons,
        models=tuple(gathered.models),
        data=tuple(facts.record() for facts in live.facts.values()),
        jobs=tuple(job_records(plan, store, gathered.faults)),
        prepared=tuple(sorted(plan.all_prepared)),
        judge=judge_record(plan.judge),
        versions=dict(plan.versions),
        profile=plan.spec.profile,
        seed=plan.spec.seed,
        started=started,
        seconds=round(time.monotonic() - begun, 3),
        command=command,
        asked_as=asked_as(plan.spec.attacks or {}),
    )


def _claim(out: Path, spec: AuditSpec) -> None:
    """Refuses a directory that holds something else: an audit of other files, or no audit at all."""
    if not out.exists():
        return
    if not out.is_dir():
        raise SpecError(f"{out}: expected a directory, got a file; give another --out")
    kept = out / "spec.yaml"
    if not kept.is_file():
        if any(out.iterdir()):
            raise SpecError(f"{out}: is not empty and is not a run of this tool; give another --out")
        return
    if read_yaml(kept).get("checkpoint") != spec.checkpoint:
        raise SpecError(f"{out}: has the audit of another checkpoint ({RESULT}); give another --out")
