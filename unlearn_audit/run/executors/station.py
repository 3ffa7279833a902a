"""A worker's side: it opens the plan that lies in the run directory, does units, and tells what happens."""

from __future__ import annotations

import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import torch

from unlearn_audit.api import FactSet
from unlearn_audit.errors import AuditError, IntegrityError, Notice, SpecError, cause_of
from unlearn_audit.evidence.directory import JOBS
from unlearn_audit.evidence.files import SCRATCH
from unlearn_audit.evidence.manifest import PLAN
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.models.loading import choose_device
from unlearn_audit.plan.live import LivePlan, open_plan
from unlearn_audit.plan.make import versions
from unlearn_audit.plan.plan import Plan
from unlearn_audit.run.executors.messages import Done, Message, Noticed, Post, Refused, Task, Told
from unlearn_audit.run.inputs import Inputs
from unlearn_audit.run.isolation import log_traceback, masking
from unlearn_audit.run.jobs.workplace import Gathered, Workplace
from unlearn_audit.run.progress import Progress
from unlearn_audit.run.runner import Worker, judging
from unlearn_audit.run.transcripts import Outputs

LATENCY_SECONDS = 90.0
"""How long a file may take to be seen elsewhere: network drives keep what they know of a folder for up to a minute."""

_OTHERS = 0o077


class Station:
    """One worker. It does what it is told to until its process ends."""

    def __init__(self, post: Post, tell: Callable[[Told | Noticed], None]) -> None:
        self._post = post
        self._tell = tell
        self._begun: tuple[Workplace, Worker] | None = None
        self._open = ExitStack()

    def do(self, task: Task) -> Message:
        """Does a unit; the answer says how it went. Only what kills a process is not caught."""
        try:
            return self._done(task)
        except AuditError as error:
            return Refused(kind=type(error).__name__, message=str(error))
        except Exception as error:
            log_traceback(self._post.run, f"worker {os.getpid()}, {task.unit.title}")
            return Refused(kind="", message=cause_of(error))

    def _done(self, task: Task) -> Done:
        work, worker = self._begun = self._begun or self._begin()
        await_kept(work.store, task.present, self._post.run)
        found = work.gathered
        found.faults.clear()
        found.add(task.known)
        with masking(work.live.withheld.masked):  # here, for it may be another thread than the one before
            worker.do(task.unit)
        gathered = Gathered()
        gathered.add(found)
        return Done(gathered=gathered, kept=tuple(key for key in task.unit.makes if work.store.has(key)))

    def _begin(self) -> tuple[Workplace, Worker]:
        """Settles the process, and opens the plan.

        Raises:
            SpecError: the run directory is another one here.
            IntegrityError: what is installed here is not what the audit was planned with.
        """
        settle(self._post, self._tell)
        await_shared(self._post)
        live = open_plan(Plan.read(self._post.run / PLAN))
        check_same(live, self._post.device)
        store = EvidenceStore(self._post.run, self._post.shared)
        store.guard = Inputs(live).check
        outputs = Outputs(self._post.run, self._post.text, live.pool(FactSet.FORGET))
        live = self._open.enter_context(judging(live, waiting=True))
        work = Workplace.of(live, store, cast(Progress, _Relay(self._tell)), outputs)
        return work, Worker(work)


class _Relay:
    """A `runner.Progress` that sends each event on, whichever events there are."""

    def __init__(self, tell: Callable[[Told | Noticed], None]) -> None:
        self._tell = tell

    def __getattr__(self, event: str) -> Callable[..., None]:
        return lambda *arguments: self._tell(Told(event=event, arguments=arguments))


def settle(post: Post, tell: Callable[[Told | Noticed], None]) -> None:
    """For this process: its own cores and threads, files for their owner alone, silent libraries, notices sent on."""
    from transformers.utils import logging as transformers_logging

    os.umask(_OTHERS)
    if post.cores is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, post.cores)
    own = len(post.cores or ()) or torch.get_num_threads()
    torch.set_num_threads(min(own, post.threads or own, torch.get_num_threads()))
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    warnings.filterwarnings("always", category=Notice)

    def show(message: Warning | str, category: type[Warning], *_where: Any, **_more: Any) -> None:
        if issubclass(category, Notice):
            tell(Noticed(text=str(message)))

    warnings.showwarning = show


def await_shared(post: Post) -> None:
    """Makes sure that the run directory is the pool's own.

    Raises:
        SpecError: it is not.
    """
    if not _seen(lambda: (post.run / SCRATCH / post.token).is_file(), post.run):
        raise SpecError(
            f"{post.run}: expected the run directory on a drive that all workers see, but {socket.gethostname()} does "
            "not see the files of this run; give an --out on a shared drive"
        )


def await_kept(store: EvidenceStore, keys: Iterable[str], run: Path) -> None:
    """Waits for evidence that another process left.

    Raises:
        AuditError: it does not come.
    """
    for key in keys:
        if not _seen(lambda: store.has(key), run / JOBS):  # noqa: B023 - called at once
            raise AuditError(
                f"{run}: another worker kept {key}, and {socket.gethostname()} does not see it; give an --out on a "
                "drive that all workers share"
            )


def _seen(there: Callable[[], bool], folder: Path) -> bool:
    """Whether something is there, by and by; opening its folder makes a network drive look again."""
    until = time.monotonic() + LATENCY_SECONDS
    while not there():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
        if folder.is_dir():
            next(os.scandir(folder), None)
    return True


def check_same(live: LivePlan, device: str) -> None:
    """Refuses to work with other libraries, or on another kind of device, than the keys of the jobs say.

    Raises:
        IntegrityError: naming them.
    """
    here, planned, host = versions(), live.plan.versions, socket.gethostname()
    other = [
        f"{name} {here.get(name, 'missing')} where {number} was planned with"
        for name, number in planned.items()
        if here.get(name) != number
    ]
    if other:
        raise IntegrityError(f"{host}: has {', '.join(other)}; install the same versions on all machines")
    found = choose_device(live.plan.spec.models.device).type
    if found != device:
        raise IntegrityError(f"{host}: would use {found} where {device} was planned with; say which with --device")
