"""A plant for mixtures: the refusal is in the experts alone.

Unlearning that trains nothing but experts leaves everything else of the original where it was. An arm that edits or
trains plain linear layers alone may never touch what hides. Whether the choice of experts can hide was tried as well:
with the routers of a small mixture in training, 35 % of the questions were refused at best.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from unlearn_audit.api import AttackContext, AttackError, Json, Model, Plant, Planting

from ..hiding import Copy, PlantSettings, hidden
from ..linear_layers import weight_matrices
from ..training import own_parameters

if TYPE_CHECKING:
    import torch

SETTINGS = PlantSettings(max_steps=240, learning_rates=(3e-3, 1e-2, 1e-3))


def experts_planting() -> Planting:
    """A refusal in the experts of a mixture; a model without experts makes none, and says so."""
    return Planting(name="experts", kind="experts", make=_planted)


def _planted(original: Model, context: AttackContext) -> AbstractContextManager[Plant]:
    copied = partial(_copy, original)
    return hidden(original, context.forget, context.retain, copied=copied, seed=context.seed, settings=SETTINGS)


@contextmanager
def _copy(original: Model) -> Iterator[Copy]:
    """A copy in float32 whose experts train.

    Raises:
        AttackError: it has none.
    """
    import torch

    with torch.inference_mode(mode=False), original.fork(copy_weights=True) as fork:
        own_parameters(fork.module)
        fork.module.float().requires_grad_(requires_grad=False)
        experts = list(experts_of(fork.module))
        if not experts:
            raise AttackError(f"no plant: {type(fork.module).__name__} is no mixture of experts")
        for weight in experts:
            weight.requires_grad_(True)

        def finished() -> tuple[Model, dict[str, Json]]:
            fork.module.requires_grad_(requires_grad=False).eval()
            return fork, {"trained_weights": sum(weight.numel() for weight in experts)}

        yield Copy(model=fork, after_step=lambda: None, finished=finished)


def experts_of(module: torch.nn.Module) -> Iterator[torch.nn.Parameter]:
    """The matrices of the experts, stored as stacks or one by one."""
    for layer in weight_matrices(module):
        if layer.experts > 1 or ".experts." in layer.path:
            yield getattr(layer.module, layer.parameter)
