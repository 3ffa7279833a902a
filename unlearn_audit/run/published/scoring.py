"""One pass over sequences for all measures that share it, and the gradient of a loss where that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unlearn_audit.run.published.sequences import Sequence
from unlearn_audit.run.published.texts import Read, predicted
from unlearn_audit.statistics.published import memorization

if TYPE_CHECKING:
    import torch

    from unlearn_audit.models.engine import Engine

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What one pass gives for the labelled tokens, all arrays of shape (tokens,).

    Attributes:
        deviations: log-probabilities standardised by the model's own distribution, its variance at least 1e-6.
    """

    sequence: Sequence
    log_probs: Floats
    greedy_ids: tuple[int, ...]
    deviations: Floats

    @cached_property
    def token_ids(self) -> tuple[int, ...]:
        """The labelled tokens."""
        return self.sequence.token_ids[self.sequence.first : self.sequence.last]

    @property
    def loss(self) -> float:
        """Mean negative log-probability of all labelled tokens."""
        return memorization.average_loss(self.log_probs)

    @property
    def probability(self) -> float:
        """The exponential of minus the loss."""
        return memorization.probability(self.log_probs)

    @property
    def exact_memorization(self) -> float | None:
        """Of the tokens that token-wise measures count."""
        return memorization.exact_memorization(self.token_ids[: self._kept], self.greedy_ids[: self._kept])

    @property
    def extraction_strength(self) -> float:
        """Of the tokens that token-wise measures count."""
        return memorization.extraction_strength(self.token_ids[: self._kept], self.greedy_ids[: self._kept])

    @property
    def zlib(self) -> float:
        """Mean loss over compressed bytes."""
        return memorization.zlib_by_mean(self.log_probs, self.sequence.text)

    def min_k(self, share: float) -> float:
        """With open-unlearning's minimum of one token."""
        return memorization.min_k(self.log_probs[: self._kept], share)

    def min_k_plus_plus(self, share: float) -> float:
        """With open-unlearning's minimum of one token and of the variance."""
        return memorization.min_k(self.deviations[: self._kept], share)

    @property
    def _kept(self) -> int:
        return len(self.token_ids) - 1 if self.sequence.drops else len(self.token_ids)


def scored(engine: Engine, sequences: Iterable[Sequence]) -> list[Scored]:
    """The measures of each sequence, all in batches, in the model's own precision."""
    held = list(sequences)
    rows = [Read(token_ids=one.token_ids[: one.last], first=one.first) for one in held]
    return predicted(engine, rows, lambda place, logits: _of_logits(held[place], logits))


def mean_losses(engine: Engine, sequences: Iterable[Sequence]) -> list[float]:
    """The loss of each sequence alone, as `Scored.loss`: a vocabulary's whole distribution is not looked at."""
    held = list(sequences)
    rows = [Read(token_ids=one.token_ids[: one.last], first=one.first) for one in held]

    def loss(place: int, logits: torch.Tensor) -> float:
        chosen = logits.new_tensor(rows[place].token_ids[rows[place].first :]).long()
        log_probs = logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(dim=-1)
        return memorization.average_loss(log_probs.cpu().numpy())

    return predicted(engine, rows, loss)


def _of_logits(sequence: Sequence, logits: torch.Tensor) -> Scored:
    rows = logits.log_softmax(dim=-1).cpu().numpy()
    ids = np.asarray(sequence.token_ids[sequence.first : sequence.last], dtype=np.intp)
    log_probs = rows[np.arange(len(ids)), ids]
    return Scored(
        sequence=sequence,
        log_probs=log_probs,
        greedy_ids=tuple(int(one) for one in rows.argmax(axis=-1)) if len(ids) else (),
        deviations=memorization.standardised(log_probs, rows, smallest=memorization.SMALLEST_VARIANCE),
    )


def gradient_norm(engine: Engine, sequence: Sequence, order: float = 2.0) -> float:
    """Mean norm of the gradient over parameter tensors, in train mode, without the last labelled token if it drops.

    nan where no token is left.
    """
    import torch

    last = sequence.last - 1 if sequence.drops else sequence.last
    if last <= sequence.first:
        return float("nan")
    ids = torch.tensor([sequence.token_ids], device=engine.device)
    with _trainable(engine.module), torch.enable_grad():
        logits = engine.module(input_ids=ids, use_cache=False).logits[0, sequence.first - 1 : last - 1].float()
        torch.nn.functional.cross_entropy(logits, ids[0, sequence.first : last]).backward()  # type: ignore[no-untyped-call]
        norms = [
            float(torch.linalg.vector_norm(one.grad.float(), ord=order))
            for one in engine.module.parameters()
            if one.grad is not None
        ]
    return float(np.mean(norms))


@contextmanager
def _trainable(module: torch.nn.Module) -> Iterator[None]:
    """A module in train mode whose parameters take gradients; afterwards as it was."""
    before = [(one, one.requires_grad) for one in module.parameters()]
    training = module.training
    try:
        module.train()
        for one, _ in before:
            one.requires_grad_(one.is_floating_point())
        yield
    finally:
        for one, wanted in before:
            one.grad = None
            one.requires_grad_(wanted)
        module.train(training)
