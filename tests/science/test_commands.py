"""The commands on finished and on interrupted runs of the bundled organisms."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from rich.console import Console

from tests.science.conftest import small_spec
from tests.warm import Warm
from unlearn_audit.api import Role
from unlearn_audit.audit.hops import audit_shard
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.demo import ASSETS
from unlearn_audit.plan.make import make_plan
from unlearn_audit.run.executors.shard import Shard
from unlearn_audit.spec.several import requests

pytestmark = pytest.mark.science

WITHOUT_TORCH = """
import sys
class Block:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("torch", "transformers", "peft", "bitsandbytes", "datasets", "accelerate"):
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
"""
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def without_torch() -> Iterator[Command]:
    """A command of ours where nothing that needs torch can be imported."""
    warm = Warm(env={**os.environ, "COLUMNS": "80"}, first=WITHOUT_TORCH)
    yield warm.command
    warm.close()


def test_gate_decides_again_without_torch(without_torch, run_of, tmp_path: Path):
    run = run_of("nf4-masked")
    done = without_torch("gate", run, "--json")
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    written = json.loads((run / "result.json").read_text())
    assert result == written
    assert "FAIL" in done.stderr
    # By a policy that leaves all to come back, nothing is left to fail by.
    lax = tmp_path / "lax.yaml"
    lax.write_text(yaml.safe_dump({"margin": 0.99, "gate": ["recall"], "required": {}}))
    done = without_torch("gate", run, "--policy", lax)
    assert done.returncode == 3
    assert "masking" in done.stdout


@pytest.mark.parametrize("name", ["md", "html", "json"])
def test_report_writes_again_without_torch_what_the_run_wrote(without_torch, run_of, name: str):
    run = run_of("nf4-masked")
    done = without_torch("report", run, "-f", name)
    assert done.returncode == 0, done.stderr
    file = {"md": "report.md", "html": "report.html", "json": "result.json"}[name]
    assert done.stdout == (run / file).read_text(encoding="utf-8")


def test_every_format_is_written_at_once_without_torch(without_torch, run_of, tmp_path: Path):
    run = run_of("nf4-masked")
    everything = json.loads(without_torch("list", "writers", "--json").stdout)
    listed = [each for each in everything if each["needs"] != "published"]  # figures that `run --metrics` leaves
    formats = [part for each in listed for part in ("-f", f"{each['name']}={tmp_path}")]
    done = without_torch("report", run, *formats)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {each["file_name"] for each in listed}
    observations = sum(job["observations"] for job in json.loads((run / "result.json").read_text())["jobs"])
    assert len(pd.read_parquet(tmp_path / "observations.parquet")) == observations
    assert len(pd.read_csv(tmp_path / "observations.csv")) == observations


def test_gate_fits_80_columns_and_agrees_with_the_file(without_torch, run_of):
    run = run_of("retrained")
    done = without_torch("gate", run)
    written = json.loads((run / "result.json").read_text())
    assert done.returncode == written["exit_code"] == 0
    assert written["outcome"] == "PASS"
    assert done.stdout.lstrip().startswith("PASS")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_gate_refuses_evidence_that_was_changed(without_torch, run_of, tmp_path: Path):
    import shutil

    run = shutil.copytree(run_of("retrained"), tmp_path / "run")
    victim = sorted((run / "jobs").glob("*/observations.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:-10])
    done = without_torch("gate", run)
    assert done.returncode == 5
    assert "observations.parquet" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_pipeline_runs_needs_no_torch(without_torch, run_of):
    run, other = run_of("nf4-masked"), run_of("retrained")
    for args in (
        ("verify", run),
        ("compare", other, run, "--baseline", other),
        ("list", "attacks"),
        ("--help",),
        ("schema", "waivers"),
    ):
        done = without_torch(*args)
        assert done.returncode == 0, (args, done.stderr)
    done = without_torch("watch", run, "--once")
    assert done.returncode == 1 and "quantization" in done.stdout, done.stderr
    done = without_torch("gate", run, "--baseline", other)
    assert done.returncode == 1
    assert "Worse than the baseline" in " ".join(done.stdout.split())


def test_a_table_of_runs_knows_a_control_when_it_sees_one(without_torch, run_of):
    done = without_torch("compare", run_of("nf4-masked"), run_of("retrained"), "-f", "json")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    leaks, clean = table["rows"]
    assert (leaks["name"], leaks["outcome"], leaks["is_control"]) == ("nf4-masked", "FAIL", False)
    assert (clean["name"], clean["outcome"], clean["is_control"]) == ("retrained-1", "PASS", True)
    assert leaks["worst"]["attack"] == "quantization" and leaks["worst"]["recovered"] > 0.9
    proven = [one for one in table["differences"] if one["proven"]]
    assert ("nf4-masked", "quantization/recall.hit") in {(one["leaks"], one["finding"]) for one in proven}


def test_checkpoints_share_the_jobs_of_original_and_controls(facts):
    both = tuple(str(ASSETS / name) for name in ("npo", "refusal"))
    spec = small_spec("npo", facts).model_copy(update={"checkpoint": both[0], "checkpoints": both})
    plans = {name: make_plan(one).plan for name, one in requests(spec, leave_one_control_out=True).items()}
    assert list(plans) == ["npo", "refusal", "retrained-1", "retrained-2"]
    keys = {
        name: {
            own: {job.key for job in plan.jobs if (job.model.role is Role.UNLEARNED) is own} for own in (True, False)
        }
        for name, plan in plans.items()
    }
    assert keys["npo"][False] == keys["refusal"][False]  # made once, for both
    assert not keys["npo"][True] & keys["refusal"][True]
    left_out = keys["retrained-1"]
    assert left_out[False] < keys["npo"][False]
    assert len(left_out[True] - keys["npo"][False]) == 1  # asked what must stay as well, like any checkpoint


def test_the_parts_of_an_audit_joined_are_the_audit(without_torch, run_of, shared_store: Path, facts, tmp_path: Path):
    written = json.loads((run_of("retrained") / "result.json").read_text())
    plan = make_plan(small_spec("retrained", facts))
    parts = [tmp_path / "1", tmp_path / "2"]
    for number, part in enumerate(parts, 1):
        audit_shard(plan, part, Quiet(Console(stderr=True)), Shard(number=number, count=2), shared=shared_store)
        assert not (part / "result.json").exists()
    done = without_torch("merge", tmp_path / "out", *parts, "--json")
    merged = json.loads(done.stdout)
    assert done.returncode == merged["exit_code"] == written["exit_code"]
    for name in ("evidence_digest", "spec_digest", "policy_digest", "verdict", "models"):
        assert merged[name] == written[name]
    assert without_torch("verify", tmp_path / "out").returncode == 0


@pytest.mark.slow  # the kill trials of tests/run end a run by SIGTERM, which takes the same way
def test_an_interrupt_keeps_what_is_done_and_exits_130(facts, tmp_path: Path):
    out = tmp_path / "run"
    command = [
        *(sys.executable, "-m", "unlearn_audit", "run", ASSETS / "npo"),
        *("--original", ASSETS / "original", "--forget", facts["forget"], "--retain", facts["retain"]),
        *("--attacks", "as-is,quantization", "--probes", "recall", "--comparisons", ",", "--profile", "quick"),
        *("--out", out),
    ]
    running = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("[1/"):
            running.send_signal(signal.SIGINT)
            break
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "rerun" in err
    assert "Traceback" not in err
    assert len(list((out / "jobs").glob("*/observations.parquet"))) >= 1
    assert not (out / "result.json").exists()


@pytest.mark.slow
def test_six_organisms_with_three_controls_are_audited_with_shared_jobs(tmp_path: Path):
    spec = Path(__file__).parents[2] / "examples" / "several" / "audit.yaml"
    command = [sys.executable, "-m", "unlearn_audit", "run", "--spec", spec, "--leave-one-control-out", "-q"]
    done = subprocess.run([*map(str, command), "--out", str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    check_six_organisms(tmp_path / "out")


def check_six_organisms(out: Path) -> None:
    """What docs/several.md says of them."""
    table = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    outcomes = {row["name"]: row["outcome"] for row in table["rows"]}
    assert outcomes.pop("gradient-difference") == "INCONCLUSIVE"
    controls = [row["name"] for row in table["rows"] if row["is_control"]]
    assert sorted(controls) == ["retrained-1", "retrained-2", "retrained-3"]
    assert all(outcomes[name] == "PASS" for name in controls)
    assert {name for name, outcome in outcomes.items() if outcome == "FAIL"} == {*outcomes} - {*controls}
    assert [row["name"] for row in table["rows"] if row["on_front"]] == ["gradient-difference"]
    assert len(list((out / "store").glob("*/observations.parquet"))) == 43
    runs = [path for path in out.iterdir() if (path / "result.json").is_file()]
    assert sum(len(json.loads((run / "result.json").read_text(encoding="utf-8"))["jobs"]) for run in runs) == 168
