"""What comparisons have in common: a sample of what is asked, and means over each subject's facts."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")
Owner = TypeVar("Owner", bound=Hashable)


def sampled(items: Sequence[Item], most: int, seed: int) -> list[Item]:
    """At most so many, drawn evenly at random, in their own order."""
    order = np.random.default_rng(seed).permutation(len(items))[:most]
    return [items[place] for place in sorted(order.tolist())]


def means_by(owners: Iterable[Owner], values: Iterable[float]) -> dict[Owner, float]:
    """The mean of each owner's values, in the order in which owners come."""
    found: dict[Owner, list[float]] = {}
    for owner, value in zip(owners, values, strict=True):
        found.setdefault(owner, []).append(value)
    return {owner: float(np.mean(several)) for owner, several in found.items()}
