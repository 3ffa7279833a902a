"""Synthetic audits of known truth, many at a time: arrays whose last axis is the audit.

A *world* is (subjects, cells, audits) of one model's mean score over a subject's facts. Subjects are independent of
each other and alike, as the bound asks; what happens inside a subject is chosen here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom, binom

from unlearn_audit.statistics.bounds import FloatArray

BoolArray = NDArray[np.bool_]

_STEPS = 2**16


def clustered(
    rng: np.random.Generator, rate: float, correlation: float, facts: int, shape: tuple[int, ...]
) -> FloatArray:
    """Subject means of `facts` hits each (beta-binomial), with probabilities in steps of 2 ** -16.

    Args:
        rng: what is drawn from.
        rate: of a hit.
        correlation: of two hits of one subject (the intra-class correlation, exactly).
        facts: a subject.
        shape: of the result.
    """
    if rate in (0.0, 1.0):
        return np.full(shape, rate)
    counts = np.arange(facts + 1)
    if correlation == 0.0:
        below = binom.cdf(counts, facts, rate)
    else:
        size = (1.0 - correlation) / correlation
        below = betabinom.cdf(counts, facts, rate * size, (1.0 - rate) * size)
    return _by_lot(below)[rng.integers(0, _STEPS, shape, dtype=np.uint16)] / facts


def soft(rng: np.random.Generator, mean: float, spread: float, shape: tuple[int, ...]) -> FloatArray:
    """Soft scores: beta-distributed with the mean given; `spread` in (0, 1) is the variance over mean (1 - mean)."""
    return rates(rng, mean, spread, shape)


def asked_again(
    rng: np.random.Generator,
    rate: float,
    facts: int,
    shape: tuple[int, int, int],
    *,
    between_cells: float = 0.0,
    inside_subject: float = 0.0,
) -> FloatArray:
    """Subject means of hits in several cells of one model: other wordings and doses find much the same answers.

    Each fact has one latent answer, and a cell repeats it with probability a = sqrt(between_cells), else draws a fresh
    one: the hits of one fact in two cells then correlate by a * a. Given that K of a subject's latent answers are hits,
    its hits in a cell are Binomial(K, a + (1 - a) rate) + Binomial(facts - K, (1 - a) rate), drawn here from a table
    with probabilities in steps of 2 ** -16.

    Args:
        rng: what is drawn from.
        rate: of a hit.
        facts: a subject.
        shape: (subjects, cells, audits).
        between_cells: correlation of one fact's hits in two cells.
        inside_subject: correlation of two facts' hits in one cell; at most `between_cells`.
    """
    if rate in (0.0, 1.0):
        return np.full(shape, rate)
    subjects, _, audits = shape
    again = float(np.sqrt(between_cells))
    latent = inside_subject / between_cells if inside_subject else 0.0
    known = rng.binomial(facts, rates(rng, rate, latent, (subjects, 1, audits)))
    lots = rng.integers(0, _STEPS, shape, dtype=np.uint16)
    return _hits(rate, facts, again)[known, lots] / facts


def leaking(rng: np.random.Generator, share: float, shape: tuple[int, int, int], *, same: bool) -> BoolArray:
    """Which subjects come back whole, each with probability `share`; the same ones in every cell, or others in each."""
    subjects, cells, audits = shape
    drawn = rng.random((subjects, 1 if same else cells, audits)) < share
    return np.broadcast_to(drawn, shape)


def _hits(rate: float, facts: int, again: float) -> NDArray[np.uint8]:
    """Hits in a cell by number of latent hits and by lot, shape (facts + 1, steps)."""
    rows = []
    counts = np.arange(facts + 1)
    for known in counts:
        kept = binom.pmf(counts, known, again + (1.0 - again) * rate)
        fresh = binom.pmf(counts, facts - known, (1.0 - again) * rate)
        below = np.cumsum(np.convolve(kept, fresh)[: facts + 1])
        rows.append(_by_lot(below))
    return np.array(rows)


def _by_lot(below: FloatArray) -> NDArray[np.uint8]:
    """The outcome of each lot, given P(outcome <= k) for each k."""
    return np.searchsorted(below[:-1], (np.arange(_STEPS) + 0.5) / _STEPS).astype(np.uint8)


def rates(rng: np.random.Generator, mean: float, correlation: float, shape: tuple[int, ...]) -> FloatArray:
    """Rates that differ between subjects, Beta with the mean given and variance correlation * mean (1 - mean)."""
    if mean in (0.0, 1.0) or correlation == 0.0:
        return np.full(shape, mean)
    size = (1.0 - correlation) / correlation
    return rng.beta(mean * size, (1.0 - mean) * size, shape)
