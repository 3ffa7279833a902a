"""Whether a file is still the one that was read: what its directory entry says, and digests kept for as long as so."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

from unlearn_audit.api.user_files import kind_of
from unlearn_audit.errors import AuditError, IntegrityError

State: TypeAlias = tuple[int, int, int, int, int]
T = TypeVar("T")

SETTLED = 2 * 10**9
"""Nanoseconds after which another write shows in a file's times: two within a tick of the clock leave the same ones."""


def state_of(path: Path) -> State:
    """Device, inode, size and the times of the last change, which no write leaves as they were.

    Raises:
        AuditError: there is no regular file: reading a device or a pipe might never end.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise AuditError(f"{path}: cannot be read ({os.strerror(error.errno or 0)})") from error
    if (kind := kind_of(found.st_mode)) is not None:
        raise AuditError(f"{path}: expected a regular file, got {kind}")
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Reading:
    """Remembers what was made of a file until the file changes: gigabytes are digested once in a process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Path], tuple[State, object]] = {}

    def of(self, path: Path, make: Callable[[Path], T]) -> T:
        """What `make` gives for the file.

        Raises:
            AuditError: it cannot be read.
            IntegrityError: it changed while it was read.
        """
        key, before, now = (make.__qualname__, path), state_of(path), time.time_ns()
        known = self._kept.get(key)
        if known is not None and known[0] == before:
            return known[1]  # type: ignore[return-value]
        made = make(path)
        if state_of(path) != before:
            raise IntegrityError(f"{path}: was written to while it was read; audit a copy that nothing writes to")
        if now - max(before[3:]) > SETTLED:
            self._kept[key] = (before, made)
        return made


READING = Reading()
"""Of this process."""
