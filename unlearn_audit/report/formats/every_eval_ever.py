"""`every-eval-ever.json`: a record of the EvalEval Coalition's shared schema, version 0.3.0, one result a finding.

The score is the share of facts that the checkpoint shows at the finding's worst cell. A finding without evidence has no
score and no entry: the record's details name it, and it is never entered as 0.
"""

from __future__ import annotations

from unlearn_audit.api import ScoreKind
from unlearn_audit.api.kit.printable import clean
from unlearn_audit.evidence.records import ModelRecord
from unlearn_audit.report.formats.json import canonical
from unlearn_audit.report.formats.rulings import label, started
from unlearn_audit.report.page import subject_of, verdict_sentence
from unlearn_audit.spec.policy import Release
from unlearn_audit.verdict.result import CellEstimate, Finding, Result

SCHEMA_VERSION = "0.3.0"
_DESCRIPTION = "Share of the forget set that the checkpoint shows at the worst dose and way of asking."
_AVAILABILITY = {Release.OPEN_WEIGHTS: "open_weights", Release.API: "closed_weights"}


def render(result: Result) -> str:
    """The record, in ASCII. Its time is the audit's own, so that equal results are equal records."""
    begun = started(result)
    epoch = str(int(begun.timestamp())) if begun else "0"
    model = next((each for each in result.models if each.role == "unlearned"), None)
    measured = [(finding, finding.worst) for finding in result.verdict.findings if finding.worst]
    record = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"unlearn-audit/{_model_id(result, model)}/{epoch}",
        "retrieved_timestamp": epoch,
        **({"evaluation_timestamp": epoch} if begun else {}),
        "source_metadata": {
            "source_name": "unlearn-audit",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": _verdict_details(result),
        },
        "eval_library": {"name": "unlearn-audit", "version": label(result.tool_version)},
        "model_info": {
            "name": subject_of(result),
            "id": _model_id(result, model),
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": _AVAILABILITY[result.case.release],
                **({"digest": label(model.digest), "architecture": label(model.architecture)} if model else {}),
            },
        },
        "evaluation_results": [_entry(result, finding, worst, epoch) for finding, worst in measured],
    }
    return canonical(record)


def _entry(result: Result, finding: Finding, worst: CellEstimate, epoch: str) -> dict[str, object]:
    forget = {data.set: data.digest for data in result.data}.get("forget", "")
    details = {
        "status": finding.status.value,
        "decides": str(finding.gates).lower(),
        "reason": clean(finding.reason, 400),
        "worst_dose": clean(worst.dose, 200),
        "asked_as": clean(worst.variant, 200),
        "excess": str(worst.excess.estimate),
        "excess_lower": str(worst.excess.lower),
        "excess_upper": str(worst.excess.upper),
        "bound": "" if finding.bound is None else str(finding.bound),
        "original": "" if worst.original is None else str(worst.original),
        **_controls(worst),
    }
    return {
        "evaluation_result_id": label(finding.id),
        "evaluation_name": label(f"{finding.attack}/{finding.probe}"),
        "evaluation_timestamp": epoch,
        "source_data": {
            "dataset_name": "forget set",
            "source_type": "other",
            "additional_details": {"digest": label(forget)},
        },
        "metric_config": {
            "evaluation_description": _DESCRIPTION,
            "metric_id": label(finding.measure),
            "metric_kind": "hit rate" if finding.kind is ScoreKind.HIT else "mean score",
            "lower_is_better": True,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
            "metric_parameters": {"margin": finding.margin, "alpha": result.policy.alpha},
        },
        "score_details": {
            "score": worst.unlearned,
            "details": details,
            "uncertainty": {"num_samples": finding.facts},
        },
    }


def _controls(worst: CellEstimate) -> dict[str, str]:
    """Names and shares under keys of our own: two names may look the same once they are printable."""
    found: dict[str, str] = {}
    for number, (name, share) in enumerate(worst.controls.items(), 1):
        found |= {f"control_{number}_name": label(name), f"control_{number}": str(share)}
    return found


def _verdict_details(result: Result) -> dict[str, str]:
    without = [label(finding.id) for finding in result.verdict.findings if finding.worst is None]
    return {
        "outcome": result.outcome.value,
        "exit_code": str(result.exit_code),
        "sentence": verdict_sentence(result),
        "policy_digest": label(result.policy_digest),
        "evidence_digest": label(result.evidence_digest),
        "findings_without_evidence": clean(", ".join(without)),
    }


def _model_id(result: Result, model: ModelRecord | None) -> str:
    return label(model.reference if model else subject_of(result))
