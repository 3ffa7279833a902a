"""Rendered answers in batches, and the states and logits that predict their tokens: for probes that run the module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from unlearn_audit.api.model import Model, Rendered

BATCH_TOKENS = 2048


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows padded on the right, where a causal model cannot see it.

    Attributes:
        places: where each row belongs in the caller's list.
        at: (row, position) of every state that predicts an answer token, rows in order; two vectors.
        token_ids: the token that each predicts.
        lengths: how many of these each row has.
    """

    places: tuple[int, ...]
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    at: tuple[torch.Tensor, torch.Tensor]
    token_ids: torch.Tensor
    lengths: tuple[int, ...]

    def run(self, model: Model, **options: Any) -> Any:
        """The model's own output."""
        return model.module(input_ids=self.input_ids, attention_mask=self.attention_mask, use_cache=False, **options)

    def chosen(self, states: torch.Tensor) -> torch.Tensor:
        """The states that predict answer tokens, (positions, width), out of (rows, positions, width)."""
        return states[self.at[0].to(states.device), self.at[1].to(states.device)]

    def log_probs(self, logits: torch.Tensor) -> torch.Tensor:
        """Log-probability of every answer token: float32, (positions,), out of (rows, positions, vocabulary)."""
        return chosen_log_probs(self.chosen(logits), self.token_ids)

    def by_row(self, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What stands for every answer token, cut into rows."""
        return torch.split(values, list(self.lengths))


def batches_of(model: Model, rows: Sequence[Rendered], *, most_tokens: int = BATCH_TOKENS) -> Iterator[Batch]:
    """Rows of similar length together, longest first, up to so many padded tokens in a batch."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place].token_ids), reverse=True)
    while order:
        size = max(1, most_tokens // len(rows[order[0]].token_ids))
        places, order = order[:size], order[size:]
        yield batch_of(model, [rows[place] for place in places], places=places)


def batch_of(model: Model, rows: Sequence[Rendered], *, places: Sequence[int] | None = None) -> Batch:
    """All rows in one batch."""
    width = max(len(row.token_ids) for row in rows)
    ids = [[*row.token_ids, *[0] * (width - len(row.token_ids))] for row in rows]
    mask = [[1] * len(row.token_ids) + [0] * (width - len(row.token_ids)) for row in rows]
    at = [(number, place - 1) for number, row in enumerate(rows) for place in answer_places(row)]
    return Batch(
        places=tuple(range(len(rows)) if places is None else places),
        input_ids=torch.tensor(ids, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        at=(torch.tensor([row for row, _ in at]), torch.tensor([place for _, place in at])),
        token_ids=torch.tensor([row.token_ids[place] for row in rows for place in answer_places(row)]),
        lengths=tuple(len(answer_places(row)) for row in rows),
    )


def answer_places(row: Rendered) -> list[int]:
    """Positions of an answer's tokens; the state before each predicts it."""
    return [place for place, own in enumerate(row.is_answer) if own and place > 0]


def chosen_log_probs(logits: torch.Tensor, token_ids: torch.Tensor) -> torch.Tensor:
    """Log-probability of each token: float32, shape (positions,)."""
    return torch.log_softmax(logits.float(), dim=-1).gather(-1, token_ids.to(logits.device)[:, None])[:, 0]


@torch.inference_mode()
def mean_log_probs(
    model: Model,
    rows: Sequence[Rendered],
    during: Callable[[Batch], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> npt.NDArray[np.float64]:
    """Mean log-probability of each answer's tokens, (rows,), while `during` has changed the model for a batch."""
    found = np.zeros(len(rows))
    for batch in batches_of(model, rows):
        with during(batch):
            log_probs = batch.log_probs(batch.run(model).logits).cpu().double()
        for place, part in zip(batch.places, batch.by_row(log_probs), strict=True):
            found[place] = float(part.mean())
    return found
