"""A finished audit in an experiment tracker: what goes there, and what the real libraries keep of it, offline."""

from __future__ import annotations

import pytest

import unlearn_audit as ua
from tests.finished.finished_run import finished_run, small
from tests.golden import sample
from unlearn_audit.errors import MissingExtraError, SpecError
from unlearn_audit.finished.trackers import _FILES, Tracker, numbers_of, settings_of


@pytest.fixture
def audit(tmp_path) -> ua.Audit:
    finished_run(tmp_path / "run", small())
    return ua.load(tmp_path / "run")


def test_the_numbers_are_those_of_the_findings_that_decide():
    result = sample.failed()
    numbers = numbers_of(result)
    deciding = [one for one in result.verdict.findings if one.gates and one.worst is not None]
    assert numbers["audit/exit_code"] == 1.0
    for one in deciding:
        assert numbers[f"{one.id}/shown"] == one.worst.unlearned
        assert numbers.get(f"{one.id}/bound") == one.bound
    assert sum(name.endswith("/shown") for name in numbers) == len(deciding)
    assert settings_of(result)["policy_digest"] == result.policy_digest
    lost = next(one.id for one in sample.error().verdict.findings if one.worst is None)
    assert not any(name.startswith(f"{lost}/") for name in numbers_of(sample.error()))  # missing is absent, never 0


def test_a_tracker_that_is_not_installed_is_said_before_the_work(monkeypatch, audit):
    from unlearn_audit.cli.common import trackers_named

    monkeypatch.setattr("unlearn_audit.errors.missing", lambda modules: list(modules))
    for name in Tracker:
        with pytest.raises(MissingExtraError, match=rf"unlearn-audit\[{name}\]"):
            trackers_named([name.value])
    with pytest.raises(SpecError, match="did you mean 'mlflow'"):
        trackers_named(["mlfow"])
    with pytest.raises(MissingExtraError):
        audit.log_to("wandb")
    with pytest.raises(SpecError, match="tracker: got 'wandbe'; did you mean 'wandb'"):
        audit.log_to("wandbe")


@pytest.mark.ecosystem
@pytest.mark.filterwarnings("default")  # of the library's own affairs
def test_mlflow_keeps_numbers_settings_and_reports(audit, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # mlflow-skinny has no database
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    audit.log_to("mlflow")
    (run,) = mlflow.MlflowClient().search_runs([mlflow.get_experiment_by_name("unlearn-audit").experiment_id])
    assert run.data.metrics == pytest.approx(numbers_of(audit.result))
    assert run.data.tags["audit.outcome"] == audit.outcome.value and run.info.status == "FINISHED"
    kept = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id, "audit")}
    assert "audit/result.json" in kept
    assert kept == {f"audit/{name}" for name in _FILES if (audit.run / name).is_file()}
    with mlflow.start_run() as own:  # an active run is used, and left open
        audit.log_to("mlflow")
        assert mlflow.active_run().info.run_id == own.info.run_id
    assert mlflow.MlflowClient().get_run(own.info.run_id).data.metrics["audit/exit_code"] == audit.outcome.exit_code


@pytest.mark.ecosystem
@pytest.mark.filterwarnings("default")
def test_wandb_keeps_an_offline_run(audit, tmp_path, monkeypatch):
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    audit.log_to("wandb")
    assert wandb.run is None
    wandb.teardown()  # its service writes behind our back; now it has
    (kept,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    content = kept.read_bytes()
    assert audit.result.policy_digest.encode() in content and b"audit/exit_code" in content
    own = wandb.init(project="mine", dir=str(tmp_path))
    audit.log_to("wandb")
    assert wandb.run is own and own.summary["audit/exit_code"] == audit.outcome.exit_code
    own.finish()
