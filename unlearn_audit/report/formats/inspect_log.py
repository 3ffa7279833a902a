"""`inspect.json`: a log of Inspect (inspect-ai), version 2, with a score per finding, for its viewer and data frames.

Written as Inspect's own classes read it, without the library. A sample of Inspect holds a question and an answer, which
a run does not keep: the log has no samples. A finding without evidence has no score, and is never entered as 0.
"""

from __future__ import annotations

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.formats.json import canonical
from unlearn_audit.report.formats.rulings import label, started
from unlearn_audit.report.page import subject_of, verdict_sentence
from unlearn_audit.verdict.result import CellEstimate, Finding, Result

VERSION = 2
_ID = 22  # characters, as Inspect's own
_EPOCH = "1970-01-01T00:00:00+00:00"


def render(result: Result) -> str:
    """The log. Its ids and its time are the audit's own, so that equal results are equal logs."""
    begun = started(result)
    time = begun.isoformat(timespec="seconds") if begun else _EPOCH
    facts = max((finding.facts for finding in result.verdict.findings), default=0)
    measured = [(finding, finding.worst) for finding in result.verdict.findings if finding.worst]
    log = {
        "version": VERSION,
        "status": "success",
        "eval": {
            "eval_id": result.evidence_digest[:_ID],
            "run_id": result.spec_digest[:_ID],
            "task_id": result.policy_digest[:_ID],
            "created": time,
            "task": "unlearn-audit",
            "task_version": 0,
            "dataset": {"name": "forget set", "samples": facts},
            "model": label(subject_of(result)),
            "config": {},
            "packages": {"unlearn-audit": label(result.tool_version)},
            "metadata": _metadata(result),
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": facts,
            "completed_samples": facts,
            "scores": [_score(finding, worst) for finding, worst in measured],
        },
        "stats": {"started_at": time, "completed_at": time, "model_usage": {}},
    }
    return canonical(log)


def _metadata(result: Result) -> dict[str, object]:
    return {
        "outcome": result.outcome.value,
        "exit_code": result.exit_code,
        "sentence": verdict_sentence(result),
        "release": result.case.release.value,
        "policy_digest": label(result.policy_digest),
        "evidence_digest": label(result.evidence_digest),
    }


def _score(finding: Finding, worst: CellEstimate) -> dict[str, object]:
    numbers = {
        "shown": worst.unlearned,
        "original": worst.original,
        "excess": worst.excess.estimate,
        "bound": finding.bound,
    }
    return {
        "name": label(finding.id),
        "scorer": label(finding.probe),
        "scored_samples": finding.facts,
        "params": {"attack": label(finding.attack), "measure": label(finding.measure)},
        "metrics": {name: {"name": name, "value": value} for name, value in numbers.items() if value is not None},
        "metadata": {
            "status": finding.status.value,
            "decides": finding.gates,
            "dose": clean(worst.dose, 200),
            "asked_as": clean(worst.variant, 200),
            "reason": clean(finding.reason, 400),
        },
    }
