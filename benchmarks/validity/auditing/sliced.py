"""A slice of the zoo from start to end in one process: built, audited, judged by the others, round by round."""

from __future__ import annotations

from benchmarks.validity.auditing import tool
from benchmarks.validity.auditing.entering import enter_published_one
from benchmarks.validity.making.building import build_needed, quieten
from benchmarks.validity.making.first_slice import ROUNDS, first_slice
from benchmarks.validity.paths import Home
from benchmarks.validity.people.worlds import World
from unlearn_audit.api import Profile


def run_slice(home: Home, worlds: list[World], profile: Profile) -> None:
    """Each round of every parent before the next round of any; what is there is not made again."""
    quieten()
    for number in range(len(ROUNDS)):
        for world in worlds:
            for recipe in first_slice(world)[number]:
                for line in build_needed(home, world, recipe):
                    print(line, flush=True)
                print(tool.audit_one(home, world, recipe, profile), flush=True)
                print(enter_published_one(home, world, recipe), flush=True)
