"""How large a model is, as the names and shapes of its stored tensors tell: what an attack asks before it is loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_EXPERTS = ".experts."
EXPERTS_A_TOKEN = 2
"""Experts that a token meets, about; the tensors do not say."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Sizes of a model.

    Attributes:
        weights: how many values.
        stored_bytes: what they take in the file.
        largest: values of the largest tensor.
        blocks: how many there are.
        within: rows and columns of all matrices of the blocks together: values that a token leaves on its way.
        width: of the residual stream.
        vocabulary: rows of the largest table outside of the blocks.
        mixture: whether its blocks have experts.
    """

    weights: int
    stored_bytes: int
    largest: int
    blocks: int
    within: int
    width: int
    vocabulary: int
    mixture: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Audited:
    """What is known of the checkpoint under audit before it is loaded; the same for every role.

    Attributes:
        extent: of an adapter, its base's.
        is_adapter: whether it is a base with an adapter.
        dtype: as the audit loads it: `auto`, `float32`, `float16`, `bfloat16`.
        device: as the audit names it: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        spread: whether its weights are spread over all devices.
    """

    extent: Extent
    is_adapter: bool = False
    dtype: str = "auto"
    device: str = "auto"
    spread: bool = False


def extent_of(tensors: Iterable[tuple[str, tuple[int, ...], int]]) -> Extent:
    """The sizes of a model.

    Blocks are what is numbered first in a tensor's name. A second number is an expert's. Of experts a token meets two.

    Args:
        tensors: name, shape, and bytes in the file of each.
    """
    kept = list(tensors)
    sizes = [math.prod(shape) for _, shape, _ in kept]
    blocks: set[str] = set()
    passed: dict[str, list[int]] = {}
    outside = [(1, 1)]
    for name, shape, _ in kept:
        found = _NUMBER.search(name)
        if found is None:
            outside += [(max(shape), min(shape))] if len(shape) == 2 else []
            continue
        block, rest = name[: found.end()], name[found.end() :]
        blocks.add(block)
        if len(shape) in (2, 3):
            stacked = EXPERTS_A_TOKEN if len(shape) == 3 else 1
            passed.setdefault(block + _NUMBER.sub("*", rest), []).extend([sum(shape[-2:])] * stacked)
    vocabulary, width = max(outside)
    return Extent(
        weights=sum(sizes),
        stored_bytes=sum(size for _, _, size in kept),
        largest=max(sizes, default=0),
        blocks=len(blocks),
        within=sum(sum(several[:EXPERTS_A_TOKEN]) for several in passed.values()),
        width=width,
        vocabulary=vocabulary,
        mixture=any(_EXPERTS in name and len(shape) > 1 for name, shape, _ in kept),
    )
