"""Rows that open alike are read with their opening read once: its keys and values serve all of them.

A chat template with a system text is a third of a short lesson. In training the gradient goes through the opening as it
would in each row, and only models on which it was seen to give the same are trained so: recurrent ones, for one, keep
no such keys and values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlearn_audit.api.kit.memory import is_out_of_memory
from unlearn_audit.api.kit.training.trials import CANNOT, tried_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

FEWEST_SHARED = 8
"""Tokens from which on a pass over the opening alone pays."""
TRIAL_ROWS, TRIAL_TOKENS = 2, 16
TOLERANCE = 1e-3
"""Of a logit, as a share of the largest, by which the two ways may differ in a trial in float32."""
HALF_TOLERANCE = 0.05


def shared_opening(rows: Sequence[Sequence[int]], most: int) -> int:
    """How many tokens all rows open with, at most `most`; 0 where a pass over them alone would not pay."""
    shared = min(most, shared_length(*rows))
    return shared if len(rows) > 1 and shared >= FEWEST_SHARED else 0


def shared_length(*rows: Sequence[int]) -> int:
    """How many leading tokens all rows share."""
    in_order = list(map(tuple, rows))
    one, other = min(in_order), max(in_order)  # no two are less alike
    pairs = zip(one, other, strict=False)
    return next((place for place, (own, its) in enumerate(pairs) if own != its), min(len(one), len(other)))


def opening_cache(module: torch.nn.Module, opening: torch.Tensor, copies: int) -> Any:
    """Keys and values of an opening, shape (1, positions), read once and repeated for so many rows."""
    import torch

    from unlearn_audit.api.kit.blocks import takes_logits_to_keep  # loads torch

    fewest = {"logits_to_keep": 1} if takes_logits_to_keep(module) else {}
    cache: Any = module(input_ids=opening, use_cache=True, **fewest).past_key_values
    cache.reorder_cache(torch.zeros(copies, dtype=torch.long, device=opening.device))
    return cache


def logits_behind(
    module: torch.nn.Module, input_ids: torch.Tensor, mask: torch.Tensor, shared: int, **few: int
) -> torch.Tensor:
    """Logits of rows from `shared` on, in one pass over their opening and one over the rest.

    Args:
        module: what computes, with gradients where they are on.
        input_ids: rows padded on the right, shape (rows, positions), alike in the first `shared`.
        mask: 0 where a row is padded.
        shared: tokens of the opening, below the number of positions.
        few: `logits_to_keep`, where the model takes it.
    """
    cache = opening_cache(module, input_ids[:1, :shared], len(input_ids))
    out = module(input_ids=input_ids[:, shared:], attention_mask=mask, past_key_values=cache, use_cache=True, **few)
    logits: torch.Tensor = out.logits
    return logits


@tried_once
def shares_openings(module: torch.nn.Module) -> bool:
    """Whether a model that is ready to train gives the same logits and gradients with an opening that is read once."""
    import torch

    trained = [weight for weight in module.parameters() if weight.requires_grad]
    if not trained:
        return False
    ids = torch.arange(TRIAL_TOKENS, device=trained[0].device).repeat(TRIAL_ROWS, 1)
    ids[1, FEWEST_SHARED:] += 1
    mask = torch.ones_like(ids)
    mask[1, -1] = 0
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            plain = module(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, FEWEST_SHARED:-1]
            shared = logits_behind(module, ids, mask, FEWEST_SHARED)[:, :-1]
            one, other = (
                torch.autograd.grad(found.float().square().mean(), trained, allow_unused=True)
                for found in (plain, shared)
            )
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        return False
    return _near(plain, shared) and all(
        (left is None) == (right is None) and (left is None or _near(left, right))
        for left, right in zip(one, other, strict=True)
    )


def _near(one: torch.Tensor, other: torch.Tensor) -> bool:
    import torch

    allowed = TOLERANCE if one.dtype is torch.float32 else HALF_TOLERANCE
    gap = (one.detach().float() - other.detach().float()).abs().max()
    return bool(gap <= allowed * one.detach().float().abs().max().clamp(min=1e-6))
