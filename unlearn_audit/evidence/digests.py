"""SHA-256 of texts, values and files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from unlearn_audit.api.user_files import open_regular


def sha256_text(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_json(value: object) -> str:
    """SHA-256 of a value's canonical JSON."""
    return sha256_text(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str))


def sha256_file(path: Path) -> str:
    """SHA-256 of a regular file's bytes; SpecError for anything else, OSError if it cannot be opened."""
    with open_regular(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
