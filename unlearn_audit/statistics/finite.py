"""Bounds on the mean of a finite whole of which a known part was drawn without replacement, by betting.

Against "the mean of the whole is at least m" one bets, value by value, that the next one is less than it would be on
average: after x_1 ... x_{t-1} of N, that is m_t = (N m - x_1 - ... - x_{t-1}) / (N - t + 1). The stake multiplies by
1 + c (m_t - x_t) / (hi - m_t), for a share c of what may be lost, and its mean over a fixed grid of shares is a
non-negative supermartingale that starts at 1: it exceeds 1 / alpha with a probability of at most alpha (Ville). The
bound is the smallest m that loses (Waudby-Smith & Ramdas, 2010.09686, section 5; a fixed mixture in place of their
plug-in stakes). It is valid for values of any distribution in the range. Near the whole it closes on the mean itself.
"""

from __future__ import annotations

import numpy as np

from unlearn_audit.statistics.bounds import DIGITS, TOLERANCE, FloatArray

WORTH = 0.6
"""Share of the whole from which the bound is closer than Gaffke's (docs/statistics.md); sizes say which is used."""

_SHARES = np.linspace(0.02, 0.98, 25)
_HALVINGS = 30
_LOST = 100.0  # of a stake's logarithm: far beyond any alpha


def finite_upper(values: FloatArray, lo: float, hi: float, alpha: float, whole: int, seed: int) -> FloatArray:
    """Upper bounds of the whole's mean for each column, one-sided at 1 - alpha; of -values, it is the lower bound.

    Args:
        values: shape (S, columns), drawn at random from the whole, in [lo, hi].
        lo: the least value that could have come; `hi` the largest.
        hi: see `lo`.
        alpha: error rate.
        whole: size of the whole; with all of them drawn the mean itself is known.
        seed: of the order in which the values are bet on.

    Returns:
        Shape (columns,), to `DIGITS` digits.
    """
    if len(values) >= whole:
        mean: FloatArray = np.round(values.mean(axis=0), DIGITS)
        return mean
    ordered = np.clip(values, lo, hi)[np.random.default_rng(seed).permutation(len(values))]
    kept: FloatArray = np.full(values.shape[1], lo)
    refused: FloatArray = np.full(values.shape[1], hi)
    for _ in range(_HALVINGS):  # what is refused at one mean is refused at all that are larger
        tried = (kept + refused) / 2
        lost = _stake(ordered, lo, hi, tried, whole) >= 1.0 / alpha
        kept, refused = np.where(lost, kept, tried), np.where(lost, tried, refused)
    return np.round(refused, DIGITS)


def closer_than_gaffke(size: int, whole: int | None) -> bool:
    """Whether so many of a whole were drawn that it counts; None: it is not known, or endless."""
    return whole is not None and size >= WORTH * whole


def _stake(values: FloatArray, lo: float, hi: float, means: FloatArray, whole: int) -> FloatArray:
    """The largest stake on the way, against a whole of each column's mean; infinite where no whole has it."""
    before = np.vstack([np.zeros(values.shape[1]), values.cumsum(axis=0)])
    left = whole - np.arange(len(before))
    expected = (whole * means - before) / left[:, None]
    impossible = (expected > hi + TOLERANCE).any(axis=0)
    expected = np.minimum(expected[:-1], hi - TOLERANCE)
    stakes = np.where(expected > lo, (expected - values) / (hi - expected), 0.0)
    grown: FloatArray = np.zeros(values.shape)
    for share in _SHARES:
        grown += np.exp(np.minimum(np.log1p(share * stakes).cumsum(axis=0), _LOST)) / len(_SHARES)
    return np.where(impossible, np.inf, grown.max(axis=0))
