"""Is a stored job what was written? Its `job.json` is sealed, and holds the digest of what lies beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.arrays import arrays_digest, load_arrays
from unlearn_audit.evidence.digests import sha256_json
from unlearn_audit.evidence.files import read_json
from unlearn_audit.evidence.observations import frame_digest

SEAL = "seal"
OBSERVATIONS, FEATURES = "observations.parquet", "features.npz"


class Holds(StrEnum):
    """What a job's directory has besides its `job.json`."""

    OBSERVATIONS = "observations"
    ARRAYS = "arrays"
    NOTHING = "nothing"


def sealed(content: Mapping[str, Any], key: str, holds: Holds) -> dict[str, Any]:
    """The content of a `job.json` with its seal: a digest over all of it, and over the key that it is stored under."""
    written = json.loads(json.dumps(content))  # as it will be read: keys are texts, and tuples are lists
    return {**written, SEAL: {"holds": str(holds), "sha256": _digest(written, key, str(holds))}}


def unsealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content alone."""
    return {name: value for name, value in content.items() if name != SEAL}


def flaw_of(job: Path, key: str, about: str) -> str | None:
    """What is wrong with a stored job; None where it is all there and just as it was written.

    Args:
        job: its directory.
        key: what it is stored under.
        about: the name of its `job.json`.
    """
    if not (job / about).is_file():  # nor a device or a pipe, which would never end
        return f"{about} is missing"
    try:
        content = read_json(job / about)
    except (AuditError, RecursionError):
        return f"{about} cannot be read"
    seal = content.get(SEAL) if isinstance(content, dict) else None
    holds = seal.get("holds") if isinstance(seal, dict) else None
    if not isinstance(seal, dict) or seal.get("sha256") != _digest(unsealed(content), key, str(holds)):
        return f"{about} is not what was written"
    if holds == Holds.NOTHING:
        return None
    name = OBSERVATIONS if holds == Holds.OBSERVATIONS else FEATURES
    if not (job / name).is_file():
        return f"{name} is missing"
    try:
        same = _digest_of(job / name) == content["digest"]
    except Exception:  # pyarrow and numpy raise many kinds for a damaged file
        return f"{name} cannot be read"
    return None if same else f"{name} does not match its digest"


def _digest(content: Mapping[str, Any], key: str, holds: str) -> str:
    return sha256_json([key, holds, dict(content)])


def _digest_of(path: Path) -> str:
    if path.name == FEATURES:
        return arrays_digest(load_arrays(path))
    import pandas as pd

    return frame_digest(pd.read_parquet(path))
