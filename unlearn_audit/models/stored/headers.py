"""The table of tensors at the head of a safetensors file, checked before anything relies on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearn_audit.api.user_files import parse_json
from unlearn_audit.errors import AuditError

MOST_HEADER_BYTES = 32 * 2**20
"""Largest header that is read. The largest models have tens of thousands of tensors of some 200 bytes each."""

BITS = {
    **{"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8},
    **{"I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32},
    **{"I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry: where in the file its bytes lie."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def elements(self) -> int:
        """Number of values; those of a packed type count as many as they hold."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, Tensor]:
    """Tensor name -> its entry.

    Raises:
        AuditError: the file is not a whole safetensors file: its table or its length is not what it must be.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or not 2 <= length <= size - 8:
            raise AuditError(f"{path}: not a safetensors file (or cut off in its header); fetch it again")
        if length > MOST_HEADER_BYTES:
            raise AuditError(f"{path}: its header has {length} bytes; at most {MOST_HEADER_BYTES} are read")
        text = handle.read(length)
    try:
        table = parse_json(text.decode(), str(path))
        entries = {name: _tensor(entry, 8 + length) for name, entry in table.items() if name != "__metadata__"}
    except (AuditError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise AuditError(
            f"{path}: the safetensors header is damaged ({_short(error)}); fetch the file again"
        ) from error
    _check_places(path, entries, 8 + length, size)
    return entries


def _tensor(entry: dict[str, Any], offset: int) -> Tensor:
    start, stop = entry["data_offsets"]
    shape = tuple(entry["shape"])
    whole = all(type(number) is int and number >= 0 for number in (start, stop, *shape))
    bits = BITS.get(entry["dtype"])
    if not whole or (bits is not None and math.prod(shape) * bits != 8 * (stop - start)):
        raise ValueError(f"an entry of {stop - start} bytes for {entry['dtype']} {list(shape)}")
    return Tensor(dtype=str(entry["dtype"]), shape=shape, start=offset + start, stop=offset + stop)


def _check_places(path: Path, entries: dict[str, Tensor], begin: int, size: int) -> None:
    """Tensors lie one after the other, without a gap in which something could stand, up to the end of the file."""
    place = begin
    for entry in sorted(entries.values(), key=lambda one: (one.start, one.stop)):
        if entry.start != place:
            raise AuditError(f"{path}: its tensors overlap or leave gaps; fetch the file again")
        place = entry.stop
    if place != size:
        raise AuditError(f"{path}: {size} bytes where its header promises {place}; fetch it again")


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:120]
