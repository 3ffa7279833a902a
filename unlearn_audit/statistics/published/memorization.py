"""Measures of one sequence from the log-probabilities of its labelled tokens.

Which tokens are labelled is the caller's choice, and moves every figure more than the formula does: open-unlearning
counts the answer, what the chat template puts behind it, and an end token; min-k, min-k++, exact memorization,
extraction strength and the gradient norm leave the last labelled token out. Arrays have shape (tokens,). Where nothing
was seen to be gained by it, no measure guards against an empty sequence with a value of its own: None says so.
"""

from __future__ import annotations

import math
import zlib as _zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SMALLEST_VARIANCE = 1e-6
"""Of a token's log-probabilities, in open-unlearning's min-k++."""


def average_loss(log_probs: ArrayLike) -> float:
    """Mean negative log-probability, in nats. Higher = less likely a member (open-unlearning's `loss`)."""
    return -float(np.mean(_floats(log_probs)))


def probability(log_probs: ArrayLike) -> float:
    """The exponential of the mean log-probability: TOFU's length-normalised probability (2401.06121), in [0, 1]."""
    return math.exp(-average_loss(log_probs))


def exact_memorization(token_ids: Sequence[int], greedy_ids: Sequence[int]) -> float | None:
    """Share of tokens that are the model's first choice given the true ones before them; None where there are none.

    Source: 2305.10160 as open-unlearning computes it.
    """
    return float(np.mean(np.asarray(token_ids) == np.asarray(greedy_ids))) if len(token_ids) else None


def extraction_strength(token_ids: Sequence[int], greedy_ids: Sequence[int]) -> float:
    """1 - k/n, with k the shortest prefix behind which every token is first choice (2012.07805), in [1/n, 1].

    It is never 0 where there is a token: if even the last one fails, k is n - 1. Without any token it is 0, which stays
    in a mean. Both are open-unlearning's; our own probe of the name reaches 0.
    """
    count, matched = len(token_ids), 0
    while matched < count and token_ids[count - 1 - matched] == greedy_ids[count - 1 - matched]:
        matched += 1
    return max(matched, 1) / count if count else 0.0


def min_k(log_probs: ArrayLike, share: float) -> float:
    """Minus the mean of the lowest max(1, floor(share * n)) log-probabilities; 0 of none (open-unlearning, 2310.16789).

    Higher = less likely a member.
    """
    values = _floats(log_probs)
    return -float(np.mean(_lowest(values, max(1, _floor(share, values))))) if len(values) else 0.0


def min_k_without_minimum(log_probs: ArrayLike, share: float) -> float:
    """The same of the lowest floor(share * n), which may be none: then nan (MUSE, RWKU, mink-plus-plus)."""
    values = _floats(log_probs)
    count = _floor(share, values)
    return -float(np.mean(_lowest(values, count))) if count else math.nan


def min_k_plus_plus(log_probs: ArrayLike, vocabulary: ArrayLike, share: float) -> float:
    """Min-k of log-probabilities standardised by the model's own next-token distribution (2404.02936).

    Args:
        log_probs: of the tokens.
        vocabulary: shape (tokens, vocabulary): log-probabilities at each place.
        share: of the tokens that count, at least one.

    Variances below `SMALLEST_VARIANCE` are raised to it: open-unlearning's.
    """
    return min_k(standardised(log_probs, vocabulary, smallest=SMALLEST_VARIANCE), share)


def standardised(log_probs: ArrayLike, vocabulary: ArrayLike, *, smallest: float = 0.0) -> Floats:
    """(log p - mean) / deviation, both taken under the model's own distribution at each place.

    Without a smallest variance a certain distribution divides by zero, as in RWKU and mink-plus-plus.
    """
    if not len(_floats(log_probs)):
        return _floats([])
    rows = _floats(vocabulary)
    weights = np.exp(rows)
    means = np.sum(weights * rows, axis=-1)
    variances = np.sum(weights * rows**2, axis=-1) - means**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return _floats((_floats(log_probs) - means) / np.sqrt(np.maximum(variances, smallest)))


def zlib_by_mean(log_probs: ArrayLike, text: str) -> float:
    """Mean loss over the bytes of the compressed text: open-unlearning, MUSE, RWKU, mink-plus-plus (2012.07805)."""
    return average_loss(log_probs) / compressed_bytes(text)


def zlib_by_sum(log_probs: ArrayLike, text: str) -> float:
    """Summed loss over the bytes of the compressed text, which ranks texts otherwise: our own comparison's."""
    return -float(np.sum(_floats(log_probs))) / compressed_bytes(text)


def compressed_bytes(text: str) -> int:
    """Bytes of zlib's default compression of the text in UTF-8."""
    return len(_zlib.compress(text.encode()))


def against_reference(log_probs: ArrayLike, reference_log_probs: ArrayLike) -> float:
    """Mean loss under the model minus that under a reference model. Higher = less likely a member."""
    return average_loss(log_probs) - average_loss(reference_log_probs)


def gradient_norm(gradients: Sequence[ArrayLike], order: float = 2.0) -> float:
    """Mean over parameter tensors of the p-norm of each tensor's gradient: open-unlearning's `gradnorm`.

    It is neither the norm of the whole gradient nor a mean over elements. The authors take it in train mode.
    """
    return float(np.mean([np.linalg.norm(_floats(one).ravel(), ord=order) for one in gradients]))


def _floor(share: float, values: Floats) -> int:
    return int(share * len(values))


def _lowest(values: Floats, count: int) -> Floats:
    return np.sort(values)[:count]


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
