"""What samples tell of a chance: estimates of leak@k, and bounds that hold with high probability."""

from __future__ import annotations

import math
from collections.abc import Sequence


def leak_at(hits: int, samples: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k): the chance that k of the n samples, drawn without return, hold one of the c hits.

    Unbiased for the chance that one of k fresh samples hits (leak@k of 2511.04934; the estimator is that of pass@k,
    2107.03374, eq. 1). For k = 1 the share of hits, for k = n whether there is any.
    """
    return 1.0 - math.comb(samples - hits, k) / math.comb(samples, k)


def rate_bound(hits: int, samples: int, alpha: float) -> float:
    """Upper bound of Clopper and Pearson on the chance of a hit: the (1 - alpha) quantile of Beta(c + 1, n - c).

    Holds with probability 1 - alpha at any n; 1 where all samples hit, and 1 - alpha ** (1 / n) where none does.
    """
    from scipy.special import betaincinv

    return 1.0 if hits == samples else float(betaincinv(hits + 1, samples - hits, 1.0 - alpha))


def band(samples: int, alpha: float) -> float:
    """sqrt(log(1 / alpha) / (2 n)): the distribution function F lies nowhere below F_n minus this.

    With probability 1 - alpha: the one-sided inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant,
    which holds for alpha <= 0.5.
    """
    return math.sqrt(math.log(1.0 / alpha) / (2.0 * samples))


def tail_bound(scores: Sequence[float], above: float, alpha: float) -> float:
    """Upper bound on P(score > above): the share of scores above it and the band, at most 1."""
    share = sum(score > above for score in scores) / len(scores)
    return min(1.0, share + band(len(scores), alpha))


def mean_bound(scores: Sequence[float], alpha: float) -> float:
    """Upper bound on the expectation of a score in [0, 1]: the integral of `tail_bound` over [0, 1] (Anderson, 1969).

    With x_(0) = 0 and x_(n + 1) = 1 around the ordered scores: the sum over i of (x_(i + 1) - x_(i)) times
    min(1, 1 - i / n + band).
    """
    ends = [0.0, *sorted(scores), 1.0]
    width = band(len(scores), alpha)
    return math.fsum((ends[i + 1] - ends[i]) * min(1.0, 1.0 - i / len(scores) + width) for i in range(len(scores) + 1))
