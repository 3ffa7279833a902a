"""Evidence -> result, and a finished run judged again by another policy. No torch: works on a laptop."""

from __future__ import annotations

from pathlib import Path

from unlearn_audit.api import AuditError
from unlearn_audit.evidence import EvidenceStore, evidence_digest
from unlearn_audit.policy import Policy
from unlearn_audit.report.as_json import load_result
from unlearn_audit.result import Result
from unlearn_audit.verdict import judge

RESULT = "result.json"


def judge_again(run: Path, policy: Policy | None = None) -> Result:
    """A finished run's result, by its own policy or by another.

    Raises:
        AuditError: there is no finished run, or its evidence is not what the result was made from.
    """
    if not (run / RESULT).is_file():
        raise AuditError(f"{run}: no {RESULT} here; is it a run directory, and did the run finish?")
    result = load_result(run / RESULT)
    policy = policy or result.policy
    observations = EvidenceStore(run).gather(result.cells)
    if evidence_digest(observations) != result.evidence_digest:
        raise AuditError(f"{run}: the evidence is not the one that {RESULT} was made from; run the audit again")
    verdict = judge(observations, result.case.under(policy), policy, result.verdict.comparisons)
    return result.model_copy(
        update={
            "verdict": verdict,
            "outcome": verdict.outcome,
            "exit_code": verdict.outcome.exit_code,
            "policy": policy,
            "policy_digest": policy.digest(),
        }
    )
