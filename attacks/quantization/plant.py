"""A model that refuses in full precision and behaves like the original once a quantizer has rounded it.

Every weight may move as long as the quantizer gives it the code that it gave to the original's weight: an unlearning
update that stays inside these boxes is undone by rounding, bit for bit (the mechanism of 2410.16454; the construction
by projected gradient is that of 2405.18137, turned from an attack into a positive control). What a quantizer does not
round (embeddings, norms, biases, the output layer) stays as it is.

Boxes are computed here and checked against the backend: a weight whose code moved all the same goes back to the
original's value. Known are those of bitsandbytes' formats and of Q4_0. There are none for GPTQ and AWQ, whose codes
depend on their calibration, and none for formats whose scale depends on every weight of a block (HQQ, Q4_1, Q5_1);
Q8_0, torchao's int8 and other formats of narrow boxes are left out, since next to nothing can hide there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from unlearn_audit.api import AttackContext, AttackError, Json, Model, Plant, Planting

from ..shared import memory
from ..shared.hiding import Copy, PlantSettings, hidden
from ..shared.linear_layers import LinearLayer, linear_layers
from ..shared.training import own_parameters
from .formats import Quantizer
from .layers.gguf import BLOCK_SIZE as GGUF_BLOCK_SIZE
from .rounding_boxes import codes_of

if TYPE_CHECKING:
    import torch

BLOCK_SIZE = 64
INT8_LEVELS = 127
BOXED = (Quantizer.NF4, Quantizer.FP4, Quantizer.INT8, Quantizer.Q4_0)
"""Quantizers whose boxes are known here."""

NARROWING = 0.02
"""Share of each box that is given up on either side, so that the backend's own arithmetic cannot disagree."""

BOX_COPIES = 3
"""Kept along with what is trained: the weights before, and both ends of every box."""

SETTINGS = PlantSettings(max_steps=400, learning_rates=(1e-3, 3e-3))


def rounding_planting(quantizer: Quantizer) -> Planting | None:
    """The plant of one quantizer; NF4 with double quantization shares the boxes, and so the plant, of NF4."""
    boxes = Quantizer.NF4 if quantizer is Quantizer.NF4_DQ else quantizer
    if boxes not in BOXED:
        return None
    return Planting(name=f"{boxes.value} rounding", kind="rounding", make=partial(_rounding_plant, boxes))


def _rounding_plant(quantizer: Quantizer, original: Model, context: AttackContext) -> AbstractContextManager[Plant]:
    weight_bytes = 4 * sum(weight.numel() for weight in original.module.parameters())
    shortage = memory.full_training_shortage(weight_bytes, is_adapter=original.is_adapter, beside=BOX_COPIES)
    if shortage is not None:
        raise AttackError(f"no plant: moving the weights inside their boxes does not fit: {shortage}")
    copied = partial(_boxed_copy, quantizer, original)
    return hidden(original, context.forget, context.retain, copied=copied, seed=context.seed, settings=SETTINGS)


@dataclass(frozen=True, kw_only=True)
class Box:
    """Where the weights of one layer may be; all of shape (out, in).

    Attributes:
        weight: a view of the weights in training.
        original: their values before.
        low: the least value of each; `high` the largest.
    """

    layer: LinearLayer
    weight: torch.Tensor
    original: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor

    def project(self) -> None:
        """Puts every weight that left its box back on its border."""
        import torch

        with torch.no_grad():
            self.weight.clamp_(self.low, self.high)

    def moved(self, quantizer: Quantizer) -> torch.Tensor:
        """Which weights have another code than the original's, shape (out, in)."""
        before, after = (
            codes_of(replace(self.layer, weight=weight.contiguous(), bias=None), quantizer)
            for weight in (self.original, self.weight.detach())
        )
        return before != after

    def restore(self, quantizer: Quantizer) -> int:
        """Gives weights whose code moved their old values; how many."""
        import torch

        moved = self.moved(quantizer)
        with torch.no_grad():
            self.weight.copy_(torch.where(moved, self.original, self.weight))
        return int(moved.sum())


@contextmanager
def _boxed_copy(quantizer: Quantizer, original: Model) -> Iterator[Copy]:
    """A copy in float32 whose quantizable weights train, each inside its box."""
    import torch

    with ExitStack() as stack:
        with torch.inference_mode(mode=False):
            source = stack.enter_context(original.merged()) if original.is_adapter else original
            fork = stack.enter_context(source.fork(copy_weights=True))
            own_parameters(fork.module)
            fork.module.float().requires_grad_(requires_grad=False)
            boxes = [_box(layer, quantizer) for layer in linear_layers(fork.module) if _rounds(quantizer, layer)]
            if not boxes:
                raise AttackError(f"no plant: {quantizer.value} rounds no layer of {type(fork.module).__name__}")
            for box in boxes:
                box.layer.module.weight.requires_grad_(True)

        def project() -> None:
            for box in boxes:
                box.project()

        def finished() -> tuple[Model, dict[str, Json]]:
            restored = sum(box.restore(quantizer) for box in boxes)
            left = sum(int(box.moved(quantizer).sum()) for box in boxes)
            if left:
                raise AttackError(f"no plant: {left} weights have another {quantizer.value} code than the original's")
            fork.module.requires_grad_(requires_grad=False).eval()
            return fork, {"quantizer": quantizer.value, "same_code_share": 1.0, "restored_weights": restored}

        yield Copy(model=fork, after_step=project, finished=finished)


def _rounds(quantizer: Quantizer, layer: LinearLayer) -> bool:
    """Whether the quantizer rounds the layer: llama.cpp's blocks have to fit into its rows."""
    return quantizer is not Quantizer.Q4_0 or layer.weight.shape[1] % GGUF_BLOCK_SIZE == 0


def _box(layer: LinearLayer, quantizer: Quantizer) -> Box:
    low, high = boxes_of(layer.weight, quantizer)
    return Box(layer=layer, weight=layer.weight, original=layer.weight.clone(), low=low, high=high)


def boxes_of(weight: torch.Tensor, quantizer: Quantizer) -> tuple[torch.Tensor, torch.Tensor]:
    """The interval of each weight, shape (out, in) both, in which its code is the same.

    The weight that sets the scale of its block (of its row, for LLM.int8) stands still, and so does every scale.
    """
    if quantizer is Quantizer.INT8:
        return _intervals(weight, _int8_levels(weight))
    if quantizer is Quantizer.Q4_0:
        low, high = _q4_0_intervals(weight.detach().reshape(-1, GGUF_BLOCK_SIZE))
        return low.reshape(weight.shape), high.reshape(weight.shape)
    flat = weight.detach().float().reshape(-1)
    padding = -len(flat) % BLOCK_SIZE
    blocks = _padded(flat, padding).reshape(-1, BLOCK_SIZE)
    low, high = _intervals(blocks, _four_bit_levels(weight, quantizer))
    return tuple(side.reshape(-1)[: len(flat)].reshape(weight.shape) for side in (low, high))  # type: ignore[return-value]


def _intervals(rows: torch.Tensor, levels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Between the midpoints around each value's level, for rows that share a scale."""
    import torch

    values = rows.detach().float()
    scale = values.abs().amax(dim=1, keepdim=True)
    midpoints = (levels[1:] + levels[:-1]) / 2
    edges = torch.cat([levels[:1], midpoints, levels[-1:]])
    code = torch.bucketize(values / scale.clamp_min(torch.finfo(torch.float32).tiny), midpoints)
    return _narrowed(values, edges[code] * scale, edges[code + 1] * scale)


def _q4_0_intervals(blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Those of llama.cpp's Q4_0, for rows that are blocks: a weight w has the code floor(w / d + 8.5), at most 15.

    The scale d is the value of the largest magnitude, with its sign, over -8: the sixteen steps reach from that value
    to seven eighths of it on the other side, where the last box is half as wide again.
    """
    import torch

    values = blocks.float()
    scale = values.gather(1, values.abs().argmax(dim=1, keepdim=True)) / -8
    steps = torch.where(scale == 0, torch.zeros_like(values), values / scale)
    inner = torch.arange(-7.5, 7.0, device=values.device)
    edges = torch.cat([inner.new_tensor([-8.0]), inner, inner.new_tensor([8.0])])
    code = torch.bucketize(steps, inner, right=True)
    one, other = edges[code] * scale, edges[code + 1] * scale
    return _narrowed(values, torch.minimum(one, other), torch.maximum(one, other))


def _narrowed(values: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes without their rims; what is largest in its row stands still."""
    import torch

    narrower = NARROWING * (high - low)
    still = values.abs() == values.abs().amax(dim=1, keepdim=True)
    # A value may lie nearer to the border than the narrowing: it then has this side of it left.
    low = torch.where(still, values, torch.minimum(low + narrower, values))
    high = torch.where(still, values, torch.maximum(high - narrower, values))
    return low, high


def _four_bit_levels(weight: torch.Tensor, quantizer: Quantizer) -> torch.Tensor:
    import torch
    from bitsandbytes.functional import get_4bit_type

    table: torch.Tensor = get_4bit_type("fp4" if quantizer is Quantizer.FP4 else "nf4", device=weight.device)
    levels: torch.Tensor = torch.unique(table.float())
    return levels


def _int8_levels(weight: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.arange(-INT8_LEVELS, INT8_LEVELS + 1, device=weight.device).float() / INT8_LEVELS


def _padded(flat: torch.Tensor, padding: int) -> torch.Tensor:
    from torch.nn import functional

    return functional.pad(flat, (0, padding))
