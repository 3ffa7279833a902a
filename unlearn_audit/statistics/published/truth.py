"""TOFU's measures over facts (2401.06121): truth ratios, forget quality, model utility; variants have own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_TINY = 1e-10
"""What open-unlearning adds to denominators."""
UTILITY_PARTS = (
    "retain_Q_A_Prob",
    "retain_Q_A_ROUGE",
    "retain_Truth_Ratio",
    "ra_Q_A_Prob_normalised",
    "ra_Q_A_ROUGE",
    "ra_Truth_Ratio",
    "wf_Q_A_Prob_normalised",
    "wf_Q_A_ROUGE",
    "wf_Truth_Ratio",
)


def truth_ratio_geometric(right: float, wrong: ArrayLike, *, tiny: float = _TINY) -> float:
    """exp(mean of the wrong answers' mean log-probabilities) over the right one's: in [0, inf), low = knows the answer.

    Args:
        right: mean token log-probability of the right answer: the paraphrase for forget and retain sets.
        wrong: the same of each wrong answer.
        tiny: added to the denominator by open-unlearning; TOFU's own code adds nothing (0).

    This is the one in code: open-unlearning, TOFU's `evaluate_util` and leaderboard. Forget quality is taken from it.
    """
    return float(np.exp(np.mean(_floats(wrong))) / (np.exp(right) + tiny))


def truth_ratio_arithmetic(right: float, wrong: ArrayLike) -> float:
    """Mean of the wrong answers' probabilities over the right one's: as printed in TOFU's paper and in its `utils`."""
    return float(np.mean(np.exp(_floats(wrong))) / np.exp(right))


def truth_share(right: float, wrong: ArrayLike) -> float:
    """The right answer over right and geometric wrong, in [0, 1], high = knows: open-unlearning's `prob_mean`."""
    true, false = np.exp(right), np.exp(np.mean(_floats(wrong)))
    return float(true / (true + false + _TINY))


def mean_unlearned(ratios: ArrayLike, *, tiny: float = _TINY) -> float:
    """Mean of min(R, 1/R) over a forget set, in [0, 1]: near 1, wrong answers are as likely as the right one."""
    values = _floats(ratios)
    with np.errstate(divide="ignore"):
        return float(np.mean(np.minimum(values, 1 / (values + tiny))))


def mean_useful(ratios: ArrayLike) -> float:
    """Mean of max(0, 1 - R) over any other set, in [0, 1]: high, the right answer is preferred."""
    return float(np.mean(np.maximum(0.0, 1 - _floats(ratios))))


def forget_quality(unlearned: ArrayLike, retrained: ArrayLike) -> float:
    """p-value of the two-sided Kolmogorov-Smirnov test between two models' truth ratios of the forget set.

    A p-value above 0.05 is failure to tell the two apart, no evidence that they are alike; it grows as sets shrink.
    """
    from scipy.stats import ks_2samp

    return float(ks_2samp(_floats(unlearned), _floats(retrained)).pvalue)


def probability_among(right: float, wrong: ArrayLike) -> float:
    """Length-normalised probability of the right answer over the sum of all options': of real authors, world facts."""
    return float(right / (right + np.sum(_floats(wrong)) + _TINY))


def model_utility(parts: Mapping[str, float] | Sequence[float], *, tiny: float = 0.0) -> float:
    """Harmonic mean of nine parts: probability, ROUGE-L recall and truth ratio on three sets, in [0, 1].

    0 as soon as one part is 0 (open-unlearning, TOFU); the depth-score repository adds 1e-12 to each (`tiny`). A part
    that is nan makes it nan.
    """
    values = _floats(list(parts.values()) if isinstance(parts, Mapping) else list(parts)) + tiny
    if np.any(np.isnan(values)):
        return float("nan")
    return float(len(values) / np.sum(1 / values)) if np.all(values > 0) else 0.0


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
