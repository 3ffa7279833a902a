"""What an architecture computes rightly in training is tried once a process, and holds for all its models."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch

Trial: TypeAlias = "Callable[[torch.nn.Module], bool]"

CANNOT = (AttributeError, IndexError, TypeError, ValueError, RuntimeError, NotImplementedError)
"""What an architecture raises that cannot compute in a way, or keeps no cache of the form that is asked of it.

So does torch where memory is short."""


def tried_once(trial: Trial) -> Trial:
    """A trial that is not made again for a model of the same architecture, sizes, type and trained weights."""
    found: dict[tuple[str, ...], bool] = {}

    @wraps(trial)
    def remembered(module: torch.nn.Module) -> bool:
        key = _kind(module)
        if key not in found:
            found[key] = trial(module)
        return found[key]

    return remembered


def _kind(module: torch.nn.Module) -> tuple[str, ...]:
    """Nothing that two roles of an audit could differ in while they are the same architecture."""
    weights = [
        f"{name} {tuple(weight.shape)} {weight.dtype} {weight.device.type} {weight.requires_grad}"
        for name, weight in module.named_parameters()
    ]
    return (type(module).__name__, *weights)
