"""The judge's model on disk: found, named by its digest, and refused where it cannot judge. Loads no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unlearn_audit.api.judge import JudgeKind
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.evidence.files import read_json
from unlearn_audit.models.references import Storage, resolve, same_model
from unlearn_audit.plan.plan import PlannedJudge, PlannedModel
from unlearn_audit.spec.spec import AuditSpec

ENTAILMENT = "entailment"


def planned_judge(spec: AuditSpec, models: Sequence[PlannedModel]) -> PlannedJudge:
    """The judge of a spec.

    Raises:
        AuditError: its model is missing, is not a directory of safetensors, or has no label for entailment.
        SpecError: it is a model of the audit.
    """
    chosen = spec.judge
    if chosen.model is None:
        return PlannedJudge(kind=chosen.kind)
    checkpoint = resolve(chosen.model, download=spec.models.download)
    if checkpoint.storage is not Storage.DIRECTORY:
        raise SpecError(f"{chosen.model}: expected a directory with safetensors as the judge, got {checkpoint.storage}")
    for model in models:
        if same_model(model.checkpoint, checkpoint):
            raise SpecError(f"{chosen.model}: has the weights of the {model.name} model; a model cannot judge itself")
    if chosen.kind is JudgeKind.ENTAILMENT:
        entailment_index(checkpoint.path)
    return PlannedJudge(kind=chosen.kind, twins=chosen.twins, checkpoint=checkpoint)


def entailment_index(directory: Path) -> int:
    """Which output of a classifier means entailment, by the labels in its settings.

    Raises:
        AuditError: none does.
    """
    path = directory / "config.json"
    try:
        labels = dict(read_json(path).get("id2label") or {})
        found = [int(index) for index, label in labels.items() if str(label).casefold() == ENTAILMENT]
    except (ValueError, AttributeError, TypeError) as error:
        raise AuditError(f"{path}: expected a readable JSON file ({error})") from error
    if len(found) != 1 or len(labels) < 2:
        raise AuditError(
            f"{path}: expected one of several labels in id2label to be {ENTAILMENT!r}, got "
            f"{sorted(map(str, labels.values()))}; a judge of entailment is a model trained for it"
        )
    return found[0]
