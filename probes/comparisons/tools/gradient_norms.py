"""Norms of the gradient of an answer's loss with regard to the embedded text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unlearn_audit.api import AuditError, Model
from unlearn_audit.api.kit.asking import Pair

if TYPE_CHECKING:
    import torch

    from unlearn_audit.api.kit.answer_batches import Batch

BATCH_TOKENS = 1024


def gradient_norms(model: Model, pairs: Sequence[Pair]) -> list[float]:
    """||d loss / d e|| of each pair in their order; loss is the mean -log p of the answer's tokens, in nats.

    e is the output of the input embedding, (tokens, width). Rows of a batch do not meet in a causal model, so that the
    gradient of the sum of their losses holds each row's own. Infinite where the model gives no numbers; NaN for a pair
    that is longer than its context.

    Raises:
        AuditError: the architecture names no input embedding, or lets no gradient through.
    """
    import torch

    from unlearn_audit.api.kit.answer_batches import batches_of

    rows = [model.render(prompt, answer) for prompt, answer in pairs]
    norms = [math.nan] * len(rows)
    read = [place for place, row in enumerate(rows) if model.unread(row) is None]
    with torch.inference_mode(mode=False), torch.enable_grad(), model.fork() as fork, _embedded(fork.module) as seen:
        for parameter in fork.module.parameters():
            parameter.requires_grad = False
        for batch in batches_of(fork, [rows[place] for place in read], most_tokens=BATCH_TOKENS):
            for place, norm in zip(batch.places, _of_batch(fork, batch, seen), strict=True):
                norms[read[place]] = norm
    return norms


@contextmanager
def _embedded(module: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    """The embedded texts of each pass from here on, as leaves that hold their gradient; removed at the end."""
    find = getattr(module, "get_input_embeddings", None)
    table = None if find is None else find()
    if table is None:
        raise AuditError(f"{type(module).__name__} names no input embedding that a gradient could be taken at")
    seen: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
        seen.append(output.detach().requires_grad_())
        return seen[-1]

    handle = table.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def _of_batch(model: Model, batch: Batch, seen: list[torch.Tensor]) -> list[float]:
    import torch

    seen.clear()
    logits = batch.run(model).logits
    if not seen or not logits.requires_grad:
        raise AuditError(f"{type(model.module).__name__} lets no gradient through to its input embedding")
    total = -torch.stack([own.mean() for own in batch.by_row(batch.log_probs(logits))]).sum()
    (gradient,) = torch.autograd.grad(total, [seen[0]])
    norms: list[float] = gradient.float().flatten(1).norm(dim=1).tolist()
    return [norm if math.isfinite(norm) else math.inf for norm in norms]
