"""What keeps a plug-in from touching the model or the randomness of others, and says what it raised."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import torch

from unlearn_audit.api import Model
from unlearn_audit.errors import AttackError, cause_of
from unlearn_audit.evidence.files import append
from unlearn_audit.evidence.manifest import ERRORS
from unlearn_audit.models.engine import Engine

_MASK: ContextVar[Callable[[str], str]] = ContextVar("mask", default=str)


@contextmanager
def masking(mask: Callable[[str], str]) -> Iterator[None]:
    """While it lasts, messages are kept and logged as `mask` writes them: an exception may repeat a question."""
    token = _MASK.set(mask)
    try:
        yield
    finally:
        _MASK.reset(token)


def masked(message: str) -> str:
    """A message as it may be kept."""
    return _MASK.get()(message)


@contextmanager
def untouched(engine: Engine, who: str) -> Iterator[None]:
    """Refuses a model that was written into, before anything is stored: what is kept is never found out again."""
    before = fingerprint(engine.module)
    yield
    if fingerprint(engine.module) != before:
        raise AttackError(f"{who}: changed the model and did not undo it; its results and later ones do not count")


def refused_when_changed(engine: Engine, dose: str) -> Callable[[str], None]:
    """A check, by a probe's name, that it wrote nothing into the model of a dose.

    It is made before anything of the probe is kept: a run that goes on would not find it out.
    """
    before = fingerprint(engine.module)

    def check(probe: str) -> None:
        if fingerprint(engine.module) != before:
            raise AttackError(f"probe {probe}: changed the model at dose {dose!r}; its results do not count")

    return check


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Global randomness that plug-ins may use by accident is seeded, and the caller's restored."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed)
        yield


def message_of(error: BaseException) -> str:
    """One line for the record."""
    return masked(cause_of(error))


def log_traceback(run: Path, title: str) -> None:
    """Adds the exception at hand to the run's error log."""
    append(run / ERRORS, masked(f"{title}\n{traceback.format_exc()}\n").encode("utf-8", "backslashreplace"))


def fingerprint(module: torch.nn.Module) -> tuple[str, ...]:
    """Sums over every floating-point weight: differs if an attack wrote into the model it was given.

    As text, so that a weight that is not a number is equal to itself.
    """
    kept = [parameter.detach() for parameter in module.parameters() if parameter.is_floating_point()]
    sums = [values.sum(dtype=torch.float32 if values.device.type == "mps" else torch.float64) for values in kept]
    return tuple(repr(float(total)) for total in sums)


def as_engine(model: Model, whose: str) -> Engine:
    """The engine that a plug-in's model is.

    Raises:
        AttackError: it was made in another way.
    """
    if not isinstance(model, Engine):
        raise AttackError(f"{whose}: its model must come from fork() or with_module()")
    return model
