"""New values for the matrices of a fork, and what shows that they are new."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from unlearn_audit.api import AttackError, Json, Model, NotApplicableError

from .linear_layers import LinearLayer, weight_matrices

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What became of all matrices together.

    Attributes:
        weights: how many numbers they hold; `changed` and `zeros` count those afterwards.
        relative_error: Frobenius norm of the change over that of the weights before.
    """

    layers: int
    weights: int
    changed: int
    zeros: int
    relative_error: float

    def as_proof(self) -> dict[str, Json]:
        """For the evidence."""
        return {
            "layers": self.layers,
            "weights": self.weights,
            "changed": self.changed,
            "zeros": self.zeros,
            "relative_error": self.relative_error,
        }


@contextmanager
def edited(model: Model, change: Callable[[LinearLayer], torch.Tensor]) -> Iterator[tuple[Model, Edit]]:
    """A fork whose linear layers (all but the output layer) and stacked experts have new weights.

    An adapter is merged first, since anyone with the weights can do so. The matrices are replaced one by one and
    nothing is written into, so that no more is copied than changes.

    Args:
        model: stays as it is.
        change: the new weight of a layer, shape (out, in); must be a tensor of its own.

    Raises:
        NotApplicableError: there is no linear layer with plain weights.
        AttackError: nothing changed, or a weight is not a number.
    """
    import torch

    with model.merged() as fork:
        layers = weights = changed = zeros = 0
        error = norm = 0.0
        with torch.inference_mode(mode=False), torch.no_grad():
            for layer in tuple(weight_matrices(fork.module)):
                new = change(layer).to(layer.weight)
                layers, weights = layers + 1, weights + new.numel()
                changed += int((new != layer.weight).sum())
                zeros += int((new == 0).sum())
                error += float((new.float() - layer.weight.float()).square().sum())
                norm += float(layer.weight.float().square().sum())
                replace_weight(layer, new)
        if not layers:
            raise NotApplicableError(f"{type(fork.module).__name__} has no linear layer with plain weights to change")
        if changed == 0 or not math.isfinite(error):
            raise AttackError(
                f"{layers} linear layers of {type(fork.module).__name__} were to be changed: {changed} weights did, "
                f"by {error:g}; quantized weights cannot be edited"
            )
        yield (
            fork,
            Edit(
                layers=layers,
                weights=weights,
                changed=changed,
                zeros=zeros,
                relative_error=math.sqrt(error / norm) if norm else 0.0,
            ),
        )


def stored_weight(layer: LinearLayer) -> torch.nn.Parameter:
    """The parameter itself, as the layer stores it."""
    return cast("torch.nn.Parameter", getattr(layer.module, layer.parameter))


def oriented(layer: LinearLayer, stored: torch.Tensor) -> torch.Tensor:
    """From the layer's own form to (out, in), and back: Conv1D stores the transpose, and experts are a stack."""
    from transformers.pytorch_utils import Conv1D

    if layer.turned and stored.ndim == 2:
        return stored.reshape(layer.experts, -1, stored.shape[-1]).mT
    if layer.experts and stored_weight(layer).ndim == 3:
        whole = stored.mT if layer.turned else stored
        return whole.flatten(0, 1) if stored.ndim == 3 else stored.reshape(layer.experts, -1, stored.shape[-1])
    return stored.T if isinstance(layer.module, Conv1D) else stored


def replace_weight(layer: LinearLayer, new: torch.Tensor) -> None:
    """Puts a new weight, (out, in), in the layer's place; nothing is written into."""
    import torch

    setattr(layer.module, layer.parameter, torch.nn.Parameter(oriented(layer, new).contiguous(), requires_grad=False))
