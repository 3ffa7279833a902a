"""The first slice: as many of each kind of truth from every parent, and none that a parent does not have."""

from __future__ import annotations

import pytest

from benchmarks.validity.making.first_slice import ROUNDS, first_slice, in_order
from benchmarks.validity.making.zoo import recipes
from benchmarks.validity.people.worlds import WORLDS, Architecture
from benchmarks.validity.truth.tabulation import Truth

TRUTHS = [
    [Truth.NEVER],
    [Truth.KNOWS, Truth.KNOWS],
    [Truth.NEVER, Truth.KNOWS],
    [Truth.KNOWS, Truth.KNOWS],
    [Truth.NEVER, Truth.KNOWS],
    [None, Truth.KNOWS],
]


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_every_parent_has_the_same_truths_in_every_round(world):
    expected = [list(round_) for round_ in TRUTHS]
    if world.architecture is Architecture.GPT2:
        expected[4] = [Truth.NEVER]  # there is nothing to mask in it
    chosen = first_slice(world)
    assert [[one.known for one in round_] for round_ in chosen] == expected
    names = [one.name for round_ in chosen for one in round_]
    assert len(set(names)) == len(names)
    assert set(names) <= {one.name for one in recipes(world) if one.audited}


def test_every_kind_of_a_place_comes_up_at_some_parent():
    chosen = {one.name for world in WORLDS for round_ in first_slice(world) for one in round_}
    assert chosen == {name for round_ in ROUNDS for place in round_ for name in place}


def test_the_order_has_every_model_of_the_slice_once():
    ordered = [(world.name, one.name) for world, one in in_order([world.name for world in WORLDS])]
    assert sorted(ordered) == sorted(
        (world.name, one.name) for world in WORLDS for round_ in first_slice(world) for one in round_
    )
