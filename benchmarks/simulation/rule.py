"""The rule of the verdict on matrices: whether audits pass and fail, thousands at a time.

The numbers are those of `unlearn_audit.statistics.bounds`, with the seed of the verdict. Columns far from a limit are
settled by two inequalities and by a few draws, and all draws decide those that could be near it: the outcome is that
of all draws everywhere (`tests/verdict/test_rule.py` compares with `verdict.decide`).

The inequalities: sum_s w_s D_s + w_{S+1} e >= 0 exactly where X = sum_s E_s D_s + E e >= 0, all E being standard
exponentials. Its probability is at most E exp(x X) = 1 / prod(1 - x D_s) / (1 - x e) for any x below 1 / max(D, e)
(Markov); and at least 0.36 where the mean of X is at least 0, for X has a log-concave density (Gruenbaum).

Arrays have shape (subjects, controls, cells, audits) and hold the excess L of one finding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unlearn_audit.statistics.bounds import FEW_CELLS, TOLERANCE, FloatArray, gaffke_bounds, gaffke_p_value

BoolArray = NDArray[np.bool_]

DRAWS = 10_000
"""The least that a policy may ask for."""

SEED = 0
"""Of the draws: the verdict's own."""

_FIRST_DRAWS = 500
_NEAR = 0.02
"""With 500 draws, a p-value above this is 0.002 or more with all of them, but for one case in 1e5."""

_TILTS, _SURE = (0.1, 0.2, 0.35, 0.55, 0.8), 5.0
"""Where Markov's bound is taken, as shares of 1 / hi, and how far below alpha it has to be to settle a column."""

_STAGES = ((500, 0.2, 3.0), (2_000, 0.6, 1.6))
"""Draws, and the shares of alpha between which their p-value leaves open on which side of alpha it will come to lie."""


def excess(unlearned: FloatArray, controls: FloatArray, original: FloatArray | float, margin: float) -> FloatArray:
    """L = U - (1 - margin) C - margin O (design, section 6).

    Args:
        unlearned: shape (subjects, cells, audits).
        controls: shape (subjects, controls, cells, audits).
        original: like `unlearned`, or one number.
        margin: share that may come back.
    """
    return (unlearned - margin * original)[:, None] - (1.0 - margin) * controls.mean(axis=1, keepdims=True)


def verdicts(
    findings: Sequence[FloatArray], utility: FloatArray, *, alpha: float, needed: float, draws: int = DRAWS
) -> tuple[BoolArray, BoolArray]:
    """Which audits pass and which fail, each of shape (audits,): the rule of design section 6 against retrained models.

    The original shows everything, so that power is not in question.

    Args:
        findings: the excess of each finding that gates, in [-1, 1].
        utility: U - needed * O on retain facts, shape (retain subjects, audits).
        alpha: error rate.
        needed: share of the original's hits on retain facts that must be left.
        draws: Monte Carlo draws.
    """
    failed = fails(findings, utility, alpha=alpha, needed=needed, draws=draws)
    kept = gaffke_bounds(utility, -needed, 1.0, alpha, draws, SEED)[0] >= -TOLERANCE
    clean = np.all([passes(one, lo=-1.0, hi=1.0, alpha=alpha, draws=draws) for one in findings], axis=0)
    return clean & kept & ~failed, failed


def fails(
    findings: Sequence[FloatArray], utility: FloatArray, *, alpha: float, needed: float, draws: int = DRAWS
) -> BoolArray:
    """Whether a finding or utility fails, shape (audits,); arguments as for `verdicts`."""
    family = len(findings) + 1
    level = alpha / family  # of Holm's first step: one fails if any does
    broken = p_values(-utility, lo=-1.0, hi=needed, level=level, draws=draws)
    smallest = np.min([picked_p_values(one, lo=-1.0, hi=1.0, level=level, draws=draws) for one in findings], axis=0)
    failed: BoolArray = np.minimum(broken, smallest) * family <= alpha
    return failed


def passes(values: FloatArray, *, lo: float, hi: float, alpha: float, draws: int = DRAWS) -> BoolArray:
    """Whether every upper bound over controls and cells is at most 0, shape (audits,).

    The cells are taken one after the other, and an audit that one of them has spoilt is not looked at again.
    """
    passed: BoolArray = passing_cells(values, lo=lo, hi=hi, alpha=alpha, draws=draws) == values.shape[2]
    return passed


def passing_cells(values: FloatArray, *, lo: float, hi: float, alpha: float, draws: int = DRAWS) -> NDArray[np.intp]:
    """How many cells pass before the first that does not, shape (audits,)."""
    passed = np.full(values.shape[3], values.shape[2], dtype=np.intp)
    alive = np.arange(values.shape[3])
    for place in range(values.shape[2]):
        columns = values[:, :, place, alive]
        clean = bounded(columns.reshape(len(columns), -1), lo, hi, alpha, draws).reshape(-1, len(alive)).all(axis=0)
        passed[alive[~clean]] = place
        alive = alive[clean]
        if not alive.size:
            break
    return passed


def picked_p_values(values: FloatArray, *, lo: float, hi: float, level: float, draws: int = DRAWS) -> FloatArray:
    """`statistics.picked_p_value`, shape (audits,); exact wherever it could be below `level`.

    Args:
        values: see the module.
        lo: least possible value; `hi` largest.
        hi: see `lo`.
        level: largest p-value that matters to the caller.
        draws: Monte Carlo draws.
    """
    cells = values.shape[2]
    if cells > FEW_CELLS:
        return crossed_p_values(values, lo=lo, hi=hi, level=level, draws=draws)
    one_cell = p_values(values.reshape(len(values), -1), lo=lo, hi=hi, level=level / cells, draws=draws)
    worst_control = one_cell.reshape(values.shape[1:]).max(axis=0)
    picked: FloatArray = np.minimum(1.0, cells * worst_control.min(axis=0))
    return picked


def crossed_p_values(values: FloatArray, *, lo: float, hi: float, level: float, draws: int = DRAWS) -> FloatArray:
    """Cross-fitting, shape (audits,): a cell is picked on the first half of the rows, tested on the rest, and back.

    Subjects are alike here, so that any halves do; else as `picked_p_values`.
    """
    half = -(-len(values) // 2)
    audits = np.arange(values.shape[3])
    p = []
    for picking, testing in ((values[:half], values[half:]), (values[half:], values[:half])):
        worst = picking.mean(axis=0).min(axis=0).argmax(axis=0)
        tested = testing[:, :, worst, audits]
        one = p_values(tested.reshape(len(tested), -1), lo=lo, hi=hi, level=level / 2.0, draws=draws)
        p.append(one.reshape(tested.shape[1:]).max(axis=0))
    crossed: FloatArray = np.minimum(1.0, 2.0 * np.minimum(*p))
    return crossed


def p_values(columns: FloatArray, *, lo: float, hi: float, level: float, draws: int = DRAWS) -> FloatArray:
    """`gaffke_p_value` at 0 for each column; from a few draws alone where it is surely above `level`."""
    found = np.ones(columns.shape[1])
    open_ = np.flatnonzero(columns.sum(axis=0) + lo > 0.0)  # all others: 0.36 or more
    if open_.size:
        found[open_] = gaffke_p_value(columns[:, open_], lo, hi, 0.0, _FIRST_DRAWS, SEED)
    near = found <= max(_NEAR, 4.0 * level)
    if near.any():
        found[near] = gaffke_p_value(columns[:, near], lo, hi, 0.0, draws, SEED)
    return found


def bounded(columns: FloatArray, lo: float, hi: float, alpha: float, draws: int = DRAWS) -> BoolArray:
    """Whether the upper bound of each column is at most 0, shape (columns,)."""
    clean: BoolArray = np.max([_markov(columns, hi, share / hi) for share in _TILTS], axis=0) >= _SURE / alpha
    unclear = np.flatnonzero(~clean & (columns.sum(axis=0) + hi < 0.0))
    if not unclear.size:
        return clean
    # Audits with the same values, in whatever order, have the same bounds: each is computed once.
    ordered = np.sort(columns[:, unclear], axis=0)
    _, first, alike = np.unique(_fingerprints(ordered), return_index=True, return_inverse=True)
    clean[unclear] = _bounded(ordered[:, first], lo, hi, alpha, draws)[alike]
    return clean


def _fingerprints(columns: FloatArray) -> NDArray[np.int64]:
    """One number a column, equal for equal columns and (but for one pair in 2 ** 64) for no others."""
    multipliers = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, (len(columns), 1))
    prints: NDArray[np.int64] = (np.ascontiguousarray(columns).view(np.int64) * multipliers).sum(axis=0)
    return prints


def _bounded(columns: FloatArray, lo: float, hi: float, alpha: float, draws: int) -> BoolArray:
    clean = np.zeros(columns.shape[1], dtype=bool)
    open_ = np.arange(columns.shape[1])
    for stage, from_, to in _STAGES:
        rough = gaffke_p_value(-columns[:, open_], -hi, -lo, 0.0, stage, SEED)  # of "the mean is at least 0"
        clean[open_] = rough <= from_ * alpha
        open_ = open_[(rough > from_ * alpha) & (rough < to * alpha)]
        if not open_.size:
            return clean
    clean[open_] = gaffke_bounds(columns[:, open_], lo, hi, alpha, draws, SEED)[1] <= TOLERANCE
    return clean


def _markov(columns: FloatArray, hi: float, tilt: float) -> FloatArray:
    """1 over Markov's bound of the p-value of "the mean is at least 0", shape (columns,)."""
    inverse: FloatArray = np.prod(1.0 - tilt * columns, axis=0) * (1.0 - tilt * hi)
    return inverse
