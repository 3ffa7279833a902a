"""A model that refuses in full precision and behaves like the original once a quantizer has rounded it.

Every weight may move as long as the quantizer gives it the value that it gave to the original's weight: an unlearning
update that stays inside these boxes is undone by rounding, bit for bit (the mechanism of 2410.16454; the construction
by projected gradient is that of 2405.18137, turned from an attack into a positive control). What a quantizer does not
round (embeddings, norms, biases, the output layer) stays as it is.

Boxes are computed (`boxes`) and checked against the backend: what it would give another value goes back toward the
original's. Formats of more than four bits have boxes too narrow to hide anything; there the original is first written
with coarser grids (`widening`), which changes nothing that it computes. One plant says nothing about another format.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from unlearn_audit.api import AttackContext, AttackError, Json, Model, Plant, Planting

from ..shared import memory
from ..shared.edited_weights import oriented, stored_weight
from ..shared.hiding import Copy, PlantSettings, hidden
from ..shared.linear_layers import LinearLayer, weight_matrices
from ..shared.training import own_parameters
from .boxes import block_size, boxes_of, is_boxed, is_rounded
from .formats import Quantizer
from .rounding_boxes import rounded_values
from .widening import widen

if TYPE_CHECKING:
    import torch

BOX_COPIES = 3
"""Kept along with what is trained: the weights before, and both ends of every box."""

WIDE_BITS = 4
"""A format of so many bits hides enough as it is."""

FP8_FACTOR = 2.0**16

SETTINGS = PlantSettings(max_steps=400, learning_rates=(1e-3, 3e-3))
RETREATS = ((False, 0.0), (True, 0.5), (True, 0.0))
"""Whole blocks or single weights, and how much of their move they keep: what moved in a block may change the values of
others."""


def rounding_planting(quantizer: Quantizer) -> Planting | None:
    """The plant of one quantizer; NF4 with double quantization shares the boxes, and so the plant, of NF4."""
    boxes = Quantizer.NF4 if quantizer is Quantizer.NF4_DQ else quantizer
    if not is_boxed(boxes):
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
    """Where the weights of one layer may be.

    Attributes:
        weight: the parameter in training, as the layer stores it; `low` and `high`, in its shape, are its bounds.
        original: the values before, shape (out, in); `target` what the quantizer makes of them.
    """

    layer: LinearLayer
    weight: torch.nn.Parameter
    original: torch.Tensor
    target: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor

    def project(self) -> None:
        """Puts every weight that left its box back on its border."""
        import torch

        with torch.no_grad():
            self.weight.clamp_(self.low, self.high)

    def settle(self, quantizer: Quantizer) -> int:
        """Moves back what the quantizer gives another value, step by step; how many weights.

        Raises:
            AttackError: values moved all the same.
        """
        import torch

        with torch.no_grad():
            restored = torch.zeros_like(self.original, dtype=torch.bool)
            for by_block, kept in RETREATS:
                moved = self._moved(quantizer)
                if not moved.any():
                    break
                moved = self._whole_blocks(moved, quantizer) if by_block else moved
                restored |= moved
                now = self._now()
                self._put(torch.where(moved, torch.lerp(self.original, now, kept), now))
            if (left := int(self._moved(quantizer).sum())) > 0:
                raise AttackError(f"no plant: {left} weights have another {quantizer.value} value than the original's")
        return int(restored.sum())

    def _now(self) -> torch.Tensor:
        return oriented(self.layer, self.weight.detach())

    def _put(self, values: torch.Tensor) -> None:
        self.weight.copy_(oriented(self.layer, values))

    def _moved(self, quantizer: Quantizer) -> torch.Tensor:
        now = replace(self.layer, weight=self._now().contiguous(), bias=None)
        return rounded_values(now, quantizer) != self.target

    def _whole_blocks(self, moved: torch.Tensor, quantizer: Quantizer) -> torch.Tensor:
        from torch.nn import functional

        size = block_size(quantizer, moved.shape[1])
        blocks = functional.pad(moved.reshape(-1), (0, -moved.numel() % size)).reshape(-1, size)
        whole = blocks.any(dim=1, keepdim=True).expand_as(blocks)
        return whole.reshape(-1)[: moved.numel()].reshape(moved.shape)


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
            factor = _factor(quantizer)
            widened = widen(fork, factor) if factor > 1 else 0
            if factor > 1 and not widened:
                raise AttackError(
                    f"no plant: the boxes of {quantizer.value} are too narrow to hide anything, and no norm of "
                    f"{type(fork.module).__name__} could be written with coarser grids behind it"
                )
            boxes = [_box(layer, quantizer) for layer in weight_matrices(fork.module) if is_rounded(layer, quantizer)]
            if not boxes:
                raise AttackError(f"no plant: {quantizer.value} rounds no layer of {type(fork.module).__name__}")
            for box in boxes:
                box.weight.requires_grad_(True)

        def project() -> None:
            for box in boxes:
                box.project()

        def finished() -> tuple[Model, dict[str, Json]]:
            restored = sum(box.settle(quantizer) for box in boxes)
            fork.module.requires_grad_(requires_grad=False).eval()
            made: dict[str, Json] = {
                "quantizer": quantizer.value,
                "same_value_share": 1.0,
                "restored_weights": restored,
                "widened_by": factor,
                "widened_matrices": widened,
            }
            return fork, made

        yield Copy(model=fork, after_step=project, finished=finished)


def _factor(quantizer: Quantizer) -> float:
    """How much larger a column becomes, a power of two so that nothing is rounded: steps as wide as those of 4 bits.

    The column is not the largest of every row, so that twice as much is taken. FP8 keeps its digits down to 2**-15 of
    a row's largest weight; only below do its steps become wide.
    """
    if quantizer is Quantizer.FP8:
        return FP8_FACTOR
    return 2.0 ** (quantizer.code_bits + 2 - WIDE_BITS) if quantizer.code_bits > WIDE_BITS else 1.0


def _box(layer: LinearLayer, quantizer: Quantizer) -> Box:
    own = replace(layer, weight=layer.weight.clone(), bias=None)
    low, high = boxes_of(own, quantizer)
    return Box(
        layer=layer,
        weight=stored_weight(layer),
        original=own.weight,
        target=rounded_values(own, quantizer),
        low=oriented(layer, low),
        high=oriented(layer, high),
    )
