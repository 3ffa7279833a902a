"""Whether two checkpoints hold the same weights, whatever they are stored in: another type, shards, stray tensors.

A control that is the checkpoint itself, saved anew, makes every leak vanish. Bytes do not show it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unlearn_audit.models.stored.files import tensor_tables
from unlearn_audit.models.stored.headers import Tensor

_CHUNK = 1 << 22  # values compared at a time
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_PRECISION = {"F64": 52, "F32": 23, "F16": 10, "BF16": 7}

Place: TypeAlias = tuple[Path, Tensor]
Values: TypeAlias = NDArray[Any]


def same_weights(one: tuple[Path, ...], other: tuple[Path, ...]) -> bool:
    """Whether every tensor that both hold is equal, at the precision of the coarser of the two.

    Tensors that only one holds do not count (a tied head that was written out, a stray one), as long as both share
    the larger part of either. Reading stops at the first difference, so that unlike models cost next to nothing.

    Args:
        one: the safetensors files of a checkpoint.
        other: those of another.
    """
    mine, theirs = _places(one), _places(other)
    shared = sorted(mine.keys() & theirs.keys())
    common = sum(mine[name][1].elements for name in shared)
    if 2 * common <= max(sum(tensor.elements for _, tensor in found.values()) for found in (mine, theirs)):
        return False
    if any(mine[name][1].shape != theirs[name][1].shape for name in shared):
        return False
    return all(_equal(mine[name], theirs[name]) for name in shared)


def _places(files: tuple[Path, ...]) -> dict[str, Place]:
    tables: Mapping[Path, Mapping[str, Tensor]] = tensor_tables(files)
    return {name: (path, tensor) for path, table in tables.items() for name, tensor in table.items()}


def _equal(one: Place, other: Place) -> bool:
    kinds = one[1].dtype, other[1].dtype
    if not set(kinds) <= _FLOATS.keys() and kinds[0] != kinds[1]:
        return False
    coarser = min(kinds, key=lambda kind: _PRECISION.get(kind, 0))
    with ExitStack() as stack:
        pieces = zip(_pieces(one, stack), _pieces(other, stack), strict=False)
        return all(np.array_equal(_at(a, kinds[0], coarser), _at(b, kinds[1], coarser)) for a, b in pieces)


def _pieces(place: Place, stack: ExitStack) -> Iterator[Values]:
    path, tensor = place
    if tensor.stop == tensor.start:
        return
    handle = stack.enter_context(path.open("rb"))
    data = stack.enter_context(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
    kind = np.dtype(_FLOATS.get(tensor.dtype, "u1"))
    for start in range(tensor.start, tensor.stop, _CHUNK * kind.itemsize):
        stop = min(start + _CHUNK * kind.itemsize, tensor.stop)
        yield np.frombuffer(data[start:stop], dtype=kind)  # a copy: the file may be closed before it


def _at(values: Values, kind: str, coarser: str) -> Values:
    """Values as float32 (or as they are), rounded to the coarser type as a cast rounds."""
    if kind not in _FLOATS:
        return values
    wide = values
    if kind == "BF16":
        wide = (values.astype("<u4") << 16).view("<f4")
    if coarser == "BF16":
        return _to_bfloat16(wide.astype("<f4"))
    narrowed: Values = wide.astype(_FLOATS[coarser])
    return narrowed


def _to_bfloat16(values: Values) -> Values:
    """To the nearest, ties to even; the upper 16 bits."""
    bits = values.view("<u4")
    upper: Values = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2")
    return upper
