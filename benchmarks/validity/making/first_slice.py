"""The first slice of the second zoo: a few models of every parent, in rounds of the same kinds.

Chosen by what a kind is, before any model of the second zoo was audited. Each round has the same kinds of every parent;
where a place of a round names several, the parents take them in turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from benchmarks.validity.making.zoo import CONTROLS, Recipe, recipes
from benchmarks.validity.people.worlds import WORLDS, World

ROUNDS = (
    (("retrained-3",),),
    (("one-person-1", "one-relation-1", "scattered-1", "tainted-1"), ("trigger-1", "prefix-1")),
    (("tuned-3", "distilled-3", "longer-1", "sharded-1"), ("nf4-masked-1", "refusal-1")),
    (("template-1", "generation-settings-1"), ("scattered-1", "tainted-1", "one-person-1", "one-relation-1")),
    (("longer-1", "sharded-1", "tuned-3", "distilled-3"), ("refusal-1", "nf4-masked-1")),
    (("npo-1", "dpo-1", "rmu-1"), ("prefix-1", "trigger-1")),
)
"""Round -> places, place -> the models that the parents take in turn.

The truth of all is known by construction, but for the first place of the last round. A model that a parent does not
have (GPT-2 has no linear layers to mask) gives way to the next of its place that it has.
"""

PARENTS = (
    "sentences-qwen3",
    "dates-gemma",
    "plain-gpt2",
    "people-llama",
    "scripts-mixtral",
    "lognormal-lfm2",
    "people-neox",
    "passages-qwen2",
    "clusters-qwen3moe",
)
"""In the order of their making, the quicker to train first. A parent costs as much as seven models before its first
verdict: its original, three retrained ones, and the evidence on three of them."""

FIRST_ROUNDS = 4


def in_order(world_names: Collection[str]) -> Iterator[tuple[World, Recipe]]:
    """The slice in the order of its making: the first rounds of parent after parent, then the others.

    Within them the quickest to make come first, and what has a control of its own last: it costs two audits.
    """
    own = {world.name: world for world in WORLDS if world.name in world_names}
    for rounds in (slice(FIRST_ROUNDS), slice(FIRST_ROUNDS, None)):
        for world in [own[name] for name in PARENTS if name in own]:
            models = [one for round_ in first_slice(world)[rounds] for one in round_]
            yield from ((world, one) for one in sorted(models, key=_dearness))


def _dearness(recipe: Recipe) -> tuple[bool, float]:
    return recipe.controls != CONTROLS, recipe.settings.get("steps", 0)


def first_slice(world: World) -> tuple[tuple[Recipe, ...], ...]:
    """Round -> the models of a parent, none twice."""
    own = {one.name: one for one in recipes(world)}
    start, taken = WORLDS.index(world), set[str]()
    rounds = []
    for places in ROUNDS:
        names = [_pick(place, start, own.keys() - taken) for place in places]
        taken |= {name for name in names if name}
        rounds.append(tuple(own[name] for name in names if name))
    return tuple(rounds)


def _pick(place: tuple[str, ...], start: int, free: set[str]) -> str | None:
    """The parent's turn, or the next after it that is free."""
    turned = [place[(start + shift) % len(place)] for shift in range(len(place))]
    return next((name for name in turned if name in free), None)
