"""Evidence that is all there -> a result."""

from __future__ import annotations

from unlearn_audit.evidence.agreement import agreed
from unlearn_audit.evidence.records import (
    ComparisonRecord,
    DataRecord,
    JobRecord,
    JudgeRecord,
    ModelRecord,
    Record,
)
from unlearn_audit.evidence.store import EvidenceStore, evidence_digest
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy
from unlearn_audit.spec.waivers import Waiving
from unlearn_audit.verdict.decide import decide
from unlearn_audit.verdict.policy.rules import under
from unlearn_audit.verdict.result import Result


class ShardRecord(Record):
    """All that a result needs beside the evidence and the verdict; of a part or of the whole."""

    shard: str = ""
    tool_version: str
    policy: Policy
    spec_digest: str
    case: Case
    comparisons: tuple[ComparisonRecord, ...]
    models: tuple[ModelRecord, ...]
    data: tuple[DataRecord, ...]
    jobs: tuple[JobRecord, ...]
    prepared: tuple[str, ...]
    judge: JudgeRecord = JudgeRecord()
    versions: dict[str, str]
    profile: str
    seed: int
    started: str
    seconds: float
    command: str


def concluded(record: ShardRecord, store: EvidenceStore, waivers: Waiving | None = None) -> Result:
    """The verdict on evidence that is all there."""
    policy, observations = record.policy, store.gather(record.jobs)
    verdict = decide(observations, under(record.case, policy), policy, record.comparisons, waivers)
    kept = {name: getattr(record, name) for name in Result.model_fields.keys() & ShardRecord.model_fields.keys()}
    return Result(
        outcome=verdict.outcome,
        exit_code=verdict.outcome.exit_code,
        verdict=verdict,
        policy_digest=policy.digest(),
        evidence_digest=evidence_digest(observations),
        **{**kept, "judge": agreed(record.judge, record.jobs)},
    )
