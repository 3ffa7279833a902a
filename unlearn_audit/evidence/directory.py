"""A run directory belongs to one run at a time and to its owner alone: the lock, the modes, the scratch space."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from unlearn_audit.errors import Notice, SpecError
from unlearn_audit.evidence.files import SCRATCH, WRITING

LOCK, JOBS = ".lock", "jobs"
_OTHERS = 0o077
_LOCKS = Path("/proc/locks")


@contextmanager
def run_directory(run: Path) -> Iterator[None]:
    """Makes a run directory ready and keeps others out of it; its scratch space is gone on leaving, however that is.

    The lock ends with the process. All that is written meanwhile is readable by its owner alone, whoever writes it.

    Raises:
        SpecError: another run works in it, or it cannot be written to.
    """
    new = not run.exists()
    try:
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(run / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SpecError(f"{run}: cannot be written to ({error.strerror}); give another --out") from error
    former = os.umask(_OTHERS)
    try:
        _lock(run, handle)
        make_private(run)
        _clear(run)
        try:
            yield
        finally:
            _clear(run)
    finally:
        os.umask(former)
        if new and is_untouched(run):  # what was refused leaves nothing behind
            shutil.rmtree(run, ignore_errors=True)
        os.close(handle)


def is_at_work(run: Path) -> bool | None:
    """Whether a run works in a directory: asked without taking its lock, which would turn a run away.

    Returns:
        None where it cannot be known: the lock was taken on another machine.
    """
    try:
        who = json.loads((run / LOCK).read_text(encoding="utf-8"))
        pid, host, inode = int(who["pid"]), str(who["host"]), (run / LOCK).stat().st_ino
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if host != socket.gethostname():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # somebody else's process
    try:
        locks = _LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return True  # a system that does not list them
    return any(_is_of(line.split(), pid, inode) for line in locks)


def _is_of(fields: list[str], pid: int, inode: int) -> bool:
    """Whether a line of `/proc/locks` is of this process and file: `1: FLOCK ADVISORY WRITE 7 08:01:99 0 EOF`."""
    return len(fields) > 5 and fields[1] == "FLOCK" and fields[4] == str(pid) and fields[5].endswith(f":{inode}")


def is_untouched(run: Path) -> bool:
    """Whether nothing lies in a directory but what `run_directory` puts there."""
    return all(path.name in (LOCK, SCRATCH) for path in run.iterdir())


def is_unbegun(run: Path) -> bool:
    """Whether nothing lies in a directory but what a run puts there before it has written what it was asked.

    A run that was killed at that moment leaves the lock, scratch space, a folder for jobs with none in it, and files
    that were not yet whole.
    """
    return all(
        path.name in (LOCK, SCRATCH) or path.name.startswith(WRITING) or (path.name == JOBS and _is_empty(path))
        for path in run.iterdir()
    )


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def make_private(directory: Path) -> None:
    """Takes a directory and all that lies in it from everybody but its owner. Links are not followed."""
    try:
        _close(directory)
        for folder, folders, files in os.walk(directory):
            for name in (*folders, *files):
                _close(Path(folder, name))
    except OSError as error:
        warnings.warn(f"{directory}: others may be able to read it ({error.strerror})", Notice, stacklevel=2)


def _close(path: Path) -> None:
    mode = path.lstat().st_mode
    if not stat.S_ISLNK(mode) and mode & _OTHERS:
        path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def _lock(run: Path, handle: int) -> None:
    """Takes the lock, and writes into it who has it.

    Raises:
        SpecError: another process has it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SpecError(f"{run}: {_holder(run)}; wait for it to end, or give another --out") from error
    except OSError as error:  # a network drive that knows no locks
        warnings.warn(f"{run}: cannot be locked ({error.strerror}); let no other run write to it", Notice, stacklevel=2)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(holder).encode(), 0)


def _holder(run: Path) -> str:
    try:
        who = json.loads((run / LOCK).read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']} has been running an audit in it since {who['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process is running an audit in it"


def _clear(run: Path) -> None:
    """Removes the scratch space, and what a run that was killed left half-written."""
    shutil.rmtree(run / SCRATCH, ignore_errors=True)
    for pattern in (f"{WRITING}*", f"*/{WRITING}*"):
        for path in run.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
