"""Evidence that is all there -> a result."""

from __future__ import annotations

from unlearn_audit.evidence.agreement import agreed
from unlearn_audit.evidence.observations import evidence_digest
from unlearn_audit.evidence.records import ComparisonRecord
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.spec.waivers import Waiving
from unlearn_audit.verdict.decide import decide
from unlearn_audit.verdict.policy.planned import under
from unlearn_audit.verdict.result import Result, RunRecord
from unlearn_audit.verdict.skipped import case_without_skipped, jobs_without_skipped


class ShardRecord(RunRecord):
    """All that a result needs besides the evidence and the verdict; of a part of the jobs, or of all.

    Attributes:
        shard: which part (`1/3`); empty for the whole.
        comparisons: what was found over whole models, not yet decided.
        prepared: names of the job directories that hold what attacks prepared.
    """

    shard: str = ""
    comparisons: tuple[ComparisonRecord, ...]
    prepared: tuple[str, ...]


def concluded(record: ShardRecord, store: EvidenceStore, waivers: Waiving | None = None) -> Result:
    """The verdict on evidence that is all there."""
    policy, jobs = record.policy, jobs_without_skipped(record.jobs, record.case)
    observations = store.gather(jobs)
    case = case_without_skipped(record.case, jobs, observations)
    record = record.model_copy(update={"jobs": jobs, "case": case})
    verdict = decide(observations, under(record.case, policy), policy, record.comparisons, waivers)
    kept = {name: getattr(record, name) for name in RunRecord.model_fields}
    return Result(
        outcome=verdict.outcome,
        exit_code=verdict.outcome.exit_code,
        verdict=verdict,
        policy_digest=policy.digest(),
        evidence_digest=evidence_digest(observations),
        **{**kept, "judge": agreed(record.judge, record.jobs)},
    )
