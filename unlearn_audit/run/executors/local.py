"""Workers on this machine: one process a group of cores, or one a CUDA device.

Models are mapped into memory: processes that load the same file, in the type that it is stored in, share its pages.
A worker is a fresh interpreter (a copy of this process could not use CUDA) and ends with the process that started it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue

from unlearn_audit.api.kit.memory import collect_rarely
from unlearn_audit.errors import SpecError, cause_of
from unlearn_audit.run.executors.interface import Hired, Needs
from unlearn_audit.run.executors.messages import Died, Message, Post, Refused, Task

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_CODE = "from unlearn_audit.run.executors.local import serve; import sys; serve(int(sys.argv[1]))"


class Local:
    """A place with so many workers on this machine.

    Args:
        workers: at least 1.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._cores = _split(own_cores(), workers)
        self._devices: list[tuple[str, ...]] = []

    def count(self, needs: Needs) -> int:
        """As many as were asked for, if there is a device for each.

        Raises:
            SpecError: there is not.
        """
        if needs.device == "cuda":
            found = _own_devices()
            if len(found) < self._workers:
                raise SpecError(
                    f"--workers {self._workers}: expected as many CUDA devices, got {len(found)}; give --workers "
                    f"{max(1, len(found))}, or --device cpu"
                )
            shares = _split(found, self._workers)
            self._devices = shares if needs.spread else [share[:1] for share in shares]
        return self._workers

    def hire(self, post: Post, number: int) -> Hired:
        """Starts a process on the worker's own cores, or with its own devices in sight."""
        given = {} if not self._devices else {_VISIBLE: ",".join(self._devices[number])}
        return _Process(replace(post, cores=self._cores[number]), given)

    def heard(self, hired: Sequence[Hired], seconds: float) -> Sequence[tuple[Hired, Message]]:
        """What is there to be read, of each one message; that one has died follows all that it said."""
        by_line = {one.line: one for one in hired if isinstance(one, _Process)}
        ready = [one for line in wait(list(by_line), seconds) if (one := by_line.get(line)) is not None]  # type: ignore[call-overload]
        return [(one, one.said()) for one in ready]

    def close(self) -> None:
        """There is nothing besides the workers."""


class _Process:
    """A worker in a process of its own.

    Attributes:
        line: what it says can be read here.
    """

    def __init__(self, post: Post, given: dict[str, str]) -> None:
        here, there = socket.socketpair()
        self.line = Connection(here.detach())
        with there:
            self._process = started(there.fileno(), given)
        self.line.send(post)

    def assign(self, task: Task) -> None:
        """Sends it a unit; where it has died, that is heard."""
        with suppress(OSError):
            self.line.send(task)

    def said(self) -> Message:
        """The next message, which is there or comes."""
        try:
            message: Message = self.line.recv()
        except (EOFError, OSError):
            self.end()
            return Died(how=_how(self._process.returncode))
        return message

    def end(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.wait()
        self.line.close()


def started(line: int, given: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A fresh interpreter that serves a line, with some variables of its own."""
    path = os.pathsep.join(one or str(Path.cwd()) for one in sys.path)
    return subprocess.Popen(  # noqa: S603 - this very interpreter
        # -P: the working directory is not first on the path, where anything could lie
        [sys.executable, "-P", "-c", _CODE, str(line)],
        env={**os.environ, "PYTHONPATH": path, **given},
        pass_fds=[line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _how(code: int) -> str:
    """How a process ended, for people."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _split(items: Sequence[object], parts: int) -> list[tuple]:  # type: ignore[type-arg]
    """Items dealt out in parts of nearly equal size, in order; each once again where there are fewer than parts."""
    if len(items) < parts:
        return [(items[part % len(items)],) for part in range(parts)]
    edges = [len(items) * part // parts for part in range(parts + 1)]
    return [tuple(items[first:last]) for first, last in pairwise(edges)]


def own_cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _own_devices() -> list[str]:
    """The CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = [name.strip() for name in os.environ.get(_VISIBLE, "").split(",") if name.strip()]
    return named or [str(number) for number in range(torch.cuda.device_count())]


def serve(line_number: int) -> None:
    """What a worker's process does: a unit after the other, until the other end is gone.

    Signals of the terminal are for the process that started it, which then ends its workers.
    """
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    collect_rarely()
    line = Connection(line_number)
    try:
        # Before the thread begins: what it receives imports modules too, and two threads must not do so at once.
        from unlearn_audit.run.executors.station import Station
    except Exception as error:
        line.send(Refused(kind="", message=f"cannot begin: {cause_of(error)}"))
        return
    station = Station(line.recv(), line.send)
    tasks: SimpleQueue[Task] = SimpleQueue()
    threading.Thread(target=_listen, args=(line, tasks), daemon=True).start()
    while True:
        line.send(station.do(tasks.get()))


def _listen(line: Connection, tasks: SimpleQueue[Task]) -> None:
    """Takes tasks in; ends the process, whatever it does, when there is nobody any more to do them for."""
    while True:
        try:
            tasks.put(line.recv())
        except (EOFError, OSError):
            os._exit(1)
