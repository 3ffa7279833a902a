"""A linear layer with its adapter as one step of automatic differentiation, with products in bfloat16.

PEFT's own forward makes an output of full width for the adapter, scales it, adds it, and keeps what each needs on its
way back. Here the scale goes on the narrow side and the sum is made in place. Loads torch and PEFT.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch.nn import functional


class FastLinear(Linear):  # type: ignore[misc]
    """PEFT's layer, which computes in this way within `products.fast_products`, and as PEFT does elsewhere.

    A class and no hook, so that a copy of the model computes with the weights of the copy.
    """

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The output, in bfloat16 where it is fast."""
        asked_more = args or kwargs or self.merged or self.disable_adapters
        if asked_more or not torch.is_autocast_enabled(x.device.type):
            return super().forward(x, *args, **kwargs)  # type: ignore[no-any-return]
        (name,) = self.active_adapters
        low, high = self.lora_A[name].weight, self.lora_B[name].weight
        weights = low, high, self.base_layer.weight, self.base_layer.bias
        return _Sum.apply(x, *weights, self.scaling[name])  # type: ignore[no-any-return, no-untyped-call]


def make_fast(module: torch.nn.Module) -> None:
    """Gives every plain layer with one trained adapter this way."""
    for part in module.modules():
        if type(part) is Linear and _is_plain(part):
            part.__class__ = FastLinear


def _is_plain(part: Any) -> bool:
    """Whether it is a frozen linear layer plus a low-rank product, and nothing else."""
    base = part.base_layer
    plain = type(base) is torch.nn.Linear and not base.weight.requires_grad
    names = part.active_adapters
    if not plain or len(names) != 1 or names[0] not in part.lora_A or part.disable_adapters or part.fan_in_fan_out:
        return False
    whole = isinstance(part.lora_dropout[names[0]], torch.nn.Identity) and names[0] not in part.lora_variant
    return whole and part.lora_B[names[0]].bias is None


class _Sum(torch.autograd.Function):
    """x W' + s (x A') B' + b, shapes: x (..., in), A (rank, in), B (out, rank), W (out, in)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        low: torch.Tensor,
        high: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        half = torch.bfloat16
        rows, weight = x.reshape(-1, x.shape[-1]).to(half), weight.to(half)  # held until the way back, as by autocast
        low, high = low.to(half), high.to(half) * scale
        inner = rows @ low.t()
        found = functional.linear(rows, weight, None if bias is None else bias.to(half))
        found.addmm_(inner, high.t())
        ctx.save_for_backward(rows, inner, low, high, weight)
        ctx.shape, ctx.dtype, ctx.scale = x.shape, x.dtype, scale
        return found.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, given: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, inner, low, high, weight = ctx.saved_tensors
        given = given.reshape(-1, given.shape[-1]).to(rows.dtype)
        narrow = given @ high
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = given @ weight
            to_x.addmm_(narrow, low)
            to_x = to_x.view(ctx.shape).to(ctx.dtype)
        to_low = (narrow.t() @ rows).float()
        to_high = (given.t() @ inner).float() * ctx.scale
        return to_x, to_low, to_high, None, None, None
