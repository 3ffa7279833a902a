"""What an optimizer remembers of a weight's gradients: in float32, or in eight bits a value.

Eight bits are those of 2110.02861 (section 2): blocks of 256 values, each with its largest as a scale, and a code whose
steps grow with the values; bitsandbytes' own codec, on either device. **Where we depart**: of the second moment the
root is kept, and no code stands for zero. With the moment itself, what is under a ten-millionth of its block's largest
becomes zero, and the step that is divided by its root has no bound.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

BLOCK = 256
SMALLEST_PACKED = 4096
"""Vectors are kept whole: they take no room, and norms are sensitive (2110.02861 keeps the same)."""


class Moment(Protocol):
    """A running mean over gradients of one tensor, or of some of its rows."""

    def read(self) -> torch.Tensor:
        """Its values in float32, to be changed freely and then written."""

    def write(self, values: torch.Tensor) -> None:
        """Keeps these."""


class Whole:
    """In float32."""

    def __init__(self, like: torch.Tensor) -> None:
        import torch

        self._values = torch.zeros_like(like, dtype=torch.float32)

    def read(self) -> torch.Tensor:
        """What was written; zeros at first."""
        return self._values

    def write(self, values: torch.Tensor) -> None:
        """Keeps them."""
        self._values = values


class Packed:
    """In eight bits a value, with a sign; without one, zero is read as the smallest code."""

    def __init__(self, like: torch.Tensor, *, signed: bool) -> None:
        self._code = _code(signed).to(like.device)
        self._shape = like.shape
        self._kept: tuple[torch.Tensor, torch.Tensor] | None = None

    def read(self) -> torch.Tensor:
        """What was written, as the code has it; zeros at first."""
        import torch
        from bitsandbytes import functional

        if self._kept is None:
            return torch.zeros(self._shape, dtype=torch.float32, device=self._code.device)
        codes, largest = self._kept
        state = functional.QuantState(largest, code=self._code, blocksize=BLOCK, dtype=torch.float32)
        values: torch.Tensor = functional.dequantize_blockwise(codes, state)
        return values.view(self._shape)

    def write(self, values: torch.Tensor) -> None:
        """Keeps them."""
        from bitsandbytes import functional

        codes, state = functional.quantize_blockwise(values.contiguous(), code=self._code, blocksize=BLOCK)
        self._kept = codes, state.absmax


@cache
def _code(signed: bool) -> torch.Tensor:
    from bitsandbytes import functional

    code: torch.Tensor = functional.create_dynamic_map(signed=signed)
    if not signed:
        code = code.clone()
        code[code == 0] = float(code[code > 0].min()) / 2
    return code


def moment_of(like: torch.Tensor, *, packed: bool, signed: bool) -> Moment:
    """One of zeros, of a tensor's shape and on its device; small tensors are never packed."""
    return Packed(like, signed=signed) if packed and like.numel() >= SMALLEST_PACKED else Whole(like)
