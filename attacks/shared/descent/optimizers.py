"""Optimizers in the coordinates of each weight's own size (`weight_scales`), so that no way of writing a model matters.

With W = size * V they train V and write W: for AdamW that multiplies each step by the size, for descent along the
gradient by its square. Between two checkpoints that compute the same, V and its gradients are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from .weight_scales import Scale

if TYPE_CHECKING:
    import torch

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8


class Optimizer(StrEnum):
    """How gradients become steps.

    `adamw`: AdamW (1711.05101) with its default betas and no weight decay. `sgd`: momentum whose whole step has a
    fixed length (normalized SGD, 2002.03305): as long as if every weight moved by the rate, so that one grid of rates
    serves both.
    """

    ADAMW = "adamw"
    SGD = "sgd"


class Descent:
    """Steps of an optimizer over some weights.

    Attributes:
        weights: what it moves; `scales` has each one's.
    """

    def __init__(self, weights: Mapping[torch.nn.Parameter, Scale | None], kind: Optimizer) -> None:
        import torch

        self.weights = weights
        self._kind = kind
        self._steps = 0
        self._first = {weight: torch.zeros_like(weight, dtype=torch.float32) for weight in weights}
        adam = kind is Optimizer.ADAMW
        self._second = {weight: torch.zeros_like(weight, dtype=torch.float32) for weight in weights} if adam else {}

    def clear(self) -> None:
        """Forgets the gradients."""
        for weight in self.weights:
            weight.grad = None

    def clip(self, most: float, *, loss_scale: float) -> float:
        """Brings the gradients into the coordinates of the weights' sizes, at most `most` long; how long they were.

        Args:
            most: the largest norm over all weights together.
            loss_scale: what the loss was multiplied with.
        """
        import torch

        norms = []
        for weight, scale in self.weights.items():
            if weight.grad is not None:
                gradient = weight.grad.float().div_(loss_scale)
                weight.grad = (gradient if scale is None else scale.times(gradient)).to(weight.dtype)
                norms.append(torch.linalg.vector_norm(weight.grad.float()))
        length = float(torch.linalg.vector_norm(torch.stack([norm.cpu() for norm in norms]))) if norms else 0.0
        if math.isfinite(length) and length > most:
            for weight in self.weights:
                if weight.grad is not None:
                    weight.grad.mul_(most / (length + 1e-6))
        return length

    def step(self, rate: float) -> None:
        """Moves every weight that has a gradient; a `rate` of 1e-3 moves a weight of usual size by about that."""
        import torch

        self._steps += 1
        with torch.no_grad():
            moves = {weight: self._move(weight) for weight in self.weights if weight.grad is not None}
            if self._kind is Optimizer.SGD:
                count = sum(move.numel() for move in moves.values())
                length = math.sqrt(sum(float(move.square().sum()) for move in moves.values()))
                rate = rate * math.sqrt(count) / (length + EPSILON)
            for weight, move in moves.items():
                scale = self.weights[weight]
                weight.sub_((move if scale is None else scale.times(move)).mul_(rate).to(weight.dtype))

    def _move(self, weight: torch.nn.Parameter) -> torch.Tensor:
        import torch

        gradient = torch.as_tensor(weight.grad).float()
        first = self._first[weight].mul_(FIRST_DECAY).add_(gradient, alpha=1 - FIRST_DECAY)
        if self._kind is Optimizer.SGD:
            return first
        second = self._second[weight].mul_(SECOND_DECAY).addcmul_(gradient, gradient, value=1 - SECOND_DECAY)
        root = (second / (1 - SECOND_DECAY**self._steps)).sqrt_().add_(EPSILON)
        return (first / (1 - FIRST_DECAY**self._steps)).div_(root)
