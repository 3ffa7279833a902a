"""Attacks on a model's input: prompts written anew, asked in several ways, or followed by free embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch

from unlearn_audit.api import AnswerScore, Generation, Prompt
from unlearn_audit.errors import AttackError, NotApplicableError

Way = Callable[[Prompt], Prompt]


def composed(first: Sequence[Way], then: Sequence[Way]) -> tuple[Way, ...]:
    """Every way of `first` followed by every way of `then`; an empty list leaves prompts as they are."""
    if not first or not then:
        return tuple(first or then)
    return tuple(_after(one, two) for one, two in product(first, then))


def _after(first: Way, then: Way) -> Way:
    return lambda prompt: then(first(prompt))


def joined(generations: Sequence[Generation]) -> Generation:
    """The answers to one question asked in several ways, one to a line; cut off where any of them was."""
    if len(generations) == 1:
        return generations[0]
    return Generation(
        text="\n".join(dict.fromkeys(generation.text for generation in generations)),
        finished=all(generation.finished for generation in generations),
        new_tokens=max(generation.new_tokens for generation in generations),
        parts=tuple(generations),
        missing=generations[0].missing if all(generation.missing for generation in generations) else None,
    )


def likeliest(scores: Sequence[AnswerScore]) -> AnswerScore:
    """The score of the way in which the answer is likeliest; one that is not a number wins, so that it is seen."""
    return max(scores, key=lambda score: (score.log_likelihood != score.log_likelihood, score.log_likelihood))


class SoftEmbedding(torch.nn.Module):
    """An input embedding with rows of its own behind the vocabulary, held in float32.

    Attributes:
        soft: the free rows, shape (length, width); token id `first + k` is row k.
    """

    def __init__(self, table: torch.nn.Module, soft: torch.Tensor, first: int) -> None:
        super().__init__()
        self.table = table
        self.soft = torch.nn.Parameter(soft.detach().float(), requires_grad=False)
        self.first = first

    @property
    def weight(self) -> torch.Tensor:
        """The vocabulary's rows, where others look for them."""
        return self.table.weight  # type: ignore[return-value]

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Embeddings, shape (..., width), in the table's type."""
        plain = torch.as_tensor(self.table(token_ids.clamp(max=self.first - 1)))
        soft = self.soft[(token_ids - self.first).clamp(min=0)].to(plain.dtype)
        return torch.where((token_ids >= self.first)[..., None], soft, plain)


def put_soft_rows(module: torch.nn.Module, soft: torch.Tensor) -> tuple[int, ...]:
    """Replaces a fork's input embedding by one with the rows of `soft`; their token ids.

    Raises:
        AttackError: the architecture has no input embedding of its own to extend, or another width.
    """
    find = getattr(module, "get_input_embeddings", None)
    table = None if find is None else find()
    name = next((name for name, part in module.named_modules() if part is table), None)
    weight = getattr(table, "weight", None)
    if not name or table is None or weight is None:
        raise NotApplicableError(f"{type(module).__name__} has no input embedding to place a soft prompt in")
    if soft.ndim != 2 or soft.shape[1] != weight.shape[1]:
        raise AttackError(f"expected a soft prompt of shape (length, {weight.shape[1]}), got {tuple(soft.shape)}")
    first = int(weight.shape[0])
    module.set_submodule(name, SoftEmbedding(table, soft.to(weight.device), first))
    return tuple(range(first, first + len(soft)))
