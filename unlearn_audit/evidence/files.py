"""Files that appear whole or not at all, and JSON from files. Only a regular file is read, replaced or added to."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from unlearn_audit.api.user_files import kind_of, read_json
from unlearn_audit.errors import SpecError

__all__ = [
    "append",
    "open_to_append",
    "read_json",
    "refuse_no_folder",
    "refuse_special",
    "write_bytes",
    "write_json",
    "write_text",
]

_OWNER_ALONE = 0o600
SCRATCH, WRITING = ".scratch", ".writing-"
"""The scratch space of a run directory; how the name of a file begins that is not yet whole."""

EVENTS = "events.jsonl"
"""What a run tells while it goes, in its directory: for who watches it. No evidence."""

SAVES = "saves"
"""Where a run directory has what was measured of jobs that are not whole: no evidence, and gone when they are."""


def write_json(path: Path, value: object) -> None:
    """Writes JSON so that the file appears whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file so that it appears whole or not at all, readable by its owner alone.

    UTF-8 and line feeds on every system: equal results are equal bytes.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file so that it appears whole or not at all, readable by its owner alone.

    Raises:
        SpecError: what has this path is no regular file. It is neither followed nor replaced.
    """
    refuse_special(path)
    handle, scratch = tempfile.mkstemp(prefix=WRITING, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a crash may leave the new name on an empty file
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def refuse_no_folder(path: Path) -> None:
    """Refuses a file to write whose folder is not there.

    Raises:
        SpecError: naming the folder.
    """
    if not path.parent.is_dir():
        raise SpecError(f"{path}: {path.parent} is not a directory; create it first")


def open_to_append(path: Path) -> BinaryIO:
    """A file to add to, made where there is none, readable by its owner alone.

    Raises:
        OSError: it cannot be opened.
        SpecError: what has this path is no regular file. It is neither followed nor waited for.
    """
    refuse_special(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "ab")


def append(path: Path, content: bytes) -> None:
    """Adds to a file that several processes may add to, each whole; readable by its owner alone, whatever it was."""
    with open_to_append(path) as file:
        with suppress(OSError):  # a network drive that knows no locks
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        os.fchmod(file.fileno(), _OWNER_ALONE)
        file.write(content)


def refuse_special(path: Path) -> None:
    """Refuses to write where a link, a device, a named pipe or a directory has the path.

    Raises:
        SpecError: naming what it is.
    """
    try:
        kind = kind_of(path.lstat().st_mode)
    except (OSError, ValueError):  # nothing is there, or writing will say what is wrong
        return
    if kind is not None:
        raise SpecError(f"{path}: expected the name of a new or regular file, got {kind}; name another file")
