"""The cheapest attacks that together catch every organism that any attack catches."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

Caught = Mapping[str, frozenset[str]]


def cheapest_cover(caught: Caught, seconds: Mapping[str, float]) -> tuple[str, ...]:
    """The cheapest set, by trying all: what costs least, then what is smallest, then by name.

    Args:
        caught: attack -> the organisms that it catches alone.
        seconds: attack -> what it costs a model.
    """
    useful = sorted(name for name, found in caught.items() if found)
    wanted = frozenset().union(*caught.values())
    covers = (
        chosen
        for size in range(len(useful) + 1)
        for chosen in combinations(useful, size)
        if frozenset().union(*(caught[name] for name in chosen)) == wanted
    )
    return min(covers, key=lambda chosen: (sum(seconds[name] for name in chosen), len(chosen), chosen), default=())


def redundant(caught: Caught) -> dict[str, tuple[str, ...]]:
    """Attack -> the others each of which alone catches all that it catches; of an attack that catches nothing none."""
    return {
        name: tuple(sorted(other for other in caught if other != name and found <= caught[other]))
        for name, found in caught.items()
        if found
    }
