"""What a pipeline runs on a finished run: screen, exit code and JSON agree; nothing that was changed goes through."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.finished.finished_run import checkpoint, finished_run, small
from tests.verdict.test_verdict import LEAK, RECALL, subjects
from unlearn_audit.cli import app as cli
from unlearn_audit.plan.case import FaultyJob

FAULT = FaultyJob(attack="quantization", arm="nf4", model="unlearned", message="no memory")
OUTCOMES = {
    "PASS": (0, lambda: small()),
    "FAIL": (1, lambda: small().score(1.0, **LEAK)),
    "INCONCLUSIVE": (3, lambda: small().score(1.0, **LEAK, variant="question", fact_id=subjects(0, 9, 1))),
    "ERROR": (4, lambda: small().but(faults=(FAULT,))),
}


@pytest.fixture
def invoke(monkeypatch, capsys):
    def call(*args):
        monkeypatch.setattr(sys, "argv", ["unlearn-audit", *map(str, args)])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as left:
            cli.main()
            raise SystemExit(0)
        captured = capsys.readouterr()
        return left.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def run_of(tmp_path_factory) -> Callable[[str], Path]:
    runs: dict[str, Path] = {}

    def run(outcome: str) -> Path:
        if outcome not in runs:
            runs[outcome] = tmp_path_factory.mktemp(outcome) / "run"
            finished_run(runs[outcome], OUTCOMES[outcome][1]())
        return runs[outcome]

    return run


@pytest.fixture
def copy_of(run_of, tmp_path) -> Callable[[str], Path]:
    import shutil

    return lambda outcome: shutil.copytree(run_of(outcome), tmp_path / "copy")


def write_waivers(path: Path, run: Path, **values: object) -> Path:
    model = json.loads((run / "result.json").read_text())["case"]["checkpoint"]
    given = {"finding": RECALL, "model": model, "reason": "never quantized", "owner": "A. Owner"}
    path.write_text(yaml.safe_dump({"waivers": [{**given, "expires": "2999-12-31", **values}]}))
    return path


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_screen_exit_code_and_json_agree(run_of, invoke, outcome) -> None:
    run, code = run_of(outcome), OUTCOMES[outcome][0]
    found, out, err = invoke("gate", run, "--json")
    said = json.loads(out)
    assert found == said["exit_code"] == json.loads((run / "result.json").read_text())["exit_code"] == code
    assert said["outcome"] == said["verdict"]["outcome"] == outcome
    lines = err.splitlines()
    assert lines[0].startswith(f"{outcome}  ")
    assert any(line.startswith(f"{outcome} (exit code {code}).") for line in lines)
    assert said["verdict"]["sentence"].startswith(outcome)
    assert f"**{outcome}.**" in (run / "report.md").read_text()


def test_a_waived_leak_passes_and_is_seen_everywhere(run_of, invoke, tmp_path) -> None:
    run = run_of("FAIL")
    waivers, page, text = write_waivers(tmp_path / "w.yaml", run), tmp_path / "r.html", tmp_path / "r.md"
    code, out, err = invoke("gate", run, "--waivers", waivers, "--json", "-f", f"html={page}", "-f", f"md={text}")
    assert code == 0
    said = json.loads(out)
    (failed,) = [one for one in said["verdict"]["findings"] if one["id"] == RECALL]
    assert (said["outcome"], failed["status"], failed["waiver"]["owner"]) == ("WAIVED", "failed", "A. Owner")
    for shown in (" ".join(one.split()) for one in (err, page.read_text(), text.read_text())):
        assert "A. Owner" in shown and "never quantized" in shown and "2999-12-31" in shown
    assert "quantization/recall.hit *" in err
    assert "WAIVED (exit code 0). No PASS:" in err


def test_a_gate_may_refuse_what_somebody_accepted(run_of, invoke, tmp_path) -> None:
    run = run_of("FAIL")
    code, _, err = invoke("gate", run, "--no-waivers", "--waivers", write_waivers(tmp_path / "w.yaml", run))
    assert (code, "give --waivers or --no-waivers, not both" in err) == (2, True)
    assert invoke("gate", run, "--no-waivers")[0] == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expires": "2020-01-01"}, "expired: quantization/recall.hit: has no effect: it expired on 2020-01-01"),
        ({"model": "b" * 64}, "unused: quantization/recall.hit: has no effect: it is for the model"),
    ],
)
def test_an_expired_or_unused_waiver_waives_nothing_and_says_so(run_of, invoke, tmp_path, changes, said) -> None:
    run = run_of("FAIL")
    code, out, _ = invoke("gate", run, "--waivers", write_waivers(tmp_path / "w.yaml", run, **changes))
    assert code == 1
    assert said in " ".join(out.split())


def test_a_waiver_file_is_checked_like_every_other(run_of, invoke, tmp_path) -> None:
    run = run_of("FAIL")
    path = write_waivers(tmp_path / "w.yaml", run, expires="later")
    code, _, err = invoke("gate", run, "--waivers", path)
    assert code == 2
    assert "expires" in err


def change_margin(run: Path) -> None:
    edit(run / "result.json", lambda data: data["policy"].update(margin=0.9))


def change_outcome(run: Path) -> None:
    def lie(data):
        data.update(outcome="PASS", exit_code=0)
        data["verdict"].update(outcome="PASS", reasons=[])

    edit(run / "result.json", lie)


def change_score(run: Path) -> None:
    victim = next(run.glob("jobs/*/observations.parquet"))
    victim.write_bytes(victim.read_bytes()[:-10])


def edit(path: Path, change: Callable[[dict], None]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data, sort_keys=True, indent=2) + "\n")


def reseal(run: Path) -> None:
    """What somebody does who knows of the manifest."""
    from unlearn_audit.evidence.manifest import write_manifest

    change_outcome(run)
    write_manifest(run)


TAMPERED = {
    "outcome": change_outcome,
    "margin": change_margin,
    "score": change_score,
    "manifest gone": lambda run: (run / "manifest.json").unlink(),
    "spec": lambda run: (run / "spec.yaml").write_text("checkpoint: other\nforget: f.jsonl\n"),
    "resealed": reseal,
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_run_is_exit_5(copy_of, invoke, how) -> None:
    run = copy_of("FAIL")
    assert invoke("verify", run, "--no-checkpoint")[0] == 0
    TAMPERED[how](run)
    for command in (("gate", run), ("verify", run, "--no-checkpoint")):
        code, out, err = invoke(*command)
        assert code == 5, command
        assert "Traceback" not in out + err
    if how in ("outcome", "margin"):
        assert invoke("report", run, "-f", "md")[0] == 5


def test_a_changed_weight_file_is_exit_5(run_of, invoke, tmp_path) -> None:
    run = tmp_path / "run"
    model = checkpoint(tmp_path / "model")
    finished_run(run, small(), model=model)
    code, out, _ = invoke("verify", run)
    assert code == 0
    assert "ok  unlearned:" in out
    checkpoint(model, value=2.0)
    code, out, _ = invoke("verify", run)
    assert code == 5
    assert [line[:14] for line in out.splitlines() if line.startswith("BAD")] == ["BAD unlearned:"]
    code, out, _ = invoke("verify", run, "--no-checkpoint")
    assert code == 0
    assert "--  models: not checked (--no-checkpoint)" in out


def test_a_model_that_is_not_there_is_said_and_no_failure(run_of, invoke, tmp_path) -> None:
    import shutil

    run, model = tmp_path / "run", checkpoint(tmp_path / "model")
    finished_run(run, small(), model=model)
    shutil.move(model, tmp_path / "elsewhere")
    code, out, _ = invoke("verify", run)
    assert code == 0
    assert "--  unlearned: not checked" in out
    assert "ok  unlearned:" in invoke("verify", run, "--checkpoint", tmp_path / "elsewhere")[1]


def test_a_gate_may_demand_its_policy(run_of, invoke) -> None:
    run = run_of("PASS")
    digest = json.loads((run / "result.json").read_text())["policy_digest"]
    assert invoke("gate", run, "--require-policy", digest)[0] == 0
    assert invoke("gate", run, "--require-policy", f"sha256:{digest[:12]}")[0] == 0
    assert invoke("gate", run, "--require-policy", "0" * 64)[0] == 5
    assert invoke("gate", run, "--require-policy", digest[:6])[0] == 2


def test_a_run_that_is_none_is_a_wrong_request(tmp_path, invoke) -> None:
    for command in ("gate", "verify"):
        code, _, err = invoke(command, tmp_path)
        assert code == 2
        assert "expected a finished run" in err
