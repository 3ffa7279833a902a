"""This tool on every organism: one battery for all, the evidence of original and controls shared within a world."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from enum import StrEnum
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from benchmarks.validity.auditing.contract import Answer
from benchmarks.validity.auditing.kept import answered, built, keep, kept, request_of
from benchmarks.validity.making.building import quieten
from benchmarks.validity.making.zoo import Recipe
from benchmarks.validity.paths import Home, code_digest
from benchmarks.validity.people.worlds import World
from unlearn_audit.api import Profile
from unlearn_audit.audit.hops import audit
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.errors import AuditError
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.verdict.result import Outcome, Result

BESIDE = {"unlearning-depth": {}}
"""Comparisons that are measured in the same run: advisory, they enter no verdict. Others' criteria need them."""


class Battery(StrEnum):
    """What this tool tries: all that a profile has."""

    QUICK = "quick"
    STANDARD = "standard"
    DEEP = "deep"

    @property
    def row(self) -> str:
        """The name of this tool's row with the battery."""
        return f"unlearn-audit {self}"


def spec_of(home: Home, world: World, recipe: Recipe, battery: Battery) -> AuditSpec:
    """The audit of one organism: all that the battery has, by the default policy."""
    return AuditSpec(
        **asdict(request_of(home, world, recipe)),
        profile=Profile(battery.value),
        comparisons=BESIDE,
    )


def audit_one(home: Home, world: World, recipe: Recipe, battery: Battery) -> str:
    """One audit, unless it is there; a line that says how it went. Whatever stops it is its verdict: ERROR."""
    row = battery.row
    if not answered(home, row, world, recipe):
        out = home.run(world.name, recipe.name, battery)
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        busy = time.process_time()
        answer = _verdict(home, world, recipe, battery, out)
        seconds = round(time.process_time() - busy, 1)
        told = {**answer.as_json(), "seconds": seconds, "code": code_digest()}
        keep(home, row, world, recipe, {"": Answer(**told)})
    return f"{world.name} {recipe.name}: {kept(home, row, world, recipe)['']}"


def _verdict(home: Home, world: World, recipe: Recipe, battery: Battery, out: Path) -> Answer:
    try:
        result = audit(
            make_plan(spec_of(home, world, recipe, battery)),
            out,
            Quiet(Console(stderr=True)),
            shared=home.store(world.name),
            formats=("json",),
        )
    except AuditError as error:
        return Answer(verdict=Outcome.ERROR, note=f"{type(error).__name__}: {error}")
    return Answer(score=recovered(result), verdict=result.outcome)


def recovered(result: Result) -> float | None:
    """The largest share of the original's knowledge that any deciding finding brought back."""
    shares = [one.recovered for one in result.verdict.findings if one.gates and one.recovered is not None]
    return max(shares, default=None)


def audit_all(home: Home, worlds: Sequence[World], battery: Battery, *, workers: int, only: Sequence[str] = ()) -> None:
    """Audits what is built and not yet audited; the first of a world pays for its original and its controls."""
    due = {world: built(home, world, only) for world in worlds}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=quieten) as pool:
        first = {pool.submit(audit_one, home, world, own[0], battery): world for world, own in due.items() if own}
        rest = []
        for done in as_completed(first):
            print(done.result(), flush=True)
            world = first[done]
            rest += [pool.submit(audit_one, home, world, one, battery) for one in due[world][1:]]
        for done in as_completed(rest):
            print(done.result(), flush=True)
