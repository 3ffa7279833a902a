"""What keeps a plug-in from touching the model or the randomness of others, and says what it raised."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from unlearn_audit.api import AttackError, AuditError
from unlearn_audit.engine import Engine
from unlearn_audit.observing import fingerprint


@contextmanager
def untouched(engine: Engine, who: str) -> Iterator[None]:
    """Refuses a model that was written into, before anything is stored: what is kept is never found out again."""
    before = fingerprint(engine.module)
    yield
    if fingerprint(engine.module) != before:
        raise AttackError(f"{who}: left the model changed behind it; nothing of it or after it counts")


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Global randomness that plug-ins may use by accident is seeded, and the caller's restored."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed)
        yield


def message_of(error: Exception) -> str:
    """One line for the record."""
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, AuditError) else f"{type(error).__name__}: {text}"


def log_traceback(run: Path, title: str) -> None:
    """Adds the exception at hand to the run's error log."""
    with (run / "errors.log").open("a", encoding="utf-8") as log:
        log.write(f"{title}\n{traceback.format_exc()}\n")
