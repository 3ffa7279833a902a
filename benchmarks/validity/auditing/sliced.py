"""A slice of the zoo from start to end in one process: built, audited, judged by the others."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.validity.auditing import tool
from benchmarks.validity.auditing.entering import enter_published_one
from benchmarks.validity.making.building import build_needed, quieten
from benchmarks.validity.making.first_slice import in_order
from benchmarks.validity.paths import Home
from benchmarks.validity.people.worlds import World


def run_slice(home: Home, worlds: Sequence[World], battery: tool.Battery) -> None:
    """Model after model in the order of the slice; what is there is not made again."""
    quieten()
    for world, recipe in in_order([one.name for one in worlds]):
        for line in build_needed(home, world, recipe):
            print(line, flush=True)
        print(tool.audit_one(home, world, recipe, battery), flush=True)
        print(enter_published_one(home, world, recipe), flush=True)
