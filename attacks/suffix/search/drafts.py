"""Gradients and candidates' losses by a rough copy of the model, where the device is much faster with one.

Probe sampling (arXiv 2403.01251) lets a smaller model draft the choice of candidates. Here the draft is the model
itself in bfloat16, on devices with units for it, and so agrees with the model far better than another one would. It
does no more than choose: every loss that is reported is the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch

from unlearn_audit.api import AttackError, Model

from .losses import HALF_TOLERANCE, Slope, SlotLosses
from .tokens import Frame, Slot

FEWEST_PARAMETERS = 2**24
"""Below, a pass costs more for its many small steps than for its products, and a draft saves nothing."""


LEAST_COSINE = 0.9
"""Between the copy's gradient of the first text and the model's own, for the copy to be used."""


def rough_copy(
    model: Model,
    exact: SlotLosses,
    frames: Sequence[Frame],
    slots: Sequence[Slot],
    slopes: Sequence[Slope],
    stack: ExitStack,
) -> SlotLosses | None:
    """A copy of the model in bfloat16; None where that would not be faster, or not near the model's own `slopes`."""
    if not exact.cached or not _has_fast_units(model):
        return None
    fork = stack.enter_context(model.fork())
    for weight in fork.module.parameters():
        weight.data = weight.data.bfloat16()  # buffers (rotary frequencies) stay as they are
    try:
        rough = SlotLosses(fork.module, frames, slots, fork.device, exact.tokens)
        rough.follow(exact)
        pairs = list(zip(rough.slopes(slots), slopes, strict=True))
    except (AttributeError, TypeError, ValueError, RuntimeError, NotImplementedError, AttackError):
        return None
    near = all(abs(one.loss - two.loss) <= HALF_TOLERANCE and _cosine(one, two) >= LEAST_COSINE for one, two in pairs)
    return rough if near else None


def _cosine(one: Slope, two: Slope) -> float:
    return float(torch.nn.functional.cosine_similarity(one.gradient.flatten(), two.gradient.flatten(), dim=0))


def _has_fast_units(model: Model) -> bool:
    """Whether the weights are many, plain and in float32, and the device multiplies bfloat16 much faster."""
    weights = list(model.module.parameters())
    if any(type(weight) is not torch.nn.Parameter or weight.dtype != torch.float32 for weight in weights):
        return False
    if sum(weight.numel() for weight in weights) < FEWEST_PARAMETERS:
        return False
    if model.device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch has no public word for it.
    return model.device.type == "cpu" and bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
