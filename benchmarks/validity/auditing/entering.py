"""Other auditors over all organisms: the published criteria, and a command of anyone's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from benchmarks.validity.auditing import command, published
from benchmarks.validity.auditing.contract import Answer, Request
from benchmarks.validity.auditing.kept import answered, built, keep, kept, request_of
from benchmarks.validity.making.building import quieten
from benchmarks.validity.making.zoo import Recipe
from benchmarks.validity.paths import Home
from benchmarks.validity.people.worlds import World
from unlearn_audit.errors import AuditError
from unlearn_audit.verdict.result import Outcome

Judge = Callable[[Request], dict[str, Answer]]


def enter_command(
    home: Home, worlds: Sequence[World], name: str, line: str, *, most_seconds: float, only: Sequence[str] = ()
) -> None:
    """Lets a command judge every organism that is built, one after the other; its row is called `name`."""
    judge = partial(command.ask, line, most_seconds=most_seconds)
    for world in worlds:
        for recipe in built(home, world, only):
            print(enter_one(home, world, recipe, name, judge), flush=True)


def enter_published(home: Home, worlds: Sequence[World], *, workers: int, only: Sequence[str] = ()) -> None:
    """The criteria that others publish, a world a process: its control is measured once."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=quieten) as pool:
        for done in [pool.submit(_published, home, world, only) for world in worlds]:
            done.result()


def _published(home: Home, world: World, only: Sequence[str]) -> None:
    for recipe in built(home, world, only):
        print(enter_published_one(home, world, recipe), flush=True)


def enter_published_one(home: Home, world: World, recipe: Recipe) -> str:
    """The published criteria of one organism; a line that says how it went."""
    return enter_one(home, world, recipe, published.NAME, _published_or_error)


def _published_or_error(request: Request) -> dict[str, Answer]:
    try:
        return published.judge(request)
    except AuditError as error:
        return {published.NAME: Answer(verdict=Outcome.ERROR, note=str(error))}


def enter_one(home: Home, world: World, recipe: Recipe, name: str, judge: Judge) -> str:
    """One organism judged, unless it is; a line that says how it went."""
    if not answered(home, name, world, recipe):
        keep(home, name, world, recipe, judge(request_of(home, world, recipe)))
    rows = {row or name: (one.score, one.verdict) for row, one in kept(home, name, world, recipe).items()}
    return f"{world.name} {recipe.name}: {rows}"
