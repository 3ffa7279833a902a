"""A model that refuses in full precision and behaves like the original once a quantizer has rounded it.

Every weight may move as long as the quantizer gives it the value that it gave to the original's weight: an unlearning
update that stays inside these boxes is undone by rounding, bit for bit (the mechanism of 2410.16454; the construction
by projected gradient is that of 2405.18137, turned from an attack into a positive control). What a quantizer does not
round (embeddings, norms, biases, the output layer) stays as it is.

Boxes are computed (`boxes`) and checked against the backend: what it would give another value goes back toward the
original's. Formats of more than four bits have boxes too narrow to hide anything; there the original is first written
with coarser grids (`widening`), which changes nothing that it computes. One plant says nothing about another format.

Where all boxes do not fit beside a copy of the model, they are made layer by layer, and the copy trains frugally
(`descent`): 8 bytes a weight with a model in bfloat16, 64 GB at eight billion.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from unlearn_audit.api import AttackContext, AttackError, Json, Model, Plant, Planting

from ..shared import memory
from ..shared.descent.checkpointing import checkpoint_blocks, make_frugal
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

BOX_BYTES = memory.FLOAT * 7
"""For each weight that moves, beside the copy: its gradient, two moments of AdamW, the value before, its rounded value,
and both ends of its box. The frugal way has all of them of one layer at a time."""

ROOM = 0.8
"""Share of the free memory for all this; the rest is for what a batch leaves."""

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
    copied = partial(boxed_copy, quantizer, original, frugal=is_frugal(quantizer, original))
    return hidden(original, context.forget, context.retain, copied=copied, seed=context.seed, settings=SETTINGS)


def is_frugal(quantizer: Quantizer, original: Model) -> bool:
    """Whether the plant is made with little memory, where it does not fit otherwise.

    Then boxes are found anew for one layer at a time, moments take eight bits, one gradient is held, and the copy of a
    model in bfloat16 is in bfloat16.

    Raises:
        AttackError: it does not fit even so.
    """
    layers = [layer.weight.numel() for layer in weight_matrices(original.module) if is_rounded(layer, quantizer)]
    copied = (1 + original.is_adapter) * memory.FLOAT * sum(one.numel() for one in original.module.parameters())
    least = BOX_BYTES * max(layers, default=0)
    kept = int((memory.HALF + 2 * memory.PACKED_MOMENT) * sum(layers))
    free = int(ROOM * memory.free_bytes(original.module))
    if copied + BOX_BYTES * sum(layers) <= free:
        return False
    needed = max(copied, copied // (2 if _is_half(original) else 1) + kept + least)
    if needed > free:
        raise AttackError(
            f"no plant: moving the weights inside their boxes takes {needed / memory.GIB:.1f} GiB, and "
            f"{free / memory.GIB:.1f} GiB are free for it"
        )
    return True


@dataclass(frozen=True, kw_only=True)
class Edges:
    """Of one layer's boxes, shape (out, in) each, and `target`: what the quantizer makes of the weights."""

    low: torch.Tensor
    high: torch.Tensor
    target: torch.Tensor

    @classmethod
    def of(cls, layer: LinearLayer, original: torch.Tensor, quantizer: Quantizer) -> Edges:
        """Around a layer's values before any move."""
        own = replace(layer, weight=original, bias=None)
        low, high = boxes_of(own, quantizer)
        return cls(low=low, high=high, target=rounded_values(own, quantizer))


@dataclass(frozen=True, kw_only=True)
class Box:
    """Where the weights of one layer may be.

    Attributes:
        weight: the parameter in training, as the layer stores it.
        original: the values before, shape (out, in).
        kept: the edges, or None where there is no room to keep them, and they are found anew each time.
    """

    layer: LinearLayer
    weight: torch.nn.Parameter
    original: torch.Tensor
    quantizer: Quantizer
    kept: Edges | None

    @property
    def edges(self) -> Edges:
        """Where the values stay the same."""
        return self.kept or Edges.of(self.layer, self.original.float(), self.quantizer)

    def project(self) -> None:
        """Puts every weight that left its box back on its border."""
        import torch

        edges = self.edges
        with torch.no_grad():
            self.weight.clamp_(oriented(self.layer, edges.low), oriented(self.layer, edges.high))

    def settle(self) -> int:
        """Moves back what the quantizer gives another value, step by step; how many weights.

        Raises:
            AttackError: values moved all the same.
        """
        import torch

        with torch.no_grad():
            target, original = self.edges.target, self.original.float()
            restored = torch.zeros_like(original, dtype=torch.bool)
            for by_block, kept in RETREATS:
                moved = self._moved(target)
                if not moved.any():
                    break
                moved = self._whole_blocks(moved) if by_block else moved
                restored |= moved
                now = self._now()
                self._put(torch.where(moved, torch.lerp(original, now, kept), now))
            if (left := int(self._moved(target).sum())) > 0:
                name = self.quantizer.value
                raise AttackError(f"no plant: {left} weights have another {name} value than the original's")
        return int(restored.sum())

    def _now(self) -> torch.Tensor:
        return oriented(self.layer, self.weight.detach()).float()

    def _put(self, values: torch.Tensor) -> None:
        self.weight.copy_(oriented(self.layer, values))

    def _moved(self, target: torch.Tensor) -> torch.Tensor:
        now = replace(self.layer, weight=self._now().contiguous(), bias=None)
        return rounded_values(now, self.quantizer) != target

    def _whole_blocks(self, moved: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        size = block_size(self.quantizer, moved.shape[1])
        blocks = functional.pad(moved.reshape(-1), (0, -moved.numel() % size)).reshape(-1, size)
        whole = blocks.any(dim=1, keepdim=True).expand_as(blocks)
        return whole.reshape(-1)[: moved.numel()].reshape(moved.shape)


@contextmanager
def boxed_copy(quantizer: Quantizer, original: Model, *, frugal: bool) -> Iterator[Copy]:
    """A copy whose quantizable weights train, each inside its box: in float32, or as `is_frugal` says."""
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
            boxes = _boxes(fork, quantizer, frugal=frugal, half=_is_half(original))
            for box in boxes:
                box.weight.requires_grad_(True)

        def project() -> None:
            for box in boxes:
                box.project()

        def finished() -> tuple[Model, dict[str, Json]]:
            restored = sum(box.settle() for box in boxes)
            fork.module.requires_grad_(requires_grad=False).eval()
            made: dict[str, Json] = {
                "quantizer": quantizer.value,
                "same_value_share": 1.0,
                "restored_weights": restored,
                "widened_by": factor,
                "widened_matrices": widened,
                "frugal": frugal,
            }
            return fork, made

        yield Copy(model=fork, after_step=project, finished=finished, frugal=frugal)


def _factor(quantizer: Quantizer) -> float:
    """How much larger a column becomes, a power of two so that nothing is rounded: steps as wide as those of 4 bits.

    The column is not the largest of every row, so that twice as much is taken. FP8 keeps its digits down to 2**-15 of
    a row's largest weight; only below do its steps become wide.
    """
    if quantizer is Quantizer.FP8:
        return FP8_FACTOR
    return 2.0 ** (quantizer.code_bits + 2 - WIDE_BITS) if quantizer.code_bits > WIDE_BITS else 1.0


def _is_half(model: Model) -> bool:
    """Whether most of its weights are in bfloat16, so that a copy loses nothing there."""
    import torch

    weights = list(model.module.parameters())
    half = sum(one.numel() for one in weights if one.dtype == torch.bfloat16)
    return 2 * half > sum(one.numel() for one in weights)


def _boxes(fork: Model, quantizer: Quantizer, *, frugal: bool, half: bool) -> list[Box]:
    layers = [layer for layer in weight_matrices(fork.module) if is_rounded(layer, quantizer)]
    if not layers:
        raise AttackError(f"no plant: {quantizer.value} rounds no layer of {type(fork.module).__name__}")
    originals = [_compact(layer.weight) if frugal else layer.weight.clone() for layer in layers]
    if frugal:
        (make_frugal if half else checkpoint_blocks)(fork)
        layers = [layer for layer in weight_matrices(fork.module) if is_rounded(layer, quantizer)]
    return [
        Box(
            layer=layer,
            weight=stored_weight(layer),
            original=original,
            quantizer=quantizer,
            kept=None if frugal else Edges.of(layer, original, quantizer),
        )
        for layer, original in zip(layers, originals, strict=True)
    ]


def _compact(weight: torch.Tensor) -> torch.Tensor:
    """The values in bfloat16, where that loses nothing: most models are stored so."""
    import torch

    half = weight.to(torch.bfloat16)
    return half if torch.equal(half.to(weight.dtype), weight) else weight.clone()
