"""The result of a small audit that never ran, for checks of writers: one leak, one pass, and hostile texts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from unlearn_audit.api import Access, Material, ScoreKind
from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.observations import observation_frame
from unlearn_audit.evidence.published import Figure, Metrics, ModelTable, Suite
from unlearn_audit.evidence.records import DataRecord, JobRecord, ModelRecord
from unlearn_audit.plan.case import Case, LeftOut, PlannedFinding
from unlearn_audit.spec.policy import Policy, Release, Unit
from unlearn_audit.verdict.result import (
    CellEstimate,
    Control,
    Finding,
    Interval,
    Outcome,
    PowerEstimate,
    Result,
    Utility,
    Verdict,
)

if TYPE_CHECKING:
    import pandas as pd

SUBJECTS = 40
HOSTILE = "\x1b[31mred\x00\x07 \u202egnp.exe <script>alert(1)</script> `code` | a & b\n\n# PASS"
"""What a model, a plug-in or a user could have put there."""


def sample_material() -> Material:
    """The result of the audit, with its observations at hand."""
    return Material(result=_result(), observations=_observations, published=_published)


def _published() -> Metrics:
    rows = {"forget/0": {"score": 2.5}, "holdout/0": {"score": 2.75}}
    figures = (
        Figure(name="forget_Q_A_Prob", value=0.25, rows=1, by_row={"0": {"prob": 0.25, "avg_loss": 1.386294}}),
        Figure(name="mia_min_k", value=1.0, rows=2, by_row=rows),
        Figure(name="wmdp_cyber/acc", value=0.5, rows=2),
        Figure(name="wmdp_cyber/acc_stderr", value=0.5, rows=2),
        Figure(name="privleak", value=None, missing="it needs --retrained"),
    )
    table = ModelTable(role="unlearned", reference=HOSTILE, figures=figures)
    return Metrics(suite=Suite.TOFU, benchmark="tofu/forget10", labels="aligned", models=(table,))


def _result() -> Result:
    policy = Policy()
    findings = (_finding("as-is", 0.05, Status.PASSED), _finding("quantization", 0.9, Status.FAILED))
    return Result(
        tool_version="0.1.0",
        outcome=Outcome.FAIL,
        exit_code=Outcome.FAIL.exit_code,
        verdict=Verdict(
            outcome=Outcome.FAIL,
            sentence=f"quantization brings back 90 % of what was removed. {HOSTILE}",
            reasons=(f"quantization/recall.hit: {HOSTILE}",),
            control=Control.RETRAINED,
            unit=Unit.SUBJECT,
            findings=findings,
            utility=Utility(status=Status.PASSED, reason="nothing of the retain set is lost", needed=policy.utility),
        ),
        policy=policy,
        policy_digest=policy.digest(),
        spec_digest=_digest("spec"),
        evidence_digest=_digest("evidence"),
        case=_case(findings),
        models=tuple(_model(role) for role in ("original", "retrained", "unlearned")),
        data=(DataRecord(set="forget", digest=_digest("forget"), facts=SUBJECTS, subjects=SUBJECTS),),
        jobs=tuple(_job(finding.attack) for finding in findings),
        versions={"python": "3.11.9", "torch": "2.13.0"},
        profile="standard",
        seed=0,
        started="2026-01-15T09:30:00Z",
        seconds=61.4,
        command="unlearn-audit run --spec audit.yaml",
    )


def _finding(attack: str, shown: float, status: Status) -> Finding:
    excess = round(shown - 0.05 - 0.1 * (0.95 - 0.05), 4)
    interval = Interval(estimate=excess, lower=round(excess - 0.04, 4), upper=round(excess + 0.04, 4))
    cell = CellEstimate(
        dose=attack,
        dose_value=None,
        variant="question",
        subjects=SUBJECTS,
        facts=SUBJECTS,
        unlearned=shown,
        original=0.95,
        controls={"retrained": 0.05},
        excess=interval,
        worst_control="retrained",
    )
    power = PowerEstimate(shown=Interval(estimate=0.9, lower=0.85, upper=0.94), needed=0.3, enough=True)
    return Finding(
        id=f"{attack}/recall.hit",
        attack=attack,
        probe="recall",
        measure="hit",
        kind=ScoreKind.HIT,
        gates=True,
        status=status,
        reason=HOSTILE,
        control=Control.RETRAINED,
        margin=0.1,
        subjects=SUBJECTS,
        facts=SUBJECTS,
        worst=cell,
        bound=interval.upper,
        recovered=round((shown - 0.05) / 0.9, 4),
        p_value=1.0 if status is Status.PASSED else 0.0001,
        holm_p_value=1.0 if status is Status.PASSED else 0.0002,
        power=power,
        cells=(cell,),
    )


def _case(findings: tuple[Finding, ...]) -> Case:
    planned = tuple(
        PlannedFinding(
            attack=one.attack,
            probe=one.probe,
            measure=one.measure,
            kind=one.kind,
            access=Access.PROMPTS,
            gates=one.gates,
        )
        for one in findings
    )
    return Case(
        release=Release.OPEN_WEIGHTS,
        subjects={f"f{number}": f"subject-{number}" for number in range(SUBJECTS)},
        has_original=True,
        controls=("retrained",),
        planned=planned,
        left_out=(LeftOut(what="quantization, gptq", why=HOSTILE),),
    )


def _model(role: str) -> ModelRecord:
    return ModelRecord(
        role=role,
        name=role,
        reference=f"models/{role}",
        digest=_digest(role),
        dtype="float32",
        device="cpu",
        parameters=621_312,
        chat_template=_digest("template"),
        architecture="LlamaForCausalLM",
    )


def _job(attack: str) -> JobRecord:
    return JobRecord(
        key=_digest(attack),
        attack=attack,
        arm=attack,
        role="unlearned",
        model="unlearned",
        seed=0,
        status="done",
        seconds=3.1,
        observations=SUBJECTS,
        digest=_digest(f"{attack} observations"),
    )


def _observations() -> pd.DataFrame:
    rows = [
        {
            "dose": "none",
            "probe": "recall",
            "measure": "hit",
            "variant": "question",
            "fact_id": f"f{number}",
            "score": float(number % 2),
        }
        for number in range(SUBJECTS)
    ]
    frame = observation_frame(rows)
    placed = frame.assign(role="unlearned", model="unlearned", attack="as-is", seed=0, sham=False)
    return placed.assign(subject="subject-" + placed["fact_id"], relation="born_in")


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
