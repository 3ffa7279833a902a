"""What lies on the disk -> organisms with their truth, decided again from their evidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from benchmarks.validity.auditing.tool import POLICIES, is_audited, read_times
from benchmarks.validity.making.building import quieten, read_card
from benchmarks.validity.making.zoo import CONTROLS, Recipe, recipes
from benchmarks.validity.paths import Battery, Home
from benchmarks.validity.people.worlds import World
from benchmarks.validity.truth.tabulation import Decided, Organism, decide_run, truth_of


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """What a world's original and controls show, against which its organisms are measured.

    Attributes:
        retain: hits of the original on retain questions.
        original: what the oracle reads out of the original, as a share of the forget values; `controls` their mean.
    """

    retain: float
    original: float
    controls: float

    def oracle_number(self, told: float) -> float:
        """The share of the original's readable knowledge that is readable still."""
        return (told - self.controls) / (self.original - self.controls)


def yardstick(home: Home, world: World) -> Yardstick:
    """The yardstick of a world."""
    told = [_told(home, world, name) for name in CONTROLS]
    return Yardstick(
        retain=read_card(home.organism(world.name, "original"))["hits"]["retain"],
        original=_told(home, world, "original"),
        controls=sum(told) / len(told),
    )


def _told(home: Home, world: World, name: str) -> float:
    return float(json.loads(home.oracle(world.name, name).read_text(encoding="utf-8"))["forget"])


def organism_of(home: Home, world: World, recipe: Recipe, measure: Yardstick) -> Organism:
    """An organism with its truth."""
    hits = read_card(home.organism(world.name, recipe.name))["hits"]
    kept = hits["retain"] / measure.retain
    oracle = measure.oracle_number(_told(home, world, recipe.name))
    return Organism(
        world=world.name,
        name=recipe.name,
        family=recipe.family,
        truth=truth_of(recipe.known, kept=kept, oracle=oracle),
        forget=hits["forget"],
        kept=round(kept, 3),
        oracle=round(oracle, 3),
    )


def collect(home: Home, worlds: Sequence[World], battery: Battery, *, workers: int) -> list[Decided]:
    """Every audited organism, decided again from its evidence, in the order of the zoo."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=quieten) as pool:
        waiting = []
        for world in worlds:
            measure = yardstick(home, world)
            for recipe in recipes(world):
                out = home.run(world.name, recipe.name, battery)
                if recipe.audited and is_audited(home, world, recipe.name, battery):
                    organism = organism_of(home, world, recipe, measure)
                    waiting.append(
                        pool.submit(decide_run, out, organism, POLICIES[battery], seconds=read_times(out)["processor"])
                    )
        return [done.result() for done in waiting]
