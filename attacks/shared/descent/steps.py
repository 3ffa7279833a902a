"""One step of a training: gradients, clipped over all weights together, and the optimizer's move.

The usual way holds every gradient until the last is there. The frugal way (LOMO, 2306.09782, section 3) runs the batch
twice: the first time each gradient is measured and dropped as soon as it is there, the second time it is clipped to
what was measured, moves its weight, and is dropped. The numbers are the same, and no more than one gradient is held.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from unlearn_audit.api import AttackError, Rendered
from unlearn_audit.api.kit.memory import is_out_of_memory, release_memory

from .optimizers import Descent

if TYPE_CHECKING:
    import torch

MAX_GRADIENT_NORM = 1.0

BatchLoss: TypeAlias = "Callable[[Sequence[Rendered]], torch.Tensor]"
"""The mean over a batch, so that a batch may be taken in parts."""


class BrokeDownError(AttackError):
    """Training left the numbers that can be computed with: the rate is too high for this model."""


def step_at_once(batch: Sequence[Rendered], descent: Descent, rate: float, loss: BatchLoss, scale: float) -> float:
    """All gradients first, in parts of the batch where the whole does not fit; then the move.

    Args:
        batch: rendered texts.
        descent: moves the weights.
        rate: of this step.
        loss: of a part of the batch.
        scale: what the loss is multiplied with on its way back.

    Returns:
        The loss of the batch.

    Raises:
        BrokeDownError: loss or gradient is no number; nothing was moved.
        AttackError: not even one text fits.
    """
    value = _gradients(batch, descent, loss, scale)
    there = [weight for weight in descent.weights if weight.grad is not None]
    norm = _length([descent.square(weight) for weight in there]) / scale
    factor = _factor(value, norm) / scale
    descent.begin(rate)
    for weight in there:
        descent.take(weight, factor)
    descent.finish()
    return value


def step_in_passing(batch: Sequence[Rendered], descent: Descent, rate: float, loss: BatchLoss, scale: float) -> float:
    """Two passes, in neither of which more than one gradient is held; arguments and errors as `step_at_once`."""
    squares: list[torch.Tensor] = []
    value = _pass(batch, descent, loss, scale, lambda weight: squares.append(descent.square(weight)))
    factor = _factor(value, _length(squares) / scale) / scale
    descent.begin(rate)
    _pass(batch, descent, loss, scale, lambda weight: descent.take(weight, factor))
    descent.finish()
    return value


def _pass(
    batch: Sequence[Rendered],
    descent: Descent,
    loss: BatchLoss,
    scale: float,
    use: Callable[[torch.nn.Parameter], None],
) -> float:
    try:
        with _as_they_come(descent, use):
            value = loss(batch)
            (value * scale).backward()  # type: ignore[no-untyped-call]
            return float(value.detach())
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise AttackError(
            f"out of memory on a batch of {len(batch)} texts; give a smaller `batch_size`, or use lora"
        ) from error


@contextmanager
def _as_they_come(descent: Descent, use: Callable[[torch.nn.Parameter], None]) -> Iterator[None]:
    """Hands each weight over once its whole gradient is there, and drops the gradient."""

    def hook(weight: torch.nn.Parameter) -> None:
        use(weight)
        weight.grad = None

    descent.clear()
    handles = [
        weight.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
        for weight in descent.weights
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _length(squares: Sequence[torch.Tensor]) -> float:
    return math.sqrt(sum(float(square) for square in squares))


def _factor(value: float, norm: float) -> float:
    if not (math.isfinite(value) and math.isfinite(norm)):
        raise BrokeDownError(f"loss {value}, gradient norm {norm}; try a lower learning rate")
    return MAX_GRADIENT_NORM / (norm + 1e-6) if norm > MAX_GRADIENT_NORM else 1.0


def _gradients(batch: Sequence[Rendered], descent: Descent, loss: BatchLoss, scale: float) -> float:
    """The gradients of the batch's loss times `scale`, and the loss; in parts where the whole does not fit.

    Raises:
        AttackError: not even one text fits.
    """
    size, tokens = len(batch), sum(sum(row.is_answer) for row in batch)
    while True:
        descent.clear()
        value = 0.0
        try:
            for first in range(0, len(batch), size):
                part = batch[first : first + size]
                share = sum(sum(row.is_answer) for row in part) / tokens
                here = loss(part)
                (here * (scale * share)).backward()  # type: ignore[no-untyped-call]
                value += float(here.detach()) * share
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise AttackError(
                    "out of memory on a single text; use lora, a smaller dtype, or shorter texts"
                ) from error
            size = (size + 1) // 2
            release_memory()
        else:
            return value
