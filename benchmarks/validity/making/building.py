"""Organisms onto the disk: a finished one is never built again, and a folder appears whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.validity.making.bench import Bench
from benchmarks.validity.making.measuring import measure
from benchmarks.validity.making.zoo import Recipe, recipes
from benchmarks.validity.paths import Home, reach_organisms
from benchmarks.validity.people.worlds import World, write_world

reach_organisms()

from transformers.utils import logging as transformers_logging  # noqa: E402

CARD = "card.json"


def quieten() -> None:
    """One thread, so that sums come in one order, and none of the library's bars."""
    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def build_all(home: Home, worlds: Sequence[World], *, workers: int, only: Sequence[str] = ()) -> None:
    """Builds what is missing, `workers` organisms at a time, each after what it needs.

    Args:
        home: where to.
        worlds: which worlds.
        workers: processes, of one thread each.
        only: names; all where it is empty. What they need must be there.
    """
    for world in worlds:
        write_world(world, home.world(world.name))
    waiting = [
        (world, recipe)
        for world in worlds
        for recipe in recipes(world)
        if not is_built(home.world(world.name), recipe) and (not only or recipe.name in only)
    ]
    running: dict[Future[str], tuple[World, Recipe]] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=quieten) as pool:
        while waiting or running:
            unfinished = {(world.name, recipe.name) for world, recipe in (*waiting, *running.values())}
            for world, recipe in tuple(waiting):
                ready = not any((world.name, need) in unfinished for need in recipe.needs)
                if ready and len(running) < workers:
                    waiting.remove((world, recipe))
                    running[pool.submit(_build_one, home, world, recipe.name)] = (world, recipe)
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                del running[done]
                print(done.result(), flush=True)


def build_needed(home: Home, world: World, recipe: Recipe) -> Iterator[str]:
    """Builds, in this process, what is missing of an organism, of what it needs and of what it is audited against."""
    write_world(world, home.world(world.name))
    own = {one.name: one for one in recipes(world)}
    for name in ("original", *recipe.needs, *recipe.controls):
        if name != recipe.name and not is_built(home.world(world.name), own[name]):
            yield from build_needed(home, world, replace(own[name], controls=()))
    if not is_built(home.world(world.name), recipe):
        yield _build_one(home, world, recipe.name)


def _build_one(home: Home, world: World, name: str) -> str:
    recipe = next(one for one in recipes(world) if one.name == name)
    bench = Bench(name=name, world=world, settings=recipe.settings, folder=home.world(world.name))
    return f"{world.name} {name}: {build(bench, recipe)}"


def is_built(folder: Path, recipe: Recipe) -> bool:
    """Whether the organism on disk was made by this recipe."""
    card = folder / recipe.name / CARD
    return card.is_file() and json.loads(card.read_text(encoding="utf-8"))["settings"] == dict(recipe.settings)


def build(bench: Bench, recipe: Recipe) -> dict[str, Any]:
    """Makes, saves in half precision, reads back, measures."""
    begun = time.process_time()
    model = recipe.make(bench).eval()
    made = round(time.process_time() - begun, 1)
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=bench.folder))
    try:
        # An adapter stays in float32, as PEFT's users leave it.
        (model if hasattr(model, "peft_config") else model.half()).save_pretrained(scratch)
        bench.tokenizer.save_pretrained(scratch)
        hits = measure(scratch, bench.people)
        card = {
            "name": recipe.name,
            "family": recipe.family,
            "settings": dict(recipe.settings),
            "seconds": made,
            "hits": hits,
        }
        (scratch / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        target = bench.folder / recipe.name
        shutil.rmtree(target, ignore_errors=True)
        scratch.chmod(0o755)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return {"seconds": made, **hits}


def read_card(folder: Path) -> dict[str, Any]:
    """What was written beside an organism when it was built."""
    card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    return card
