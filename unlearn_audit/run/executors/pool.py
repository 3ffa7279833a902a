"""Units for several workers: each gets what waits for nothing, rather of the model that it holds, until all are done.

A worker that dies is replaced and its unit tried again; a unit that took several workers with it is a fault, in words.
Progress of all of them goes to the one display.
"""

from __future__ import annotations

import os
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from unlearn_audit.errors import AttackError, AuditError, IntegrityError, Notice, SpecError
from unlearn_audit.models.loading import choose_device
from unlearn_audit.plan.plan import Plan
from unlearn_audit.run.executors.interface import Hired, Needs, Place
from unlearn_audit.run.executors.messages import Died, Done, Message, Noticed, Post, Refused, Task, Told
from unlearn_audit.run.executors.station import await_kept
from unlearn_audit.run.executors.threads import most_threads
from unlearn_audit.run.jobs.workplace import Gathered, Workplace
from unlearn_audit.run.runner import give_up
from unlearn_audit.run.units import Unit

MOST_TRIES = 3
"""How many workers a unit may take with it."""

_LISTENS = 0.2
"""Seconds between two looks at whether the user interrupted."""

_FLOAT, _HALF = 4, 2  # bytes
_TRAINED = 4
"""Copies of the weights in training: themselves, their gradients, two moments."""

_ERRORS = {error.__name__: error for error in (AuditError, AttackError, IntegrityError, SpecError)}
_PASSED_ON = ("HF_", "TRANSFORMERS_", "TOKENIZERS_", "DISABLE_TELEMETRY", "DO_NOT_TRACK")
"""Variables by which libraries keep off the network; a worker elsewhere does not inherit them."""


class Pool:
    """An executor with workers, which live until it is closed: a run of several parts keeps them and their models."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._hired: dict[int, Hired] = {}
        self._holds: dict[int, str] = {}
        self._count = 0
        self._post: Post | None = None

    @contextmanager
    def crew(self, work: Workplace) -> Iterator[Callable[[Sequence[Unit]], None]]:
        """As `runner.Executor` says. On an interrupt or an error all workers are ended at once."""
        try:
            yield partial(self._do, work)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends all workers."""
        for hired in self._hired.values():
            hired.end()
        self._hired.clear()
        self._holds.clear()
        self._place.close()

    def _do(self, work: Workplace, units: Sequence[Unit]) -> None:
        if not units:
            return
        self._open(work)
        round_ = Round(work, list(units))
        while round_.waiting or round_.busy:
            work.stop_if_interrupted()
            self._assign(round_)
            for hired, message in self._place.heard(list(self._hired.values()), _LISTENS):
                number = next(number for number, one in self._hired.items() if one is hired)
                self._hear(round_, number, message)

    def _open(self, work: Workplace) -> None:
        """Finds out, before the first unit, how many workers there may be and what they must know."""
        work.outputs.ready()
        if self._post is None:
            needs = needs_of(work.live.plan)
            self._count = self._place.count(needs)
            token = f"shared-{uuid.uuid4().hex}"
            (work.store.scratch / token).touch()
            self._post = Post(
                run=work.store.run.resolve(),
                shared=None if work.store.shared is None else work.store.shared.resolve(),
                text=work.outputs.text,
                directory=Path.cwd(),
                token=token,
                environment={name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)},
                device=needs.device,
                threads=needs.threads,
            )

    def _assign(self, round_: Round) -> None:
        for number in range(self._count):
            if number in round_.busy:
                continue
            others = {model for other, model in self._holds.items() if other != number and other in round_.busy}
            unit = round_.next_for(self._holds.get(number), others)
            if unit is None:
                return
            if number not in self._hired and self._post is not None:
                self._hired[number] = self._place.hire(self._post, number)
            round_.busy[number] = unit
            self._holds[number] = unit.model.name
            self._hired[number].assign(round_.task(unit))

    def _hear(self, round_: Round, number: int, message: Message) -> None:
        work = round_.work
        match message:
            case Told():
                round_.tell(message)
            case Noticed():
                warnings.warn(message.text, Notice, stacklevel=2)
            case Done():
                await_kept(work.store, message.kept, work.store.run)
                work.gathered.add(message.gathered)
                round_.finish(number, message.kept)
            case Refused():
                _refuse(message)
            case Died():
                del self._hired[number]
                del self._holds[number]
                self._mourn(round_, number, message)

    def _mourn(self, round_: Round, number: int, message: Died) -> None:
        """Has the unit of a dead worker tried again, or given up."""
        if number not in round_.busy:
            return
        unit = round_.busy[number]
        round_.tries[unit.id] += 1
        if round_.tries[unit.id] < MOST_TRIES:
            again = f"worker {number + 1} {message.how} in {unit.title}; another one tries again"
            warnings.warn(again, Notice, stacklevel=2)
            round_.busy.pop(number)
            round_.waiting.insert(0, unit)
            return
        left = tuple(job for job in unit.jobs if not round_.work.store.has(job.key))
        why = (
            f"{MOST_TRIES} workers ended while they did this, the last one {message.how}; too little memory may be why"
        )
        give_up(round_.work, replace(unit, jobs=left), why)
        round_.finish(number, ())


class Round:
    """The units of one round: those that wait, those that somebody does, and what is done."""

    def __init__(self, work: Workplace, units: list[Unit]) -> None:
        self.work = work
        self.waiting = units
        self.busy: dict[int, Unit] = {}
        self.tries: Counter[str] = Counter()
        self._left = {unit.id for unit in units}
        self._kept: dict[str, tuple[str, ...]] = {}
        self._told: set[str] = set()

    def next_for(self, held: str | None, others: set[str]) -> Unit | None:
        """What a worker does next: of the model that it holds; else of one that no other holds, or that has most left.

        Jobs that are done by now, of another role with the same weights or by a worker that died, are passed over.
        """
        while (unit := self._best(held, others)) is not None:
            self.waiting.remove(unit)
            if not self._is_done(unit):
                return unit
        return None

    def _best(self, held: str | None, others: set[str]) -> Unit | None:
        free = [unit for unit in self.waiting if not unit.needs & self._left]
        left = Counter(unit.model.name for unit in free)
        best = max(left, key=lambda model: (model == held, model not in others, left[model]), default=None)
        return next((unit for unit in free if unit.model.name == best), None)

    def _is_done(self, unit: Unit) -> bool:
        store = self.work.store
        if not unit.jobs or not all(store.has(job.key) for job in unit.jobs):
            return False
        self._left.discard(unit.id)
        if self.tries[unit.id]:  # its worker died between keeping it and saying so
            for job in [job for job in unit.jobs if job.key not in self._told]:
                self.work.progress.finished(job, store.about(job.key)["seconds"], None)
        return True

    def task(self, unit: Unit) -> Task:
        """The unit with all that it depends on."""
        known = Gathered()
        known.add(self.work.gathered)
        known.faults.clear()
        present = tuple(key for need in sorted(unit.needs) for key in self._kept.get(need, ()))
        return Task(unit=unit, known=known, present=present)

    def tell(self, message: Told) -> None:
        """Hands an event to the display."""
        if message.event in ("finished", "skipped"):
            self._told.add(message.arguments[0].key)
        getattr(self.work.progress, message.event)(*message.arguments)

    def finish(self, number: int, kept: tuple[str, ...]) -> None:
        """Notes that a unit needs no more work."""
        unit = self.busy.pop(number)
        self._left.discard(unit.id)
        self._kept[unit.id] = kept


def needs_of(plan: Plan) -> Needs:
    """What a worker needs for a plan: a device of its kind, and memory for a model and what an attack makes of it.

    That is a copy; where something is trained, a copy in float32 with gradients and two moments, the most it can be.

    Raises:
        SpecError: one device was named, and each worker has its own.
    """
    options = plan.spec.models
    if ":" in options.device:
        raise SpecError(f"--device {options.device}: each worker has a device of its own; give --device auto or cuda")
    device = choose_device(options.device).type if options.device == "auto" else options.device.partition(":")[0]
    weights = max(model.checkpoint.extent.weights for model in plan.loaded)
    held = (_FLOAT if device == "cpu" or options.dtype == "float32" else _HALF) * weights
    made = _TRAINED * _FLOAT * weights if any(job.arm.training_texts for job in plan.jobs) else held
    return Needs(device=device, spread=options.device_map is not None, bytes=held + made, threads=most_threads(plan))


def _refuse(message: Refused) -> NoReturn:
    if message.kind in _ERRORS:
        raise _ERRORS[message.kind](message.message)
    raise RuntimeError(f"a worker failed: {message.message}; errors.log has more")
