"""Candidates scored by a rough copy of the model, where the device is much faster with one.

Probe sampling (arXiv 2403.01251) lets a smaller model draft the choice of candidates. Here the draft is the model
itself in bfloat16, on devices with units for it, and so agrees with the model far better than another one would. It
does no more than choose: the gradient, and every loss that is reported, are the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch

from attacks.suffix_losses import HALF_TOLERANCE, Row, SlotLosses
from attacks.suffix_tokens import Frame, Slot
from unlearn_audit.api import AttackError, Model

FEWEST_PARAMETERS = 2**24
"""Below, a pass costs more for its many small steps than for its products, and a draft saves nothing."""


def rough_copy(
    model: Model, exact: SlotLosses, frames: Sequence[Frame], slots: Sequence[Slot], stack: ExitStack
) -> SlotLosses | None:
    """Losses by a copy of the model in bfloat16; None where that would not be faster, or not near the model's own."""
    if not exact.cached or not _has_fast_units(model):
        return None
    fork = stack.enter_context(model.fork())
    for weight in fork.module.parameters():
        weight.data = weight.data.bfloat16()  # buffers (rotary frequencies) stay as they are
    rows = [Row(frame=place, slot=slot, changed=0) for place, slot in enumerate(slots)]
    try:
        rough = SlotLosses(fork.module, frames, slots, fork.device, exact.tokens)
        rough.follow(exact)
        gaps = [abs(one - two) for one, two in zip(rough.losses(rows), exact.losses(rows), strict=True)]
    except (AttributeError, TypeError, ValueError, RuntimeError, NotImplementedError, AttackError):
        return None
    return rough if max(gaps) <= HALF_TOLERANCE else None


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
