"""Parts of one plan: joined they are the whole; what lacks or contradicts is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.test_gate import edit
from tests.cli.test_gate import invoke as invoke  # the fixture
from tests.finished.finished_run import finished_run, small
from tests.verdict.test_verdict import Audit
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.files import write_json
from unlearn_audit.plan.case import FaultyJob
from unlearn_audit.run.executors.shard import Shard
from unlearn_audit.verdict.conclude import ShardRecord
from unlearn_audit.verdict.result import Result, RunRecord


def parted(tmp_path: Path, audit: Audit, count: int = 2) -> tuple[Result, list[Path]]:
    """A whole run, and the same cut into parts as `run --shard` leaves them."""
    whole = tmp_path / "whole"
    result = finished_run(whole, audit)
    kept = {name: getattr(result, name) for name in RunRecord.model_fields}
    record = ShardRecord(**kept, comparisons=(), prepared=("note",))
    plan = {"jobs": [{"key": job.key} for job in result.jobs]}
    parts = []
    for number in range(1, count + 1):
        shard, part = Shard(number=number, count=count), tmp_path / f"part-{number}"
        own = shard.of(result.jobs)
        (part / "jobs" / "note").mkdir(parents=True)
        write_json(part / "jobs" / "note" / "job.json", {"rate": 1.0})
        for job in own:
            shutil.copytree(whole / "jobs" / job.key, part / "jobs" / job.key)
        shutil.copy(whole / "spec.yaml", part)
        write_json(part / "plan.json", plan)
        faults = audit.case.faults if number == 1 else ()
        case = record.case.model_copy(update={"faults": faults})
        update = {"shard": str(shard), "jobs": own, "case": case}
        write_json(part / "shard.json", record.model_copy(update=update).model_dump(mode="json"))
        parts.append(part)
    return result, parts


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_all_parts_together_have_every_job_once(count: int) -> None:
    items = list(range(11))
    parts = [Shard.parse(f"{number}/{count}").of(items) for number in range(1, count + 1)]
    assert [one for part in parts for one in part] == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3"])
def test_a_part_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(AuditError, match="--shard"):
        Shard.parse(text)


def test_the_parts_joined_are_the_whole(tmp_path: Path, invoke) -> None:
    result, parts = parted(tmp_path, small())
    code, out, _ = invoke("merge", tmp_path / "out", *reversed(parts), "--json")
    said = json.loads(out)
    assert code == said["exit_code"] == result.exit_code
    assert (said["evidence_digest"], said["spec_digest"]) == (result.evidence_digest, result.spec_digest)
    assert said["verdict"] == json.loads(result.verdict.model_dump_json())
    assert invoke("verify", tmp_path / "out")[0] == 0
    assert invoke("merge", tmp_path / "out", *parts)[0] == 2  # it is there already


def test_a_part_that_lacks_is_exit_3_and_nothing_is_decided(tmp_path: Path, invoke) -> None:
    _, parts = parted(tmp_path, small())
    code, _, err = invoke("merge", tmp_path / "out", parts[1])
    assert code == 3
    assert "4 of 9 jobs did not run in these parts (2/2); nothing is decided" in err
    assert not (tmp_path / "out").exists()


def test_parts_that_contradict_each_other_are_refused(tmp_path: Path, invoke) -> None:
    _, parts = parted(tmp_path, small())
    write_json(parts[0] / "jobs" / "note" / "job.json", {"rate": 2.0})
    code, _, err = invoke("merge", tmp_path / "a", *parts)
    assert code == 5
    assert "prepared differently" in err
    edit(parts[0] / "shard.json", lambda data: data.update(seed=7))
    code, _, err = invoke("merge", tmp_path / "b", *parts)
    assert code == 2
    assert "not parts of one plan (seed)" in err


def test_a_fault_in_a_part_is_a_fault_of_the_whole(tmp_path: Path, invoke) -> None:
    fault = FaultyJob(attack="quantization", arm="quantization", model="unlearned", message="no memory")
    _, parts = parted(tmp_path, small().but(faults=(fault,)))
    first = next(part for part in parts if "quantization-unlearned" in (part / "shard.json").read_text())

    def break_job(data):
        for job in data["jobs"]:
            if job["key"] == "quantization-unlearned":
                job.update(status="error", digest="", observations=0)

    edit(first / "shard.json", break_job)
    assert invoke("merge", tmp_path / "out", *parts)[0] == 4
