"""A run directory: one run at a time, for its owner's eyes alone, and scratch space that never outlives the run."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from unlearn_audit.errors import Notice, SpecError
from unlearn_audit.evidence.directory import run_directory
from unlearn_audit.evidence.store import EvidenceStore

HOLDS = """
    import sys, time
    from pathlib import Path
    from unlearn_audit.evidence.directory import run_directory
    run = Path(sys.argv[1])
    with run_directory(run):
        (run / ".scratch").mkdir()
        (run / ".scratch" / "weights").write_text("x")
        (run / ".writing-abc").write_text("half")
        (run / "jobs").mkdir(exist_ok=True)
        (run / "jobs" / ".writing-job").mkdir()
        (run / "spec.yaml").write_text("")
        print("ready", flush=True)
        time.sleep(60)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def holder(tmp_path: Path):
    command = [sys.executable, "-c", textwrap.dedent(HOLDS), str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_is_refused_by_name_until_the_first_is_gone(tmp_path: Path, holder) -> None:
    run = tmp_path / "run"
    refused = pytest.raises(SpecError, match=rf"process {holder.pid} on \S+ has been running an audit in it since 20")
    with refused, run_directory(run):
        pass
    assert (run / ".scratch" / "weights").exists()  # the refused one touched nothing
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with run_directory(run):
        assert sorted(path.name for path in run.iterdir()) == [".lock", "jobs", "spec.yaml"]
        assert list((run / "jobs").iterdir()) == []


def test_one_process_cannot_run_twice_in_it_either(tmp_path: Path) -> None:
    refused = pytest.raises(SpecError, match=f"process {os.getpid()} on")
    with run_directory(tmp_path / "run"), refused, run_directory(tmp_path / "run"):
        pass


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, None])
def test_scratch_space_is_gone_however_the_run_ends(tmp_path: Path, error) -> None:
    run = tmp_path / "run"

    def work() -> None:
        with run_directory(run):
            (EvidenceStore(run).scratch / "weights").write_text("x")
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(error):
            work()
    assert [path.name for path in run.iterdir() if path.name != "jobs"] == [".lock"]


def test_all_that_is_written_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    run = tmp_path / "run"
    former = os.umask(0o000)
    try:
        (run / "jobs").mkdir(parents=True)
        (run / "errors.log").write_text("from before")
        (tmp_path / "elsewhere").write_text("not ours")
        (run / "link").symlink_to(tmp_path / "elsewhere")
        with run_directory(run):
            (run / "report.md").write_text("by anybody")
            subprocess.run([sys.executable, "-c", f"open({str(run / 'by-a-child')!r}, 'w')"], check=True)
        assert [mode(path) for path in (run, run / "jobs")] == [0o700, 0o700]
        assert {mode(run / name) for name in ("errors.log", "report.md", "by-a-child", ".lock")} == {0o600}
        assert mode(tmp_path / "elsewhere") == 0o666
        (tmp_path / "after").touch()
        assert mode(tmp_path / "after") == 0o666  # the caller's umask is back
    finally:
        os.umask(former)


def test_where_locks_do_not_work_the_run_goes_on_with_a_notice(tmp_path: Path, monkeypatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("unlearn_audit.evidence.directory.fcntl.flock", no_locks)
    with pytest.warns(Notice, match=r"cannot be locked \(No locks available\)"), run_directory(tmp_path / "run"):
        pass


def test_a_directory_that_cannot_be_made_is_a_wrong_request(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(SpecError, match=r"cannot be written to .*; give another --out"),
        run_directory(tmp_path / "file" / "run"),
    ):
        pass


def test_what_was_refused_leaves_no_directory_behind(tmp_path: Path) -> None:
    with pytest.raises(SpecError), run_directory(tmp_path / "run"):
        raise SpecError("no")
    assert not (tmp_path / "run").exists()
