"""A real Ray: three workers on two nodes, which Ray's own cluster utility simulates, one of them killed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from benchmarks.kills import digest_of
from tests.run.executors.test_local import answers, command, planned
from tests.run.executors.test_local import world as world  # the fixture
from unlearn_audit.audit.hops import audit
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.errors import Notice, SpecError
from unlearn_audit.run.executors.choice import executor_of
from unlearn_audit.run.executors.kinds import Kind
from unlearn_audit.run.text_policy import KeptText

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

CORES = 2
"""Of each node, as it tells Ray."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster of two nodes, both on this machine."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", exc_type=ImportError)
    before = signal.getsignal(signal.SIGTERM)
    small = {"num_cpus": CORES, "object_store_memory": 80_000_000}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    try:
        cluster.add_node(**small)
        yield cluster.address
    finally:
        cluster.shutdown()
        signal.signal(signal.SIGTERM, before)


def actors() -> list[psutil.Process]:
    """The processes of the workers, on both nodes."""
    return [one for one in psutil.Process().children(recursive=True) if "Spokesman" in one.name()]


class Kills(Quiet):
    """Counts the jobs that have ended, and kills a worker when the second job has begun."""

    def __init__(self) -> None:
        super().__init__(Console(stderr=True))
        self.begun, self.ended = 0, Counter()

    def started(self, job) -> None:
        self.begun += 1
        if self.begun == 2:
            busy = actors()
            assert len(busy) in (2, 3)
            busy[0].kill()

    def finished(self, job, seconds, fault) -> None:
        self.ended[job.key] += 1


@pytest.mark.slow
def test_three_workers_on_two_nodes_one_of_them_killed_give_the_evidence_of_one_process(world, address, tmp_path):
    import ray

    told, plan, out = Kills(), planned(world), tmp_path / "run"
    with pytest.warns(Notice, match=r"worker . was lost \(.*\) in .*; another one tries again"):
        result = audit(
            plan,
            out,
            told,
            formats=("json",),
            text=KeptText.FULL,
            executor=executor_of(Kind.RAY, 3, address),
        )
    assert result.evidence_digest == digest_of(world / "alone")
    assert told.ended == {job.key: 1 for job in plan.plan.jobs}
    assert answers(out) == answers(world / "alone")
    assert not actors()
    assert not ray.is_initialized()
    assert not [path.name for path in out.rglob(".*") if path.name != ".lock"]


@pytest.mark.slow
def test_an_interrupted_command_ends_its_workers_on_the_cluster(world, address, tmp_path):
    out = tmp_path / "run"
    asked = command(world, out, "--executor", "ray", "--address", address, "--workers", "2")
    running = subprocess.Popen(asked, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 400
    while not list(out.glob("jobs/*/observations.parquet")) and time.monotonic() < until:
        time.sleep(0.05)
    workers = actors()
    running.terminate()
    _, told = running.communicate(timeout=100)
    assert running.returncode == 130, told
    assert f"rerun with --out {out} to resume" in told
    assert len(workers) == 2
    assert not actors()
    assert not [path.name for path in out.rglob(".*") if path.name != ".lock"]


@pytest.mark.slow
def test_more_workers_than_a_cluster_has_room_for_are_refused_before_the_first_job(world, address, tmp_path):
    with pytest.raises(SpecError, match=r"expected room for 9 workers of 1 CPU, .* GiB, got room for 4 on 2 nodes"):
        audit(planned(world), tmp_path / "run", Kills(), executor=executor_of(Kind.RAY, 9, address))
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.slow
def test_where_no_cluster_runs_it_is_said(world, tmp_path: Path, monkeypatch):
    ray = pytest.importorskip("ray")

    def finds_none(**_):
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", finds_none)
    with pytest.raises(SpecError, match=r"--address auto: expected a running Ray cluster .*; start one with"):
        audit(planned(world), tmp_path / "run", Kills(), executor=executor_of(Kind.RAY, 2, None))
