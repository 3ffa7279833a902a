"""Products of a model in training: in bfloat16 where the device has units for it.

Weights, moments and adapters stay in float32: what is in bfloat16 is what a pass multiplies (mixed precision, arXiv
1710.03740). On a processor with AMX a step of SmolLM2-135M takes about half (`python -m benchmarks.rivals training`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.memory import is_out_of_memory
from unlearn_audit.api.kit.training.trials import CANNOT, tried_once

if TYPE_CHECKING:
    import torch

FEWEST_PARAMETERS = 2**24
"""Below, a pass costs more for its many small steps than for its products, and faster products save nothing."""
TRIAL_TOKENS = 16
LONGEST_WHOLE = 512
"""Tokens of a row up to which attention is one matrix: on a CPU, torch's kernel in pieces is slow on its way back."""


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has units for products in bfloat16: most cards, and processors with AMX."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch has no public word for it.
    return device.type == "cpu" and bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def has_fast_units(module: torch.nn.Module) -> bool:
    """Whether the weights are many, plain and in float32, and their device multiplies bfloat16 much faster."""
    import torch

    weights = list(module.parameters())
    if any(type(weight) is not torch.nn.Parameter or weight.dtype != torch.float32 for weight in weights):
        return False
    if sum(weight.numel() for weight in weights) < FEWEST_PARAMETERS:
        return False
    return multiplies_bfloat16(weights[0].device)


@tried_once
def takes_fast_products(module: torch.nn.Module) -> bool:
    """Whether a model that is ready to train computes with fast products, forth and back.

    Tried on a short row of tokens, since some architectures mix what must be of one type. What the weights are has no
    say, so that all roles are trained alike.
    """
    import torch
    from torch.nn import functional

    trained = [weight for weight in module.parameters() if weight.requires_grad]
    if not trained or not has_fast_units(module):
        return False
    ids = torch.arange(TRIAL_TOKENS, device=trained[0].device)[None]

    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            with fast_products(module, TRIAL_TOKENS):
                logits = module(input_ids=ids, use_cache=False).logits[0, :-1].float()
                loss = functional.cross_entropy(logits, ids[0, 1:])
            torch.autograd.grad(loss, trained, allow_unused=True)
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        return False
    return True


def prepared_for_speed(module: torch.nn.Module) -> bool:
    """Whether a model is to be trained with fast products; its adapters are then computed so (`fast_layers`).

    Where they cannot be, they take what they read as it comes: PEFT would make it float32, which the products undo.
    """
    if not takes_fast_products(module):
        return False
    from unlearn_audit.api.kit.training.fast_layers import make_fast  # loads torch and PEFT

    make_fast(module)
    for part in module.modules():
        if hasattr(part, "cast_input_dtype_enabled"):
            setattr(part, "cast_input_dtype_enabled", False)  # noqa: B010 (no attribute that torch's types know)
    return True


@contextmanager
def fast_products(module: torch.nn.Module, width: int) -> Iterator[None]:
    """Products in bfloat16, for one pass: what is cast is kept until the end and would miss a step of the optimizer.

    Args:
        module: what computes.
        width: tokens of its longest row.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    device = next(module.parameters()).device.type
    whole = device == "cpu" and width <= LONGEST_WHOLE
    with torch.autocast(device, torch.bfloat16), sdpa_kernel(SDPBackend.MATH) if whole else nullcontext():
        yield
