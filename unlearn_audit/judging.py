"""Evidence -> result, and a finished run judged again by another policy. No torch: works on a laptop."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit.api import AuditError
from unlearn_audit.evidence import EvidenceStore, evidence_digest
from unlearn_audit.policy import Policy
from unlearn_audit.report.as_json import load_result
from unlearn_audit.report.writer import Material
from unlearn_audit.result import Result
from unlearn_audit.verdict import judge

if TYPE_CHECKING:
    import pandas as pd

RESULT = "result.json"


def material_of(run: Path) -> Material:
    """What reports of a finished run are made from; the evidence is read only if a report asks for it."""
    result = load_result(run / RESULT)
    return Material(result=result, observations=partial(observations_of, run, result))


def observations_of(run: Path, result: Result) -> pd.DataFrame:
    """All observations of a finished run.

    Raises:
        AuditError: they are not what the result was made from.
    """
    observations = EvidenceStore(run).gather(result.cells)
    if evidence_digest(observations) != result.evidence_digest:
        raise AuditError(f"{run}: the evidence is not the one that {RESULT} was made from; run the audit again")
    return observations


def judge_again(run: Path, policy: Policy | None = None) -> Result:
    """A finished run's result, by its own policy or by another.

    Raises:
        AuditError: there is no finished run, or its evidence is not what the result was made from.
    """
    if not (run / RESULT).is_file():
        raise AuditError(f"{run}: no {RESULT} here; is it a run directory, and did the run finish?")
    result = load_result(run / RESULT)
    policy = policy or result.policy
    observations = observations_of(run, result)
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
