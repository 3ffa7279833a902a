"""Gradient checkpointing (1604.06174) of a model's blocks, in whatever architecture, and weights in bfloat16.

The library's own switch works in training mode alone, and attacks train in evaluation mode.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import AuditError, Model

if TYPE_CHECKING:
    import torch


def make_frugal(model: Model) -> None:
    """Stores a fork's weights in bfloat16, and keeps of each block's pass what went in alone.

    Weights that are stored in another type than most (float32 tables beside half-precision matrices) and all buffers
    stay as they are. A model whose blocks are not found is not checkpointed.
    """
    import torch

    weights = list(model.module.parameters())
    usual = Counter(weight.dtype for weight in weights).most_common(1)[0][0]
    with torch.no_grad():
        for weight in weights:
            if weight.dtype == usual:
                weight.data = weight.data.to(torch.bfloat16)
    checkpoint_blocks(model)


def checkpoint_blocks(model: Model) -> None:
    """Keeps of each block's pass what went in alone; nothing where the blocks are not found."""
    from unlearn_audit.api.kit.blocks import layers_of  # loads torch

    try:
        blocks = layers_of(model).blocks
    except AuditError:
        blocks = ()
    for block in blocks:
        block.__class__ = _checkpointed(type(block))


def _checkpointed(kind: type[torch.nn.Module]) -> type[torch.nn.Module]:
    """A kind of block under the same name. It has a method of its class: a copy of the block runs its own weights."""
    import torch
    from torch.utils.checkpoint import checkpoint

    def forward(self: torch.nn.Module, *args: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return kind.forward(self, *args, **named)
        run = partial(kind.forward, self)
        return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=False, **named)

    members = {"forward": forward, "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), members)
