"""Scores over scores: the depth score and the aggregates of its repository (gnueaj/unlearning-depth-score)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

_TINY = 1e-12
DEPTH_THRESHOLD = 0.05
"""Drop of log-probability from which a layer counts as one that holds the knowledge, in nats."""


def depth_score(
    full: float, retrained: ArrayLike, unlearned: ArrayLike, threshold: float = DEPTH_THRESHOLD
) -> float | None:
    """How deep one fact is erased: 1 = as in the retrained model, 0 = intact; None where no layer holds it.

    Args:
        full: mean log-probability of the entity's tokens under the original.
        retrained: shape (layers,): the same with the retrained model's hidden states patched in at each layer.
        unlearned: the same with the unlearned model's.
        threshold: drop by the retrained model from which a layer counts.
    """
    drops, kept = (full - np.asarray(one, dtype=np.float64) for one in (retrained, unlearned))
    counts = drops > threshold
    if not np.any(counts):
        return None
    shares = np.clip(kept[counts] / drops[counts], 0.0, 1.0)
    return float(np.sum(drops[counts] * shares) / np.sum(drops[counts]))


def mean_depth_score(scores: Sequence[float | None]) -> float:
    """Over the facts that have one; 0 if none has."""
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else 0.0


def harmonic_mean(values: Sequence[float | None]) -> float | None:
    """None if one value is 0 or less, or there is none: the repository's `memorization`. Absent ones drop out."""
    held = np.array([value for value in values if value is not None], dtype=np.float64)
    return float(len(held) / np.sum(1 / held)) if len(held) and np.all(held > 0) else None


def harmonic_mean_with_tiny(values: Sequence[float | None]) -> float:
    """1e-12 is added to each value: the repository's `privacy_eval` and `utility_eval`.

    Absent ones and nan drop out; nan where none is left, as in `utility_eval` (`privacy_eval` has None then).
    """
    held = np.array([value for value in values if value is not None and value == value], dtype=np.float64) + _TINY
    return float(len(held) / np.sum(1 / held)) if len(held) else float("nan")


def robustness(relearning: float, quantization: float) -> float:
    """Harmonic mean of what a measure keeps under relearning and under quantization, in [0, 1]."""
    return harmonic_mean_with_tiny([relearning, quantization])
