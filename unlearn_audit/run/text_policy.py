"""How much of what models answer is kept. A module of its own, for the command line to name it without loading more."""

from __future__ import annotations

from enum import StrEnum


class KeptText(StrEnum):
    """None of it, the answers without the words that must be gone, or all of it."""

    NONE = "none"
    REDACTED = "redacted"
    FULL = "full"
