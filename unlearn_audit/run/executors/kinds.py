"""The kinds of executors. A module of its own, for the command line to name them without loading more."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Where jobs run: on this machine, or on a Ray cluster."""

    LOCAL = "local"
    RAY = "ray"
