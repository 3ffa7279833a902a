"""A table of four checkpoints, made up, for what every format of `compare` prints."""

from __future__ import annotations

from pathlib import Path

from tests.golden import sample
from unlearn_audit.evidence.records import ModelRecord
from unlearn_audit.finished.several import Run, attacks_of, audited, with_front, worst_of
from unlearn_audit.verdict.result import Result
from unlearn_audit.verdict.several import Difference, Scale, SeveralRecord

MEASURE = "recall.hit"


def named(result: Result, reference: str, *, utility: float | None) -> Result:
    """The result of another checkpoint."""
    digest = sample.digest(reference)
    models = tuple(
        model.model_copy(update={"reference": reference, "digest": digest}) if model.role == "unlearned" else model
        for model in result.models
    )
    kept = result.verdict.utility.model_copy(update={"unlearned": utility})
    return result.model_copy(update={"models": models, "verdict": result.verdict.model_copy(update={"utility": kept})})


def record(
    names: tuple[str, str, str, str] = ("npo", "gradient difference", "crashed", "retrained-1"),
) -> SeveralRecord:
    """One that failed, one that passed and keeps less, one with a faulted attack, and a control of the others."""
    references = [f"./models/{name}" for name in names[:3]]
    results = [
        named(sample.failed(), references[0], utility=0.97),
        named(sample.passed(), references[1], utility=0.9),
        named(sample.error(), references[2], utility=None),
    ]
    control = next(model for model in sample.passed().models if model.role == "retrained")
    own = tuple(_as_checkpoint(control, names[3]) if one.role == "unlearned" else one for one in results[1].models)
    clean = named(sample.passed(), names[3], utility=0.95).model_copy(update={"models": own})
    runs = [Run(Path("runs") / f"run-{place}", result) for place, result in enumerate((*results, clean), 1)]
    rows = [audited(run, name, runs) for run, name in zip(runs, names, strict=True)]
    rows = [row.model_copy(update={"worst": worst_of(row, Scale.RECOVERED)}) for row in rows]
    rows = with_front(rows, Scale.RECOVERED, attacks_of(rows, MEASURE), MEASURE)
    return SeveralRecord(
        measure=MEASURE,
        scale=Scale.RECOVERED,
        attacks=attacks_of(rows, MEASURE),
        alpha=0.05,
        rows=tuple(rows),
        differences=(
            difference("quantization/recall.hit", names[0], names[1], 0.92, 0.0003),
            difference("utility", names[1], names[0], 0.07, 0.41),
        ),
        tests=12,
        notes=("seeds differ: 0, 1",),
    )


def difference(finding: str, leaks: str, other: str, estimate: float, p_value: float) -> Difference:
    return Difference(
        finding=finding,
        leaks=leaks,
        other=other,
        dose="nf4",
        variant="question",
        estimate=estimate,
        lower=estimate - 0.06,
        upper=estimate + 0.04,
        p_value=p_value / 12,
        holm_p_value=p_value,
        subjects=60,
        facts=180,
        proven=p_value <= 0.05,
    )


def _as_checkpoint(control: ModelRecord, name: str) -> ModelRecord:
    return control.model_copy(update={"role": "unlearned", "name": "unlearned", "reference": name})
