"""Answers on the disk: one file an auditor and organism, which tells of which organism it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmarks.validity.auditing.contract import Answer, Request, answer_of
from benchmarks.validity.making.building import is_built, read_card
from benchmarks.validity.making.zoo import Recipe, recipes
from benchmarks.validity.paths import Home
from benchmarks.validity.people.worlds import World


def built(home: Home, world: World, only: Sequence[str] = ()) -> list[Recipe]:
    """The organisms that can be judged, in the order of the zoo: built, with original and controls."""
    own = {one.name: one for one in recipes(world)}
    return [
        one
        for one in own.values()
        if one.audited and (not only or one.name in only)
        if all(is_built(home.world(world.name), own[name]) for name in (one.name, "original", *one.controls))
    ]


def answered(home: Home, auditor: str, world: World, recipe: Recipe) -> bool:
    """Whether the answer on disk is of the organism on disk."""
    path = home.answer(auditor, world.name, recipe.name)
    if not path.is_file():
        return False
    told = json.loads(path.read_text(encoding="utf-8"))
    return bool(told["organism"] == _organism(home, world, recipe))


def keep(home: Home, auditor: str, world: World, recipe: Recipe, rows: Mapping[str, Answer]) -> None:
    """Keeps the answers of an auditor, by the names of their rows."""
    path = home.answer(auditor, world.name, recipe.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "organism": _organism(home, world, recipe),
        "rows": {name: one.as_json() for name, one in rows.items()},
    }
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    scratch.replace(path)


def kept(home: Home, auditor: str, world: World, recipe: Recipe) -> dict[str, Answer]:
    """Row -> answer, as kept."""
    told = json.loads(home.answer(auditor, world.name, recipe.name).read_text(encoding="utf-8"))
    return {name: answer_of(one) for name, one in told["rows"].items()}


def _organism(home: Home, world: World, recipe: Recipe) -> Mapping[str, object]:
    """What decides the weights under audit and those of the controls."""
    folder = home.world(world.name)
    return {name: read_card(folder / name)["settings"] for name in (recipe.name, "original", *recipe.controls)}


def request_of(home: Home, world: World, recipe: Recipe) -> Request:
    """What an auditor is given of an organism."""
    folder = home.world(world.name)
    return Request(
        checkpoint=str(folder / recipe.name),
        original=str(folder / "original"),
        retrained=tuple(str(folder / control) for control in recipe.controls),
        forget=str(folder / "forget.jsonl"),
        retain=str(folder / "retain.jsonl"),
        holdout=str(folder / "holdout.jsonl"),
    )
