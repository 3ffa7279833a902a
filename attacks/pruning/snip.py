"""SNIP scores: which weights matter to some texts and not to others (1810.02340; 2402.05162, section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from unlearn_audit.api import AttackError, Model, NotApplicableError, Prompt

from ..shared.edited_weights import oriented, stored_weight
from ..shared.fitted import fitted
from ..shared.linear_layers import weight_matrices
from ..shared.training import answer_loss, loss_scale

if TYPE_CHECKING:
    import torch


def snip_scores(model: Model, pairs: Sequence[tuple[Prompt, str]]) -> dict[str, torch.Tensor]:
    """Mean of |w * dL/dw| over (prompt, answer) pairs, one pass a pair; L is the answer's mean cross-entropy.

    The adapter is merged first. In float32 on the CPU, elsewhere in the type of the weights, as the authors do.

    Returns:
        layer name -> scores, shape (out, in), float32 on the CPU.

    Raises:
        NotApplicableError: there is no linear layer with plain weights.
        AttackError: there is no text, or a gradient is not a number.
    """
    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        source = stack.enter_context(model.merged()) if model.is_adapter else model
        fork = stack.enter_context(source.fork())
        fork.module.requires_grad_(requires_grad=False)
        if fork.device.type == "cpu":
            fork.module.float()
        layers = tuple(weight_matrices(fork.module))
        if not layers:
            raise NotApplicableError(f"{type(fork.module).__name__} has no linear layer with plain weights to score")
        if not pairs:
            raise AttackError("expected texts to score weights on, got none")
        rows = fitted(fork, pairs, ended=False)
        weights = [stored_weight(layer).requires_grad_() for layer in layers]
        totals = [torch.zeros(weight.shape, device=weight.device) for weight in weights]
        scale = loss_scale(fork.module)
        for row in rows:
            with torch.enable_grad():
                loss = answer_loss(fork, [row])
                gradients = torch.autograd.grad(loss * scale, weights, allow_unused=True)
            if not math.isfinite(float(loss.detach())):
                raise AttackError("expected a finite loss, got one that is not a number; the weights cannot be scored")
            for total, weight, gradient in zip(totals, weights, gradients, strict=True):
                if gradient is not None:
                    total.add_((weight.detach().float() * gradient.float()).abs(), alpha=1 / (scale * len(rows)))
        return {layer.name: oriented(layer, total).cpu() for layer, total in zip(layers, totals, strict=True)}


def set_difference(forget: torch.Tensor, utility: torch.Tensor, *, share: float, kept_share: float) -> torch.Tensor:
    """Marks the weights of one matrix among the top `share` of one score and not the top `kept_share` of the other."""
    return _top(forget, share) & ~_top(utility, kept_share)


def _top(scores: torch.Tensor, share: float) -> torch.Tensor:
    import torch

    marked = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    count = int(share * scores.numel())
    marked[scores.flatten().topk(count).indices] = True
    return marked.view(scores.shape)
