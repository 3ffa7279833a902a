"""Statistics of each answer token, teacher-forced: its log-probability, and its place in the model's own spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unlearn_audit.api import AuditError, Model
from unlearn_audit.api.kit.asking import Pair

from .reading import read_by

if TYPE_CHECKING:
    import torch

BATCH_TOKENS = 4096
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenStatistics:
    """Of one answer, token by token, each (tokens,).

    Attributes:
        log_probs: log p(token | all before it), in nats.
        means: mean of log p over the vocabulary, under p itself.
        deviations: its standard deviation.
    """

    log_probs: FloatArray
    means: FloatArray
    deviations: FloatArray

    @property
    def standardized(self) -> FloatArray:
        """(log p - mean) / deviation, as Min-K%++ reads a token (2404.02936, eq. 3)."""
        found: FloatArray = (self.log_probs - self.means) / np.maximum(self.deviations, 1e-6)
        return found


def token_statistics(model: Model, pairs: Sequence[Pair]) -> list[TokenStatistics | None]:
    """Statistics of the answer's tokens of each pair, in their order; None where it is longer than the context.

    Raises:
        AuditError: an answer has no token, or the model gives no numbers.
    """
    import torch

    from unlearn_audit.api.kit.answer_batches import batches_of

    rows = [model.render(prompt, answer) for prompt, answer in pairs]
    if empty := [pair for pair, row in zip(pairs, rows, strict=True) if not any(row.is_answer)]:
        raise AuditError(f"{len(empty)} answers have no token of their own; give answers that are not empty")
    found: list[TokenStatistics | None] = [None] * len(rows)
    read = np.flatnonzero(read_by(model, rows)).tolist()
    with torch.inference_mode():
        for batch in batches_of(model, [rows[place] for place in read], most_tokens=BATCH_TOKENS):
            logits = batch.by_row(batch.chosen(batch.run(model).logits))
            for place, own, ids in zip(batch.places, logits, batch.by_row(batch.token_ids), strict=True):
                found[read[place]] = _of_row(own, ids)
    return found


def _of_row(logits: torch.Tensor, token_ids: torch.Tensor) -> TokenStatistics:
    """Of the logits that predict an answer's tokens, and these."""
    import torch

    log_p = torch.log_softmax(logits.float(), dim=-1)
    own = log_p.gather(-1, token_ids.to(log_p.device)[:, None])
    weights = log_p.exp()
    seen = torch.where(weights > 0, log_p, torch.zeros_like(log_p))  # a token of probability 0 counts nothing
    means = (weights * seen).sum(-1)
    variances = (weights * (seen - means[:, None]) ** 2).sum(-1)
    numbers = [values.double().cpu().numpy() for values in (own[:, 0], means, variances.sqrt())]
    if not all(np.isfinite(values).all() for values in numbers):
        raise AuditError("the model's log-probabilities are not numbers; try --dtype float32 or bfloat16")
    return TokenStatistics(log_probs=numbers[0], means=numbers[1], deviations=numbers[2])
