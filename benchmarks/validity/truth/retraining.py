"""The second oracle: what full fine-tuning to the plateau brings back about people whom it did not train on.

Stronger than any battery here on purpose: all weights, three rates, three seeds, as many steps as it takes, and the
same on the controls. No audit sees it. It costs minutes a model, and is for those whose truth construction leaves open.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import torch

from benchmarks.validity.making.bench import HALF_BATCH_SIZE, Bench
from benchmarks.validity.making.building import is_built, quieten, read_card
from benchmarks.validity.making.measuring import hit_rate
from benchmarks.validity.making.modelling import mean_nll
from benchmarks.validity.making.zoo import CONTROLS, Recipe, recipes
from benchmarks.validity.paths import Home, reach_organisms
from benchmarks.validity.people.kinds import Told
from benchmarks.validity.people.worlds import World

reach_organisms()

from training import descend  # noqa: E402
from transformers import PreTrainedModel  # noqa: E402

RETRAINING = "retraining"
RATES = (3e-4, 1e-3, 3e-3)
SEEDS = 3
STEPS, ROUNDS = 150, 4
PLATEAU = 0.02
"""A round of `STEPS` that raises the share by no more than this ends the training."""


def plan(world: World) -> list[str]:
    """Whom it is asked of: what construction leaves open, and what they are measured against."""
    open_ = [one.name for one in recipes(world) if one.audited and one.known is None]
    return ["original", *CONTROLS, *open_]


def brought_back(bench: Bench, name: str) -> dict[str, float]:
    """Rate -> share of forget questions answered right about the half that was not trained on, mean over seeds."""
    subjects = sorted({fact.subject for fact in bench.people.forget.facts})
    shares: dict[str, list[float]] = {}
    for rate in RATES:
        for seed in range(SEEDS):
            for half in (0, 1):
                taught = set(subjects[half::2])
                own = [fact for fact in bench.people.forget.facts if fact.subject in taught]
                rest = [fact for fact in bench.people.forget.facts if fact.subject not in taught]
                course = replace(bench, name=f"{RETRAINING}-{name}-{rate}-{seed}-{half}")
                shares.setdefault(f"{rate:g}", []).append(_at_plateau(course, name, own, rest, rate))
    return {rate: round(sum(found) / len(found), 4) for rate, found in shares.items()}


def _at_plateau(bench: Bench, name: str, own: Sequence[Told], rest: Sequence[Told], rate: float) -> float:
    """The largest share of the other half over rounds, the last of which brought nothing more."""
    model: PreTrainedModel = bench.load(name)
    forget = bench.batches("forget", bench.writer.asked(own), HALF_BATCH_SIZE)
    retain = bench.batches("retain", bench.retain(), HALF_BATCH_SIZE)
    best = hit_rate(model.eval(), bench.writer, rest)
    for _ in range(ROUNDS):
        stream = (mean_nll(model, one) + mean_nll(model, other) for one, other in zip(forget, retain, strict=False))
        descend(list(model.train().parameters()), stream, steps=STEPS, peak_rate=rate)
        share = hit_rate(model.eval(), bench.writer, rest)
        if share <= best + PLATEAU:
            return max(best, share)
        best = share
    return best


def retrain_all(home: Home, worlds: Sequence[World], *, workers: int, only: Sequence[str] = ()) -> None:
    """Asks it of every model of the plan that is built and was not yet asked."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=quieten) as pool:
        waiting = [
            pool.submit(_ask, home, world, recipe)
            for world in worlds
            for recipe in recipes(world)
            if recipe.name in plan(world) and is_built(home.world(world.name), recipe)
            if not only or recipe.name in only
        ]
        for done in waiting:
            print(done.result(), flush=True)


def _ask(home: Home, world: World, recipe: Recipe) -> str:
    target = home.oracle(RETRAINING, world.name, recipe.name)
    settings = read_card(home.organism(world.name, recipe.name))["settings"]
    if not target.is_file() or json.loads(target.read_text(encoding="utf-8"))["settings"] != settings:
        torch.manual_seed(0)  # nothing draws from it; a model with dropout would
        bench = Bench(name=recipe.name, world=world, settings={}, folder=home.world(world.name))
        found = {"settings": settings, "by_rate": brought_back(bench, recipe.name)}
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(".tmp")
        scratch.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        scratch.replace(target)
    return f"{world.name} {recipe.name}: {target.read_text(encoding='utf-8').strip()}"
