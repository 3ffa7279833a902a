"""A GGUF file's table, read within bounds: a length that the file cannot hold is refused before anyone counts to it."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

from unlearn_audit.api.extent import Extent, extent_of
from unlearn_audit.errors import AuditError

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_INTEGERS = {4: "I", 5: "i", 10: "Q", 11: "q"}
_DEEPEST = 4
_LONGEST_NAME = 2**16 - 1
_MOST_PAIRS = 10_000
MOST_VALUES = 2_000_000
"""Values of a file's metadata; the largest vocabularies have half a million pieces and as many merges."""
_MOST_DIMENSIONS = 8


def gguf_extent(path: Path) -> Extent:
    """The sizes of a model in a GGUF file, by its table of tensors.

    Raises:
        AuditError: it is not such a file, or names more than it holds.
    """
    try:
        with path.open("rb") as handle:
            return extent_of(_Table(handle, path.stat().st_size).tensors())
    except (struct.error, ValueError, OSError) as error:
        raise AuditError(f"{path}: expected a readable GGUF file ({error}); fetch it again") from error


class _Table:
    def __init__(self, handle: BinaryIO, size: int) -> None:
        self._handle = handle
        self._size = size
        self._order = "<"
        self._values = 0

    def tensors(self) -> list[tuple[str, tuple[int, ...], int]]:
        """Name and shape of each tensor, and about how many bytes it takes."""
        if self._handle.read(4) != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        (version,) = self._read("I")
        if version > 2**16:  # written on a machine of the other byte order
            self._order = ">"
        tensors, pairs = self._read("QQ")
        if pairs > _MOST_PAIRS:
            raise ValueError(f"{pairs} entries")
        for _ in range(self._within(pairs, 13)):
            name = self._string()
            kind = self._read("I")[0]
            if name.endswith(b".block_count") and kind in _INTEGERS:
                (blocks,) = self._read(_INTEGERS[kind])
                if blocks > tensors:
                    raise ValueError(f"{blocks} blocks, and {tensors} tensors")
                continue
            self._skip_value(kind)
        found = [self._tensor() for _ in range(self._within(tensors, 24))]
        weights = sum(math.prod(shape) for _, shape in found)
        return [(name, shape, math.prod(shape) * self._size // max(1, weights)) for name, shape in found]

    def _tensor(self) -> tuple[str, tuple[int, ...]]:
        name = self._string().decode(errors="replace")
        (dimensions,) = self._read("I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        shape = self._read("Q" * dimensions)
        self._read("IQ")
        if math.prod(shape) > 64 * self._size:  # an eighth of a bit a weight
            raise ValueError("a tensor that is larger than the file")
        return name, shape

    def _skip_value(self, kind: int, depth: int = 0) -> None:
        if kind == _STRING:
            self._skip_string()
        elif kind == _ARRAY and depth < _DEEPEST:
            inner, count = self._read("IQ")
            self._count(count)
            if inner in _SIZES:
                self._skip(count * _SIZES[inner])
            else:
                for _ in range(self._within(count, 8)):
                    self._skip_value(inner, depth + 1)
        elif kind in _SIZES:
            self._skip(_SIZES[kind])
        else:
            raise ValueError(f"a value of the unknown type {kind}")

    def _string(self) -> bytes:
        (length,) = self._read("Q")
        if length > _LONGEST_NAME:
            raise ValueError(f"a name of {length} bytes")
        return self._handle.read(length)

    def _skip_string(self) -> None:
        self._skip(self._read("Q")[0])

    def _skip(self, count: int) -> None:
        if count > self._size - self._handle.tell():
            raise ValueError(f"a value of {count} bytes in a file of {self._size}")
        self._handle.seek(count, 1)

    def _count(self, values: int) -> None:
        """Counts values: a library makes objects of all of them."""
        self._values += values
        if self._values > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES} values")

    def _within(self, count: int, least: int) -> int:
        """A count of things, each of which takes at least so many bytes of the file."""
        if count * least > self._size:
            raise ValueError(f"{count} entries in a file of {self._size} bytes")
        return int(count)

    def _read(self, what: str) -> tuple[int, ...]:
        layout = self._order + what
        return struct.unpack(layout, self._handle.read(struct.calcsize(layout)))
