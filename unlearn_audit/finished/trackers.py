"""A finished audit in an experiment tracker: MLflow or Weights & Biases, each an extra. Nothing goes there unasked."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import assert_never

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.errors import require
from unlearn_audit.evidence.manifest import RESULT
from unlearn_audit.report.sections.summary import checkpoint_name
from unlearn_audit.verdict.result import Result

PROJECT = "unlearn-audit"
_FILES = (RESULT, "report.html", "report.md")
_LONGEST = 250  # characters of a value that both take


class Tracker(StrEnum):
    """Where to log."""

    MLFLOW = "mlflow"
    WANDB = "wandb"


def check(tracker: Tracker) -> None:
    """Refuses a tracker before hours of work.

    Raises:
        MissingExtraError: its library is not installed.
    """
    require(f"`--log-to {tracker}`", (tracker.value,), extra=tracker.value)


def log_to(tracker: Tracker, run: Path, result: Result) -> None:
    """Logs settings, numbers and reports: into the run that is active in this process, or into one of its own.

    Where it goes is the library's own affair: `MLFLOW_TRACKING_URI`, `WANDB_MODE=offline` and so on. Numbers are
    `audit/exit_code`, and for each finding that decides `<finding>/shown`, `/bound` and `/excess`. No text of a model
    and no subject's name goes there.

    Raises:
        MissingExtraError: the library is not installed.
    """
    check(tracker)
    files = [run / name for name in _FILES if (run / name).is_file()]
    match tracker:
        case Tracker.MLFLOW:
            _mlflow(result, files)
        case Tracker.WANDB:
            _wandb(result, files)
        case _:
            assert_never(tracker)


def settings_of(result: Result) -> dict[str, str]:
    """What was audited, by which policy, and what came of it."""
    return {
        "checkpoint": clean(checkpoint_name(result), _LONGEST),
        "outcome": result.outcome.value,
        "release": result.case.release.value,
        "profile": clean(result.profile, _LONGEST),
        "seed": str(result.seed),
        "policy_digest": result.policy_digest,
        "evidence_digest": result.evidence_digest,
        "tool_version": clean(result.tool_version, _LONGEST),
    }


def numbers_of(result: Result) -> dict[str, float]:
    """The numbers of the findings that decide; what there is none of is absent."""
    found: dict[str, float] = {"audit/exit_code": float(result.exit_code)}
    for finding in result.verdict.findings:
        if not finding.gates or finding.worst is None:
            continue
        name = clean(finding.id, 100)
        found[f"{name}/shown"] = finding.worst.unlearned
        found[f"{name}/excess"] = finding.worst.excess.estimate
        if finding.bound is not None:
            found[f"{name}/bound"] = finding.bound
    if result.verdict.utility.unlearned is not None:
        found["audit/utility"] = result.verdict.utility.unlearned
    return found


def _mlflow(result: Result, files: list[Path]) -> None:
    import mlflow

    own = mlflow.active_run() is None
    if own:
        mlflow.set_experiment(PROJECT)
        mlflow.start_run(run_name=clean(checkpoint_name(result), _LONGEST))
    try:
        mlflow.set_tags({f"audit.{name}": value for name, value in settings_of(result).items()})
        mlflow.log_metrics(numbers_of(result))
        for file in files:
            mlflow.log_artifact(str(file), "audit")
    finally:
        if own:
            mlflow.end_run()


def _wandb(result: Result, files: list[Path]) -> None:
    import wandb

    own = wandb.run is None
    run = wandb.init(project=PROJECT, name=clean(checkpoint_name(result), _LONGEST)) if own else wandb.run
    try:
        run.config.update({f"audit.{name}": value for name, value in settings_of(result).items()})
        run.log(numbers_of(result))
        artifact = wandb.Artifact(f"audit-{result.evidence_digest[:12]}", type="audit")
        for file in files:
            artifact.add_file(str(file))
        run.log_artifact(artifact)
    finally:
        if own:
            run.finish()
