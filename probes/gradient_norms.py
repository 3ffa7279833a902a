"""Norms of the gradient of an answer's loss with regard to the embedded text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from probes.asking import Pair
from unlearn_audit.api import AuditError, Model, Rendered

if TYPE_CHECKING:
    import torch

BATCH_TOKENS = 1024


def gradient_norms(model: Model, pairs: Sequence[Pair]) -> list[float]:
    """||d loss / d e|| of each pair in their order; loss is the mean -log p of the answer's tokens, in nats.

    e is the output of the input embedding, (tokens, width). Rows of a batch do not meet in a causal model, so that the
    gradient of the sum of their losses holds each row's own. NaN where the model gives no numbers.

    Raises:
        AuditError: the architecture names no input embedding, or lets no gradient through.
    """
    import torch

    rows = [model.render(prompt, answer) for prompt, answer in pairs]
    norms = [math.nan] * len(rows)
    order = sorted(range(len(rows)), key=lambda place: (-len(rows[place].token_ids), place))
    with torch.inference_mode(mode=False), torch.enable_grad(), model.fork() as fork, _embedded(fork.module) as seen:
        for parameter in fork.module.parameters():
            parameter.requires_grad = False
        while order:
            size = max(1, BATCH_TOKENS // len(rows[order[0]].token_ids))
            batch, order = order[:size], order[size:]
            found = _of_batch(fork, [rows[place] for place in batch], seen)
            for place, norm in zip(batch, found, strict=True):
                norms[place] = norm
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


def _of_batch(model: Model, rows: Sequence[Rendered], seen: list[torch.Tensor]) -> list[float]:
    import torch

    seen.clear()
    longest = max(len(row.token_ids) for row in rows)
    ids = torch.tensor([[*row.token_ids, *[0] * (longest - len(row.token_ids))] for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row.token_ids) + [0] * (longest - len(row.token_ids)) for row in rows])
    logits = model.module(input_ids=ids, attention_mask=mask.to(model.device), use_cache=False).logits
    if not seen or not logits.requires_grad:
        raise AuditError(f"{type(model.module).__name__} lets no gradient through to its input embedding")
    total = torch.stack([_loss(logits[place], row) for place, row in enumerate(rows)]).sum()
    (gradient,) = torch.autograd.grad(total, [seen[0]])
    norms: list[float] = gradient.float().flatten(1).norm(dim=1).tolist()
    return [norm if math.isfinite(norm) else math.nan for norm in norms]


def _loss(logits: torch.Tensor, row: Rendered) -> torch.Tensor:
    """Mean -log p of the answer's tokens; the logits at position t - 1 predict the token at t."""
    import torch

    places = [place for place, own in enumerate(row.is_answer) if own and place > 0]
    wanted = torch.tensor([row.token_ids[place] for place in places], device=logits.device)
    return torch.nn.functional.cross_entropy(logits[[place - 1 for place in places]].float(), wanted)
