"""What a pass over rows of texts needs: its grouping, its gradient, and what it keeps of keys and values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from unlearn_audit.api import AttackError, NotApplicableError
from unlearn_audit.api.kit.memory import is_out_of_memory

SOLVED = 1e-3
"""Nats a token below which a gradient may round to nothing."""

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, each (rows, heads, columns, width)."""


def groups(rests: Sequence[int], pass_tokens: int) -> Iterator[list[int]]:
    """Places of rows, grouped so that padding to the longest rest plus `pass_tokens` a group is least."""
    values = sorted(set(rests), reverse=True)
    counts = [sum(1 for rest in rests if rest == value) for value in values]
    best = [0.0] + [float("inf")] * len(values)
    begins = [0] * (len(values) + 1)
    for end in range(1, len(values) + 1):
        for begin in range(end):
            cost = best[begin] + values[begin] * sum(counts[begin:end]) + pass_tokens
            if cost < best[end]:
                best[end], begins[end] = cost, begin
    end = len(values)
    while end > 0:
        low, high = values[end - 1], values[begins[end]]
        yield [place for place, rest in enumerate(rests) if low <= rest <= high]
        end = begins[end]


def layers_of(out: Any, place: int) -> Layers:
    """One row's keys and values after a pass, each (1, heads, columns, width)."""
    cache = out.past_key_values
    return [
        (layer.keys[place : place + 1].detach(), layer.values[place : place + 1].detach()) for layer in cache.layers
    ]


def stacked(rows: Sequence[Layers]) -> Layers:
    """The rows' keys and values, one tensor a layer."""
    if not rows[0]:
        raise AttackError("expected keys and values from the model, got none")
    return [
        (torch.cat([keys for keys, _ in layer]), torch.cat([values for _, values in layer]))
        for layer in zip(*rows, strict=True)
    ]


@contextmanager
def embedding_leaf(module: torch.nn.Module) -> Iterator[Callable[[int], torch.Tensor]]:
    """While it lasts, input embeddings are leaves of the graph; calling it gives those of the pass."""
    find = getattr(module, "get_input_embeddings", None)
    table = None if find is None else find()
    if table is None:
        raise NotApplicableError(f"{type(module).__name__} names no input embedding to take a gradient at")
    caught: list[torch.Tensor] = []

    def hook(_module: torch.nn.Module, _args: object, output: torch.Tensor) -> torch.Tensor:
        caught.append(output.detach().requires_grad_())
        return caught[-1]

    def leaf(rows: int) -> torch.Tensor:
        if len(caught) != 1 or caught[0].ndim != 3 or len(caught[0]) != rows:
            raise NotApplicableError(f"{type(module).__name__} does not read its input embedding once a pass")
        return caught[0]

    handle = table.register_forward_hook(hook)
    try:
        yield leaf
    finally:
        handle.remove()


def gradient_at(loss: torch.Tensor, leaf: torch.Tensor) -> torch.Tensor:
    """The gradient of the loss at the leaf.

    Raises:
        AttackError: a layer on the way has no backward pass.
    """
    try:
        return torch.autograd.grad(loss, leaf)[0]
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise AttackError(
            f"no gradient comes back to the input embeddings: {error}; try an unquantized copy of the checkpoint"
        ) from error


def check_gradients(gradients: Sequence[torch.Tensor], losses: Sequence[float]) -> None:
    """Refuses gradients that tell nothing.

    Raises:
        AttackError: one is not a number; or all are zero with something left to gain, as behind quantized layers whose
            backward pass gives nothing (4-bit ones of bitsandbytes on the CPU).
    """
    if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        raise AttackError("the gradient at the input embeddings is not a number; try --dtype float32 or bfloat16")
    if not any(bool(gradient.any()) for gradient in gradients) and max(losses) > SOLVED:
        raise AttackError(
            "the gradient at the input embeddings is zero: a layer on the way gives none back; try an unquantized copy "
            "of the checkpoint, another device, or --dtype float32"
        )
