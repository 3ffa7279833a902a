"""Workers in processes of their own, one of them killed: the same digest, and nothing left behind.

The quick tests start them as copies of this process, which has loaded what they need; the slow ones as they are
started in earnest.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from benchmarks.kills import digest_of, prepared
from unlearn_audit.audit import audit
from unlearn_audit.cli.telling.progress import Quiet
from unlearn_audit.errors import Notice
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.make import make_plan
from unlearn_audit.run.executors import local
from unlearn_audit.run.executors.local import Local, serve
from unlearn_audit.run.executors.pool import Pool
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.spec.spec import load_spec


class Copied:
    """A worker's process that is a copy of this one, as `subprocess.Popen` shows it."""

    def __init__(self, line: int, given: dict[str, str]) -> None:
        self.returncode = 0
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                _close_sockets(but=line)
                os.environ.update(given)
                serve(line)
                code = 0
            finally:
                os._exit(code)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _close_sockets(*, but: int) -> None:
    """A copy has the other ends of all lines too, by which it would keep itself company for ever."""
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        with suppress(OSError):
            if number != but and stat.S_ISSOCK(os.fstat(number).st_mode):
                os.close(number)


class Told(Quiet):
    """Counts the jobs that have ended, and kills a worker when the second one has begun."""

    def __init__(self, *, kills: bool = True) -> None:
        super().__init__(Console(stderr=True))
        self.kills, self.begun, self.ended = kills, 0, Counter()
        self.others = psutil.Process().children()

    def started(self, job) -> None:
        self.begun += 1
        if self.begun == 2 and self.kills:
            workers(but=self.others)[0].kill()

    def finished(self, job, seconds, fault) -> None:
        self.ended[job.key] += 1


def workers(*, but: list[psutil.Process]) -> list[psutil.Process]:
    """The processes that this one has started, without those that other tests had."""
    return [child for child in psutil.Process().children() if child not in but]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Models, facts and a request, audited by one process in `alone`."""
    out = tmp_path_factory.mktemp("world")
    prepared(out)
    spec = json.loads((out / "audit.yaml").read_text())
    paths = {name: str(out / spec[name]) for name in ("checkpoint", "original", "forget", "retain")}
    (out / "audit.yaml").write_text(json.dumps({**spec, **paths}))
    audit(planned(out), out / "alone", Told(kills=False), formats=("json",), text=KeptText.FULL)
    return out


def planned(world: Path) -> LivePlan:
    return make_plan(load_spec(world / "audit.yaml", {}))


def answers(run: Path) -> list[str]:
    """What was kept of the models' answers, without what is salted."""
    lines = [json.loads(line) for line in (run / "outputs.jsonl").read_text().splitlines()]
    return sorted(json.dumps({k: v for k, v in line.items() if "digest" not in k}) for line in lines)


def test_two_workers_one_of_them_killed_give_the_evidence_of_one_process(world, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "started", Copied)
    told, plan = Told(), planned(world)
    with pytest.warns(Notice, match=r"worker . was ended by SIGKILL in .*; another one tries again"):
        result = audit(plan, tmp_path / "run", told, formats=("json",), text=KeptText.FULL, executor=Pool(Local(2)))
    assert result.evidence_digest == digest_of(world / "alone")
    assert told.ended == {job.key: 1 for job in plan.plan.jobs}
    assert answers(tmp_path / "run") == answers(world / "alone")
    assert not workers(but=told.others)
    assert not [path.name for path in (tmp_path / "run").rglob(".*") if path.name != ".lock"]


def test_a_worker_ends_with_whoever_started_it(monkeypatch):
    """Also by SIGKILL, which nobody can catch: its line is closed then."""
    monkeypatch.setattr(local, "started", Copied)
    others = psutil.Process().children()
    worker = local._Process(None, {})  # type: ignore[arg-type] - it gets no further
    worker.line.close()
    worker._process.wait()
    assert worker._process.returncode == 1
    assert not workers(but=others)


def command(world: Path, out: Path, *more: str) -> list[str]:
    code = "from unlearn_audit.cli.app import main; main()"
    return [sys.executable, "-c", code, "run", "--spec", str(world / "audit.yaml"), "--out", str(out), *more]


@pytest.mark.slow
def test_an_interrupted_command_ends_its_workers_and_goes_on_where_it_was(world, tmp_path):
    out = tmp_path / "run"
    running = subprocess.Popen(command(world, out, "--workers", "2"), stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 300
    while not list(out.glob("jobs/*/observations.parquet")) and time.monotonic() < until:
        time.sleep(0.05)
    hired = psutil.Process(running.pid).children()
    running.terminate()
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130, told
    assert f"rerun with --out {out} to resume" in told
    assert len(hired) == 2
    assert not [worker for worker in hired if worker.is_running()]
    assert not [path.name for path in out.rglob(".*") if path.name != ".lock"]
    done = subprocess.run(command(world, out, "--workers", "2"), capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1, 3), done.stderr
    assert digest_of(out) == digest_of(world / "alone")
