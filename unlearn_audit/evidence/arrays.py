"""Named arrays in a file: what comparisons take from a model."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unlearn_audit.errors import AuditError


def load_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a file.

    Raises:
        AuditError: it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise AuditError(f"{path}: cannot be read ({error}); delete the job and rerun") from error


def arrays_digest(arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """SHA-256 over named arrays: names, types, shapes and bytes."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name}\x1f{array.dtype.str}\x1f{array.shape}\x1f".encode())
        found.update(array.tobytes())
    return found.hexdigest()
