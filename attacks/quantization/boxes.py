"""The interval of each weight inside which a quantizer gives it the same value: its rounding box.

For every format whose blocks share a scale, that of their largest weight (or a scale and an offset, those of the least
and the largest), the boxes are known by hand: those weights stand still, and all others may move between the midpoints
around their level. torchao's are measured: no weight of a block was moved by more than half a step, so that the largest
error of a block is nearly that. What does not hold all the same, `plant` takes back.

There are none for K- and I-quants, which search for their scales, for GPTQ and AWQ, whose codes depend on their
calibration, and for HQQ, which searches its offsets
by all weights of a matrix: inside measured boxes a small model was taught to refuse, and HQQ brought back 7 % of what
that hid at four bits, 14 % at three and 47 % at two. Its rounding is no way back to another model's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ..shared.linear_layers import LinearLayer
from .formats import Backend, Quantizer
from .layers.gguf import BLOCK_SIZE as GGUF_BLOCK_SIZE
from .layers.gguf import blocks_fit
from .rounding_boxes import rounded_values

if TYPE_CHECKING:
    import torch

Sides: TypeAlias = "tuple[torch.Tensor, torch.Tensor]"
"""The least and the largest value of each weight; both in the shape of the weights."""

FOUR_BIT_BLOCK = 64
INT8_LEVELS = 127
FP8_LARGEST = 448.0
MXFP4_LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)

NARROWING = 0.02
"""Share of each box that is given up on either side, so that the backend's own arithmetic cannot disagree."""


def is_boxed(quantizer: Quantizer) -> bool:
    """Whether there are boxes."""
    return quantizer.backend not in (Backend.GPTQMODEL, Backend.HQQ, Backend.LLAMA_CPP)


def block_size(quantizer: Quantizer, width: int) -> int:
    """How many weights, one after the other, are rounded together; a whole row for formats with one scale for each."""
    if quantizer in (Quantizer.NF4, Quantizer.NF4_DQ, Quantizer.FP4):
        return FOUR_BIT_BLOCK
    if quantizer.backend is Backend.GGUF or quantizer is Quantizer.TORCHAO_INT4:
        return GGUF_BLOCK_SIZE
    return width


def is_rounded(layer: LinearLayer, quantizer: Quantizer) -> bool:
    """Whether the format has a place for the layer: blocks that must not run over the end of a row have to fit."""
    width = layer.weight.shape[1]
    if quantizer.backend is Backend.GGUF:
        return blocks_fit(width)
    if quantizer is Quantizer.TORCHAO_INT4:
        return width % block_size(quantizer, width) == 0
    return True


def boxes_of(layer: LinearLayer, quantizer: Quantizer) -> Sides:
    """The boxes of one layer's weights, shape (out, in) both.

    Weights that set a scale stand still.
    """
    weight = layer.weight.detach()
    known = _BY_HAND.get(quantizer)
    sides = partial(_measured, rounded_values(layer, quantizer)) if known is None else known
    return _in_blocks(weight, block_size(quantizer, weight.shape[1]), sides)


def _in_blocks(weight: torch.Tensor, size: int, sides: Callable[[torch.Tensor], Sides]) -> Sides:
    """The sides of each block, in the weights' own shape; the last block of all may be shorter."""
    from torch.nn import functional

    flat = weight.float().reshape(-1)
    blocks = functional.pad(flat, (0, -len(flat) % size)).reshape(-1, size)
    low, high = (side.reshape(-1)[: len(flat)].reshape(weight.shape) for side in sides(blocks))
    return low, high


def _symmetric(levels: Callable[[torch.Tensor], torch.Tensor], blocks: torch.Tensor) -> Sides:
    """Levels in [-1, 1] times the largest magnitude of the block."""
    return _between(blocks, levels(blocks), blocks.abs().amax(dim=1, keepdim=True))


def _between(blocks: torch.Tensor, levels: torch.Tensor, scale: torch.Tensor) -> Sides:
    """Between the midpoints around each value's level; the outermost boxes reach to the largest magnitude."""
    import torch

    largest = blocks.abs().amax(dim=1, keepdim=True)
    midpoints = (levels[1:] + levels[:-1]) / 2
    code = torch.bucketize(blocks / scale.clamp_min(torch.finfo(torch.float32).tiny), midpoints)
    inner = torch.cat([midpoints[:1], midpoints, midpoints[-1:]])  # the ends stand for the largest magnitude
    low = torch.where(code == 0, -largest, inner[code] * scale)
    high = torch.where(code == len(midpoints), largest, inner[code + 1] * scale)
    return _narrowed(blocks, low, high, still=blocks.abs() == largest)


def _signed(steps: int, blocks: torch.Tensor) -> Sides:
    """Those of llama.cpp's Q4_0 and Q5_0: a weight w has the code floor(w / d + steps + 1/2), at most 2 steps - 1.

    The scale d is the value of the largest magnitude, with its sign, over -steps: the levels reach from that value to
    just below it on the other side, where the last box is half as wide again.
    """
    import torch

    largest = blocks.abs().amax(dim=1, keepdim=True)
    scale = blocks.gather(1, blocks.abs().argmax(dim=1, keepdim=True)) / -steps
    where = torch.where(scale == 0, torch.zeros_like(blocks), blocks / scale)
    inner = torch.arange(0.5 - steps, steps - 1.0, device=blocks.device)
    edges = torch.cat([inner.new_tensor([-steps]), inner, inner.new_tensor([steps])])
    code = torch.bucketize(where, inner, right=True)
    one, other = edges[code] * scale, edges[code + 1] * scale
    return _narrowed(blocks, torch.minimum(one, other), torch.maximum(one, other), still=blocks.abs() == largest)


def _from_least(steps: int, blocks: torch.Tensor) -> Sides:
    """Those of llama.cpp's Q4_1 and Q5_1: equal steps from the least value of the block to the largest."""
    least, largest = blocks.amin(dim=1, keepdim=True), blocks.amax(dim=1, keepdim=True)
    step = (largest - least) / steps
    code = ((blocks - least) / step.clamp_min(1e-30) + 0.5).floor().clamp(0, steps)
    low = (least + (code - 0.5) * step).maximum(least)
    high = (least + (code + 0.5) * step).minimum(largest)
    return _narrowed(blocks, low, high, still=(blocks == least) | (blocks == largest))


def _mxfp4(blocks: torch.Tensor) -> Sides:
    """Levels of E2M1 times a power of two, two binary places below the largest magnitude's."""
    import torch

    largest = blocks.abs().amax(dim=1, keepdim=True)
    scale = torch.exp2(torch.floor(torch.log2(largest.clamp_min(2.0**-120))) - 2)
    return _between(blocks, _both_signs(torch.tensor(MXFP4_LEVELS, device=blocks.device)), scale)


def _measured(values: torch.Tensor, blocks: torch.Tensor) -> Sides:
    """Around the values that the format gave, as far as its largest error in the block reaches."""
    from torch.nn import functional

    flat = values.float().reshape(-1)
    given = functional.pad(flat, (0, blocks.numel() - len(flat))).reshape(blocks.shape)
    reach = (blocks - given).abs().amax(dim=1, keepdim=True)
    least, largest = blocks.amin(dim=1, keepdim=True), blocks.amax(dim=1, keepdim=True)
    low, high = (given - reach).maximum(least), (given + reach).minimum(largest)
    return _narrowed(blocks, low, high, still=(blocks == least) | (blocks == largest))


def _narrowed(values: torch.Tensor, low: torch.Tensor, high: torch.Tensor, *, still: torch.Tensor) -> Sides:
    """Boxes without their rims."""
    import torch

    narrower = NARROWING * (high - low)
    # A value may lie nearer to the border than the narrowing: it then has this side of it left.
    low = torch.where(still, values, torch.minimum(low + narrower, values))
    high = torch.where(still, values, torch.maximum(high - narrower, values))
    return low, high


def _both_signs(levels: torch.Tensor) -> torch.Tensor:
    import torch

    found: torch.Tensor = torch.unique(torch.cat([-levels, levels]))
    return found


def _four_bit(name: str, blocks: torch.Tensor) -> torch.Tensor:
    import torch
    from bitsandbytes.functional import get_4bit_type

    table: torch.Tensor = get_4bit_type(name, device=blocks.device)
    levels: torch.Tensor = torch.unique(table.float())
    return levels


def _eight_bit(blocks: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.arange(-INT8_LEVELS, INT8_LEVELS + 1, device=blocks.device).float() / INT8_LEVELS


def _fp8(blocks: torch.Tensor) -> torch.Tensor:
    import torch

    every = torch.arange(127, dtype=torch.uint8, device=blocks.device).view(torch.float8_e4m3fn).float()
    return _both_signs(every) / FP8_LARGEST


_BY_HAND: dict[Quantizer, Callable[[torch.Tensor], Sides]] = {
    Quantizer.NF4: partial(_symmetric, partial(_four_bit, "nf4")),
    Quantizer.FP4: partial(_symmetric, partial(_four_bit, "fp4")),
    Quantizer.INT8: partial(_symmetric, _eight_bit),
    Quantizer.Q8_0: partial(_symmetric, _eight_bit),
    Quantizer.FP8: partial(_symmetric, _fp8),
    Quantizer.Q4_0: partial(_signed, 8),
    Quantizer.Q5_0: partial(_signed, 16),
    Quantizer.Q4_1: partial(_from_least, 15),
    Quantizer.Q5_1: partial(_from_least, 31),
    Quantizer.MXFP4: _mxfp4,
}
