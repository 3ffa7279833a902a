"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from unlearn_audit.errors import AuditError

SCRATCH, WRITING = ".scratch", ".writing-"
"""The scratch space of a run directory; how the name of a file begins that is not yet whole."""


def write_json(path: Path, value: object) -> None:
    """Writes JSON so that the file appears whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file so that it appears whole or not at all, readable by its owner alone.

    UTF-8 and line feeds on every system: equal results are equal bytes.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file so that it appears whole or not at all, readable by its owner alone."""
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


def read_json(path: Path) -> Any:
    """JSON from a file.

    Raises:
        AuditError: naming the file and what is wrong.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AuditError(f"{path}: expected a readable JSON file ({error})") from error
