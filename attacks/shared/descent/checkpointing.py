"""Gradient checkpointing (1604.06174) of a model's blocks, in whatever architecture, and weights in bfloat16.

The library's own switch works in training mode alone, and attacks train in evaluation mode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from unlearn_audit.api import AuditError, Model


def make_frugal(model: Model) -> None:
    """Stores a fork's weights in bfloat16, and keeps of each block's pass what went in alone.

    Weights that are stored in another type than most (float32 tables beside half-precision matrices) and all buffers
    stay as they are. A model whose blocks are not found is not checkpointed.
    """
    import torch

    from unlearn_audit.api.kit.blocks import layers_of  # loads torch

    weights = list(model.module.parameters())
    usual = Counter(weight.dtype for weight in weights).most_common(1)[0][0]
    with torch.no_grad():
        for weight in weights:
            if weight.dtype == usual:
                weight.data = weight.data.to(torch.bfloat16)
    try:
        blocks = layers_of(model).blocks
    except AuditError:
        blocks = ()
    for block in blocks:
        block.forward = _checkpointed(block.forward)


def _checkpointed(forward: Callable[..., Any]) -> Callable[..., Any]:
    import torch
    from torch.utils.checkpoint import checkpoint

    def run(*args: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **named)
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **named)

    return run
