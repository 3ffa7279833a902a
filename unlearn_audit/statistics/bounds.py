"""Bounds and tests on arrays of numbers; knows nothing of models, roles or files.

One bound serves everything (design, section 6). For independent values D_1 ... D_S in [lo, hi], the upper bound of
their mean at 1 - alpha is the (1 - alpha) quantile of

    sum_s w_s D_s + w_{S+1} hi,     w ~ Dirichlet(1, ..., 1) over S + 1,

and the lower bound is the alpha quantile with lo in the place of hi (Gaffke's bound; Learned-Miller and Thomas,
1905.06208; its coverage is proven for a slightly wider variant in 2106.03163). It is exact where all values are
equal to the far end of the range: all zeros in [0, 1] give 1 - alpha ** (1 / S). It needs no normality, no bootstrap
(which gives 0 +- 0 at 0 of n) and no assumed correlation inside a subject, because a subject is one value.

**Monte Carlo.** With n draws and k = floor(alpha (n + 1)), the upper bound is the k-th largest draw and the lower the
k-th smallest: the ranks of an exact Monte Carlo test, never inside the plain quantile. The bound and the p-value use
the same draws: lower > t exactly where p(t) <= alpha. Two departures from plain simulation, neither of which changes
the distribution of w: the last weight, Beta(1, S), takes its quantiles at i / (n + 1) in place of random values, which
leaves no simulation error where values are equal (a clean sheet); and values are sorted before they meet the weights,
so that the order in which subjects come cannot move a bound, and larger values never give a smaller one. Where values
differ, simulation moves the error rate by at most about sqrt(alpha (1 - alpha) / n): 0.0015 at the defaults.

**Picking the worst cell.** An adversary picks the dose and the way of asking, and so does FAIL: `picked_p_value`. Up to
`FEW_CELLS` cells it is Bonferroni's V min_v p_v on all subjects, above that cross-fitting. A leak that comes back whole
in one cell has a p-value that falls about as exp(-S); V costs it log(V), halving the subjects costs half of S. Which of
the two it is depends on the number of cells alone, hence on no score. Numbers: docs/statistics.md.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from unlearn_audit.errors import AuditError

FloatArray: TypeAlias = NDArray[np.float64]

TOLERANCE = 1e-9
"""How far rounding may carry a number over a limit (a bound of 0 that comes out as 1e-17, a mean of 1 + 1e-16)."""

FEW_CELLS = 32
"""Cells up to which the worst is found by Bonferroni on all subjects.

Bonferroni stays ahead to about 100 cells, but a Monte Carlo p-value is never below 1 / (draws + 1): times 32
cells and 15 findings, that is still below 0.05 at the fewest draws that a policy may ask for.
"""

DIGITS = 12
"""Digits of a bound: the last ones of a sum depend on how many threads made it, and a verdict must not."""

_WEIGHTS_IN_MEMORY = 2**22  # weights drawn at a time, or kept for one size: 32 MiB
_MIXTURES_IN_MEMORY = 2**20  # draws x columns held at a time: 8 MiB, which a cache can hold


def gaffke_bounds(
    values: FloatArray, lo: float | FloatArray, hi: float | FloatArray, alpha: float, draws: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bounds on the mean of each column, each one-sided at 1 - alpha.

    All columns meet the same weights, drawn once.

    Args:
        values: shape (S,) or (S, columns); independent along the first axis, in [lo, hi].
        lo: the least value that could have come, for all columns or one for each.
        hi: the largest, likewise.
        alpha: one-sided error rate of each bound, in (0, 1).
        draws: Monte Carlo draws; with fewer than 1 / alpha of them the bounds are lo and hi.
        seed: of the draws; the same seed gives the same bounds.

    Returns:
        (lower, upper), each of shape `values.shape[1:]`, to `DIGITS` digits.

    Raises:
        AuditError: no values, a value that is NaN or outside [lo, hi], or an alpha outside (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise AuditError(f"a bound needs an alpha in (0, 1), not {alpha}")
    columns, low_ends, high_ends = _checked(values, lo, hi)
    rank = math.floor(alpha * (draws + 1) + TOLERANCE)
    lower, upper = low_ends.copy(), high_ends.copy()
    if rank > 0:
        for block in _column_blocks(columns.shape[1], draws):
            inner, last = _mixtures(columns[:, block], draws, seed)
            below = inner + low_ends[block, None] * last
            above = inner + high_ends[block, None] * last
            lower[block] = np.partition(below, rank - 1, axis=1)[:, rank - 1]
            upper[block] = np.partition(above, draws - rank, axis=1)[:, draws - rank]
    return _held(lower, low_ends, high_ends, values.shape[1:]), _held(upper, low_ends, high_ends, values.shape[1:])


def _held(ends: FloatArray, lo: FloatArray, hi: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Bounds within the range, to `DIGITS` digits."""
    held: FloatArray = np.round(np.clip(ends, lo, hi), DIGITS).astype(np.float64).reshape(shape)
    return held


def gaffke_p_value(
    values: FloatArray, lo: float | FloatArray, hi: float | FloatArray, threshold: float, draws: int, seed: int
) -> FloatArray:
    """p-value of "the mean is at most `threshold`" for each column, the dual of the lower bound.

    It is (1 + c) / (draws + 1), c being the number of draws of sum_s w_s D_s + w_{S+1} lo that are at most
    `threshold`; ties within `TOLERANCE` count for the hypothesis. Never 0.

    Args:
        values: shape (S,) or (S, columns), in [lo, hi].
        lo: the least value that could have come; `hi` the largest.
        hi: see `lo`.
        threshold: the largest mean under the hypothesis.
        draws: Monte Carlo draws.
        seed: of the draws.

    Returns:
        Shape `values.shape[1:]`, in (0, 1].
    """
    columns, low_ends, _ = _checked(values, lo, hi)
    counts = np.zeros(columns.shape[1])
    for block in _column_blocks(columns.shape[1], draws):
        inner, last = _mixtures(columns[:, block], draws, seed)
        counts[block] = np.count_nonzero(inner + low_ends[block, None] * last <= threshold + TOLERANCE, axis=1)
    p_values: FloatArray = (counts + 1.0) / (draws + 1.0)
    return p_values.reshape(values.shape[1:])


def holm(p_values: Sequence[float], weights: Sequence[float] | None = None) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the order given: family-wise error control under any dependence (Holm, 1979).

    The k-th smallest of n, counted from 0, is multiplied by n - k. None ends below a smaller one, and none above 1.
    With weights w (Holm, 1979, section 4; Benjamini & Hochberg, Scand. J. Statist. 24, 1997) they are ordered by p / w,
    and p / w is multiplied by the weight of those that are left: a hypothesis of small weight takes little of the error
    rate from the others. Weights must not depend on the p-values.

    Raises:
        AuditError: a p-value is NaN or outside [0, 1], or a weight is not positive.
    """
    weights = [1.0] * len(p_values) if weights is None else list(weights)
    if len(weights) != len(p_values) or not all(weight > 0.0 for weight in weights):
        raise AuditError(f"Holm's correction needs a positive weight for each of {len(p_values)} p-values: {weights}")
    for p_value in p_values:
        if not 0.0 <= p_value <= 1.0:  # true for NaN, too: it would pass for 1
            raise AuditError(f"Holm's correction needs p-values in [0, 1]; found {p_value}")
    adjusted, least = [0.0] * len(p_values), 0.0
    left = math.fsum(weights)
    for place in sorted(range(len(p_values)), key=lambda one: p_values[one] / weights[one]):
        least = max(least, min(1.0, left * float(p_values[place]) / weights[place]))
        adjusted[place] = least
        left -= weights[place]
    return tuple(adjusted)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One cell's values, subject by subject.

    Attributes:
        subjects: names, one for each row of `values`.
        values: shape (subjects, controls); a column for each control, paired by subject.
    """

    subjects: tuple[str, ...]
    values: FloatArray


def first_half(subjects: Iterable[str]) -> frozenset[str]:
    """Half of the subjects, by the parity of their rank in the order of their SHA-256.

    Depends on the set of names alone: neither the order of the evidence nor any score can move a subject.
    """
    ranked = sorted(set(subjects), key=lambda name: (hashlib.sha256(name.encode()).digest(), name))
    return frozenset(ranked[::2])


def picked_p_value(cells: Sequence[Sample], *, lo: float, hi: float, draws: int, seed: int) -> float:
    """p-value of "no cell has a positive mean against every control", valid although the worst cell is picked.

    With up to `FEW_CELLS` cells min(1, V min_v p_v), each p_v taken on all subjects of its cell (Bonferroni: valid in
    any dependence between cells, whichever subjects they have), else `cross_fitted_p_value`.

    A cell's p-value is the largest over its controls: what counts is an excess over every control (intersection-union,
    no correction needed).

    Args:
        cells: in a fixed order; a cell need not have all subjects. Cells that were planned but have no score of the
            checkpoint need not be among them: what is not looked at cannot be picked.
        lo: least possible value; `hi` largest.
        hi: see `lo`.
        draws: Monte Carlo draws.
        seed: of the draws.
    """
    if len(cells) > FEW_CELLS:
        return cross_fitted_p_value(cells, lo=lo, hi=hi, draws=draws, seed=seed)
    if not cells:
        raise AuditError("picking the worst cell needs at least one, and there is none")
    smallest = 1.0
    for size in sorted({len(cell.values) for cell in cells}):  # cells of one size meet the same weights in one product
        alike = np.stack([cell.values for cell in cells if len(cell.values) == size], axis=1)
        p_values = gaffke_p_value(alike.reshape(size, -1), lo, hi, 0.0, draws, seed).reshape(alike.shape[1:])
        smallest = min(smallest, float(p_values.max(axis=1).min()))
    return min(1.0, len(cells) * smallest)


def cross_fitted_p_value(cells: Sequence[Sample], *, lo: float, hi: float, draws: int, seed: int) -> float:
    """p-value of the same hypothesis as `picked_p_value`, whose cost does not grow with the number of cells.

    The cell is picked on one half of the subjects and tested on the other, then the other way round, which gives p_A
    and p_B; the result is min(1, 2 min(p_A, p_B)). Each of the two is valid: given the picking half, its cell is
    fixed, and the testing half is independent of it. They share all subjects and so depend on each other, but
    Bonferroni over two valid p-values asks for no independence.

    A cell is picked by the least mean over its controls, and tested by the largest p-value over them.

    Args:
        cells: in a fixed order (the first of equals is picked); a cell need not have all subjects.
        lo: least possible value; `hi` largest.
        hi: see `lo`.
        draws: Monte Carlo draws.
        seed: of the draws.
    """
    if not cells:
        raise AuditError("a cross-fitted p-value needs at least one cell, and there is none")
    half = first_half(name for cell in cells for name in cell.subjects)
    in_half = [np.array([name in half for name in cell.subjects], dtype=bool) for cell in cells]
    one = _picked_and_tested(cells, in_half, lo, hi, draws, seed)
    other = _picked_and_tested(cells, [~mask for mask in in_half], lo, hi, draws, seed)
    return min(1.0, 2.0 * min(one, other))


def _picked_and_tested(
    cells: Sequence[Sample], picking: Sequence[NDArray[np.bool_]], lo: float, hi: float, draws: int, seed: int
) -> float:
    """p-value, on the subjects that are not `picking`, of the cell that is worst on those that are."""
    means = [
        float(cell.values[mask].mean(axis=0).min()) if mask.any() and not mask.all() else -math.inf
        for cell, mask in zip(cells, picking, strict=True)
    ]
    worst = int(np.argmax(means))
    if means[worst] == -math.inf:  # no cell has subjects on both sides: nothing can be shown this way
        return 1.0
    testing = cells[worst].values[~picking[worst]]
    return float(gaffke_p_value(testing, lo, hi, 0.0, draws, seed).max())


def _checked(
    values: FloatArray, lo: float | FloatArray, hi: float | FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Columns sorted and held to their range, with the ends of the range for each."""
    if values.ndim not in (1, 2) or values.shape[0] == 0:
        raise AuditError(f"a bound needs at least one value in a vector or a matrix, not shape {values.shape}")
    columns = np.asarray(values, dtype=np.float64).reshape(values.shape[0], -1)
    low_ends = np.broadcast_to(np.asarray(lo, dtype=np.float64), columns.shape[1:])
    high_ends = np.broadcast_to(np.asarray(hi, dtype=np.float64), columns.shape[1:])
    inside = (columns >= low_ends - TOLERANCE) & (columns <= high_ends + TOLERANCE)  # false for NaN, too
    if not inside.all():
        found = columns[~inside][0]
        raise AuditError(f"values must lie in [{lo}, {hi}]; found {found}. Was a missing score not left out?")
    return np.sort(np.clip(columns, low_ends, high_ends), axis=0), low_ends, high_ends


def _column_blocks(columns: int, draws: int) -> Iterable[slice]:
    step = max(1, _MIXTURES_IN_MEMORY // draws)
    return (slice(start, min(start + step, columns)) for start in range(0, columns, step))


def _mixtures(columns: FloatArray, draws: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """sum_s w_s D_s of each column and draw, shape (columns, draws), and the last weight w_{S+1}, shape (draws,).

    Given w_{S+1}, the other weights are (1 - w_{S+1}) times a Dirichlet(1, ..., 1) over S: exponentials over their sum.
    """
    size = columns.shape[0]
    last = -np.expm1(np.log1p(-np.arange(1, draws + 1) / (draws + 1)) / size)
    if draws * size <= _WEIGHTS_IN_MEMORY:
        return columns.T @ _exponential_shares(size, draws, seed).T * (1.0 - last), last
    rng = np.random.default_rng(seed)
    inner = np.empty((columns.shape[1], draws))
    rows = max(1, _WEIGHTS_IN_MEMORY // size)
    for start in range(0, draws, rows):
        stop = min(start + rows, draws)
        inner[:, start:stop] = columns.T @ _shares(rng, stop - start, size).T * (1.0 - last[start:stop])
    return inner, last


@lru_cache(maxsize=4)
def _exponential_shares(size: int, draws: int, seed: int) -> FloatArray:
    """Dirichlet(1, ..., 1) over `size`, shape (draws, size), read-only.

    Kept, because an audit asks again and again for the few sizes of its subjects and their halves.
    """
    shares = _shares(np.random.default_rng(seed), draws, size)
    shares.flags.writeable = False
    return shares


def _shares(rng: np.random.Generator, draws: int, size: int) -> FloatArray:
    exponentials = rng.standard_exponential((draws, size))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials
