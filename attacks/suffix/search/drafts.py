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
from unlearn_audit.api.kit.training.products import has_fast_units

from .losses import HALF_TOLERANCE, Slope, SlotLosses
from .tokens import Frame, Slot

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
    if not exact.cached or not has_fast_units(model.module):
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
