"""What the result says of models and jobs: read from the store, so that a resumed run says what the first one saw."""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.evidence.records import JobRecord, JudgeRecord, ModelRecord
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.case import FaultyJob
from unlearn_audit.plan.plan import Plan, PlannedJudge, PlannedModel


def record_key(model: PlannedModel) -> str:
    """Under which the store keeps how a model was loaded."""
    return f"model-{model.checkpoint.digest[:32]}"


def model_record(store: EvidenceStore, model: PlannedModel) -> ModelRecord:
    """How the model was loaded, now or in the run that gave its jobs."""
    unloaded = dict.fromkeys(("dtype", "device", "chat_template", "architecture"), "not loaded")
    about = store.note(record_key(model)) or {**unloaded, "parameters": model.checkpoint.extent.weights}
    named = {"role": model.role, "name": model.name, "reference": model.checkpoint.reference}
    return ModelRecord.model_validate({**about, **named, "digest": model.checkpoint.digest})


def job_records(plan: Plan, store: EvidenceStore, faults: Sequence[FaultyJob]) -> list[JobRecord]:
    """One record a job, done or faulty, for the result."""
    faulty = {(fault.attack, fault.arm, fault.model, fault.probe): fault for fault in faults}
    records = []
    for job in plan.jobs:
        shared = {
            "key": job.key,
            "attack": job.attack,
            "arm": job.label,
            "role": job.model.role,
            "model": job.model.name,
            "seed": job.seed,
            "sham": job.sham,
        }
        fault = faulty.get((job.attack, job.label, job.model.name, job.own_probe))
        if fault is not None or not store.has(job.key):
            status = "skipped" if fault is not None and fault.skipped else "error"
            records.append(JobRecord(**shared, status=status, seconds=0, observations=0, digest=""))
            continue
        about = store.about(job.key)
        records.append(
            JobRecord(
                **shared,
                status="done",
                seconds=about["seconds"],
                observations=about["observations"],
                digest=about["digest"],
                events=tuple(about["events"]),
                proof=about["proof"],
                cost=about.get("cost"),
            )
        )
    return records


def judge_record(judge: PlannedJudge) -> JudgeRecord:
    """Who judges."""
    if judge.checkpoint is None:
        return JudgeRecord(kind=judge.kind)
    return JudgeRecord(
        kind=judge.kind, reference=judge.checkpoint.reference, digest=judge.checkpoint.digest, twins=judge.twins
    )
