"""Workers on a Ray cluster (the extra `ray`): an actor each, with the devices, cores and memory that the plan asks for.

Results lie in the run directory, on a drive that all nodes share; what workers say comes back as the actors' answers.
Ray is imported when the cluster is asked for, and not before.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from unlearn_audit.errors import SpecError, cause_of
from unlearn_audit.run.executors.interface import Hired, Needs
from unlearn_audit.run.executors.messages import Died, Message, Noticed, Post, Task, Told

Shares = dict[str, float]
"""What one worker gets, by the names under which Ray counts it."""

OVERHEAD = 2**30
"""Bytes that a worker needs besides its models, for libraries and batches."""
_ENDING_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0


class OnRay:
    """A place in a Ray cluster.

    Args:
        address: of the cluster; `auto` for the one that runs on this machine.
        workers: how many; None for one a GPU, or one a node where models need no GPU or all of them.
    """

    def __init__(self, address: str, workers: int | None) -> None:
        self._address = address
        self._workers = workers
        self._shares: Shares = {}
        self._connected = False

    def count(self, needs: Needs) -> int:
        """Connects, and finds out what a worker can be given.

        Raises:
            SpecError: there is no cluster, or it has no room for so many workers.
        """
        import ray

        if not ray.is_initialized():
            self._connect()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        workers, self._shares = shares_of(nodes, needs, self._workers)
        return workers

    def _connect(self) -> None:
        import ray

        try:
            with _kept_signals():
                ray.init(address=self._address, log_to_driver=False, logging_level=logging.CRITICAL)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            raise SpecError(
                f"--address {self._address}: expected a running Ray cluster ({cause_of(error)}); start one with "
                "`ray start --head`, or give the address of one"
            ) from error
        self._connected = True

    def hire(self, post: Post, number: int) -> Hired:
        """Starts an actor; Ray places it where there is room."""
        return _Actor(post, self._shares)

    def heard(self, hired: Sequence[Hired], seconds: float) -> Sequence[tuple[Hired, Message]]:
        """Waits for an actor that is done, and then takes from each what it said, and answers last."""
        import ray

        actors = [one for one in hired if isinstance(one, _Actor)]
        answers = [one.answer for one in actors if one.answer is not None]
        if answers:
            ray.wait(answers, timeout=seconds, fetch_local=False)
        else:
            time.sleep(seconds)
        return [(one, message) for one in actors for message in one.said()]

    def close(self) -> None:
        """Leaves a cluster that it came to itself."""
        import ray

        if self._connected:
            ray.shutdown()
            self._connected = False


class Spokesman:
    """What an actor is: a station, and what it says until somebody asks for it."""

    def __init__(self, post: Post, path: Sequence[str]) -> None:
        os.environ.update(post.environment)  # before anything is imported that reads it
        sys.path[:] = [*path, *(one for one in sys.path if one not in path)]
        self._post = post
        self._said: list[Told | Noticed] = []
        self._station: Any = None

    def do(self, task: Task) -> Message:
        """Does a unit."""
        from unlearn_audit.run.executors.station import Station

        if self._station is None:
            os.chdir(self._post.directory)
            self._station = Station(self._post, self._said.append)
        answer: Message = self._station.do(task)
        return answer

    def whereabouts(self) -> tuple[str, int]:
        """The host and the process in which it is."""
        return socket.gethostname(), os.getpid()

    def said(self) -> list[Told | Noticed]:
        """What it said since it was last asked."""
        said = []
        while self._said:
            said.append(self._said.pop(0))
        return said


class _Actor:
    """A worker that is an actor.

    Attributes:
        answer: a reference to the answer to the unit that it does, if there is one.
    """

    def __init__(self, post: Post, shares: Mapping[str, float]) -> None:
        import ray

        made = ray.remote(Spokesman).options(**_options(shares))
        self._actor = made.remote(post, [path for path in sys.path if path])
        self._whereabouts = self._actor.whereabouts.remote()
        self._hired = time.monotonic()
        self._waits = True
        self.answer: Any = None

    def assign(self, task: Task) -> None:
        """Calls it."""
        self.answer = self._actor.do.remote(task)

    def said(self) -> Iterator[Message]:
        """What it said, and its answer where it is there; that it died, once."""
        import ray

        if self.answer is None:
            return
        try:
            ready, _ = ray.wait([self.answer], timeout=0)
            if not ready and not ray.wait([self._whereabouts], timeout=0)[0]:
                yield from self._without_room()
                return
            yield from ray.get(self._actor.said.remote())  # also when it is done: the answer comes last
            if ready:
                answer, self.answer = self.answer, None
                yield ray.get(answer)
        except ray.exceptions.RayError as error:
            self.answer = None
            yield Died(how=f"was lost ({type(error).__name__})")

    def _without_room(self) -> Iterator[Message]:
        """Says once that Ray has found no room for it yet: others may be at work on the cluster."""
        if self._waits and time.monotonic() - self._hired > _PATIENCE_SECONDS:
            self._waits = False
            yield Noticed(text=f"a worker has waited for room on the Ray cluster for {_PATIENCE_SECONDS:.0f} s")

    def end(self) -> None:
        """Ends it, and waits until it has ended where that can be seen: on this machine."""
        import psutil
        import ray

        if not ray.is_initialized():
            return
        host, process = "", 0
        with suppress(ray.exceptions.RayError):
            host, process = ray.get(self._whereabouts, timeout=1)
        ray.kill(self._actor)
        until = time.monotonic() + _ENDING_SECONDS
        while host == socket.gethostname() and psutil.pid_exists(process) and time.monotonic() < until:
            time.sleep(0.02)


def shares_of(nodes: Sequence[Mapping[str, float]], needs: Needs, workers: int | None) -> tuple[int, Shares]:
    """How many workers there will be, and what each gets.

    Args:
        nodes: what each node of the cluster has, by Ray's names; memory in bytes.
        needs: of a worker.
        workers: how many were asked for; None for one a GPU, or one a node that has room.

    Raises:
        SpecError: they do not fit.
    """
    on_gpus = needs.device == "cuda"
    shares: Shares = {"CPU": 1, "memory": 0 if on_gpus else needs.bytes + OVERHEAD}
    if on_gpus:
        shares["GPU"] = 1
    if workers is None:
        rooms = [_room([node], shares) for node in nodes]
        workers = max(1, sum(rooms) if on_gpus and not needs.spread else sum(room > 0 for room in rooms))
    if _room(nodes, shares) < workers:
        each = ", ".join(f"{value / 2**30:.1f} GiB" if name == "memory" else f"{value:g} {name}"
                         for name, value in shares.items() if value)  # fmt: skip
        raise SpecError(
            f"--executor ray: expected room for {workers} workers of {each}, got room for {_room(nodes, shares)} on "
            f"{len(nodes)} nodes; give fewer --workers, or a larger cluster"
        )
    grows = (["GPU"] if on_gpus and needs.spread else []) + ([] if needs.threads == 1 else ["CPU"])
    for name in grows:
        while _room(nodes, {**shares, name: shares[name] + 1}) >= workers:
            shares[name] += 1
    return workers, shares


def _room(nodes: Sequence[Mapping[str, float]], shares: Mapping[str, float]) -> int:
    """How many workers with such shares fit on the nodes."""
    return sum(min(int(node.get(name, 0) // value) for name, value in shares.items() if value) for node in nodes)


def _options(shares: Mapping[str, float]) -> dict[str, Any]:
    """Those shares as Ray takes them; an actor listens while it works."""
    return {
        "num_cpus": shares["CPU"],
        "num_gpus": shares.get("GPU", 0),
        "memory": int(shares["memory"]),
        "max_concurrency": 2,
        "max_restarts": 0,
    }


@contextmanager
def _kept_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself where it is begun; here it stays what it was."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Callable[..., Any] | int | None = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
