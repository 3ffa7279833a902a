"""`model-card.md`: the head of a README on the model hub, with the audit as `model-index` metadata.

Written by huggingface_hub's own classes, offline. The metric's value is the share of facts that the checkpoint
shows at the finding's worst cell: lower is better. The bound is next to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.errors import require
from unlearn_audit.report.formats.rulings import label
from unlearn_audit.report.page import findings_passed, subject_of, verdict_sentence
from unlearn_audit.report.parts.numbers import percent, points
from unlearn_audit.report.parts.text import code_span, escape_markdown
from unlearn_audit.report.parts.view import STATUS_WORDS
from unlearn_audit.verdict.result import CellEstimate, Finding, Result

if TYPE_CHECKING:
    from huggingface_hub.repocard_data import EvalResult

_MOST_ROWS = 100


def render(result: Result) -> str:
    """A YAML block and a section of Markdown for the head of a README.md."""
    measured = [(finding, finding.worst) for finding in result.verdict.findings if finding.gates and finding.worst]
    rows = [_row(finding, worst) for finding, worst in measured[:_MOST_ROWS]]
    more = len(measured) - len(rows)
    lines = [
        "## Unlearning audit",
        "",
        f"**{result.outcome.value}:** {escape_markdown(verdict_sentence(result))}",
        "",
        f"Release tier {code_span(result.case.release.value)}; {findings_passed(result)} deciding findings passed. "
        f"Policy {code_span(result.policy_digest[:12])}, evidence {code_span(result.evidence_digest[:12])}, "
        f"checkpoint {code_span(_digest(result)[:24])}, unlearn-audit {code_span(result.tool_version)}.",
        "",
        *(("| Finding | Status | Shown | Bound, points |", "| --- | --- | ---: | ---: |", *rows) if rows else ()),
        *(("", f"{more} more in the report.") if more > 0 else ()),
        *(("",) if rows else ()),
        "Shown is the share of facts at the worst dose and way of asking. Bound is how far beyond the margin of "
        f"{percent(result.policy.margin)} the excess over the control may lie, with {percent(1 - result.policy.alpha)} "
        "confidence; 0 or less passes. The audit covers only the attacks that it ran.",
    ]
    return f"---\n{_metadata(result)}---\n\n" + "\n".join(lines) + "\n"


def _metadata(result: Result) -> str:
    require("the format `model-card`", ("huggingface_hub",))
    from huggingface_hub.repocard_data import ModelCardData

    results = [
        _evaluation(result, finding, finding.worst)
        for finding in result.verdict.findings
        if finding.gates and finding.worst
    ]
    named = {"model_name": subject_of(result), "eval_results": results} if results else {}
    card = ModelCardData(tags=["unlearning", "unlearn-audit"], **named)  # type: ignore[arg-type]
    text = card.to_yaml(line_break="\n")
    return text if text.endswith("\n") else text + "\n"


def _evaluation(result: Result, finding: Finding, worst: CellEstimate) -> EvalResult:
    from huggingface_hub.repocard_data import EvalResult

    forget = next((data for data in result.data if data.set == "forget"), None)
    arguments = {
        "status": finding.status.value,
        "dose": clean(worst.dose, 200),
        "asked_as": clean(worst.variant, 200),
        "margin": finding.margin,
        "bound": finding.bound,
        "original": worst.original,
        "subjects": finding.subjects,
    }
    return EvalResult(
        task_type="text-generation",
        task_name="Recovery of unlearned knowledge",
        dataset_type="unlearn-audit-forget-set",
        dataset_name="Forget set (not published)",
        dataset_revision=label(forget.digest) if forget else None,
        metric_type=label(finding.id),
        metric_name=f"Share shown, {label(finding.id)} (lower is better)",
        metric_value=worst.unlearned,
        metric_args={name: value for name, value in arguments.items() if value is not None},
    )


def _row(finding: Finding, worst: CellEstimate) -> str:
    shown, bound = (text.replace("<", "\\<") for text in (percent(worst.unlearned), points(finding.bound)))
    return f"| {code_span(clean(finding.id, 200))} | {STATUS_WORDS[finding.status]} | {shown} | {bound} |"


def _digest(result: Result) -> str:
    return next((model.digest for model in result.models if model.role == "unlearned"), "")
