"""Two groups of subjects with one score each (forget and holdout, say): does the score tell them apart, and how well?

Pure, arrays in. A group estimate has an interval that keeps its width where every pair is in order (an AUC of 1 from 20
and 20 subjects has a lower bound of 0.86, not of 1), and a null of its own: labels permuted by subject, exact where
there are few. The interval says how far apart the groups can be, the null whether they can be told apart at all.

**Orientation.** An AUC above 0.5 says that members score higher, below 0.5 that others do. Either way the groups are
*distinguishable*: an AUC far below 0.5 is a trace, never "more forgotten". That is why the null is two-sided.

**AUC** is a U-statistic over n members and m others, an average over all ways of pairing k = min(n, m) of them, so that
P(AUC_observed >= u) <= exp(-k KL(u || AUC)) (Hoeffding 1963, section 5, with his Theorem 1 in place of the weaker
square). The bound is that inequality solved for AUC: it holds for any distributions and any ties, and at an AUC of 1 it
is alpha ** (1 / k), the exact binomial one. Intervals from a normal approximation (DeLong, Brunner-Munzel) are about
half as wide in the middle and have no width there; docs/statistics.md has the numbers.

**Detection accuracy** is that of the best cut, (1 + K) / 2 with K the two-sided Kolmogorov-Smirnov distance: equal
weight to both groups, and a detector may say "low means member". The best cut is picked on the same subjects, so that
the estimate is too high for small groups; the interval holds for every cut at once, and so for the picked one, and the
null picks in every permutation as the estimate did.

scipy is imported where it is used: plug-ins are listed, and finished runs judged, without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from unlearn_audit.errors import AuditError
from unlearn_audit.statistics.bounds import FloatArray, gaffke_bounds, gaffke_p_value

_BATCH = 1_000  # permutations held at a time
_DRAWS = 20_000  # of Gaffke's bound


@dataclass(frozen=True, kw_only=True)
class GroupEstimate:
    """How well a score tells members from others.

    Attributes:
        estimate: in [0, 1]; 0.5 is what an AUC is expected to be where nothing differs.
        lower: holds at 1 - alpha.
        upper: holds at 1 - alpha.
        p_value: of "both groups are alike", two-sided; never 0.
        members: subjects; `others` likewise.
    """

    estimate: float
    lower: float
    upper: float
    p_value: float
    alpha: float
    members: int
    others: int

    @property
    def distinguishable(self) -> bool:
        """Whether the groups are proven to differ, in whichever direction. False proves nothing."""
        return self.p_value <= self.alpha


def auc(
    members: FloatArray, others: FloatArray, *, alpha: float = 0.05, permutations: int = 9_999, seed: int = 0
) -> GroupEstimate:
    """P(a member scores higher than another) + half of P(they score the same).

    Args:
        members: one score a subject, shape (members,).
        others: shape (others,); subjects that are not among the members.
        alpha: error rate of either bound, and of `distinguishable`.
        permutations: of the labels; all there are, where they are no more than this.
        seed: of the permutations.

    Raises:
        AuditError: a group is empty, or a score is NaN or infinite.
    """
    from scipy.stats import rankdata

    scores = _pooled(members, others)
    ranks = rankdata(scores)
    count, rest = len(members), len(others)
    estimate = float((ranks[:count].sum() - count * (count + 1) / 2) / (count * rest))
    lower, upper = auc_bounds(estimate, min(count, rest), alpha)
    p_value = _permuted(ranks, count, _surplus, "two-sided", permutations, seed)
    return GroupEstimate(
        estimate=estimate, lower=lower, upper=upper, p_value=p_value, alpha=alpha, members=count, others=rest
    )


def auc_bounds(estimate: float, pairs: int, alpha: float) -> tuple[float, float]:
    """Bounds of the AUC, each one-sided at 1 - alpha.

    Args:
        estimate: the AUC observed.
        pairs: the size of the smaller group.
        alpha: in (0, 1).
    """
    reach = math.log(1.0 / alpha) / pairs
    return _least_mean(estimate, reach), 1.0 - _least_mean(1.0 - estimate, reach)


def detection_accuracy(
    members: FloatArray, others: FloatArray, *, alpha: float = 0.05, permutations: int = 9_999, seed: int = 0
) -> GroupEstimate:
    """Mean of the two groups' shares on the right side of the best cut; at least 0.5.

    Arguments and errors as for `auc`. Both bounds hold together at 1 - alpha, for discrete scores too: each group's
    distribution function is off by more than `kstwo.isf(alpha / 2)` nowhere, with that probability.
    """
    from scipy.stats import ks_2samp, rankdata

    scores = _pooled(members, others)
    count, rest = len(members), len(others)
    distance = float(ks_2samp(members, others, method="asymp").statistic)
    reach = _deviation(count, alpha / 2.0) + _deviation(rest, alpha / 2.0)
    return GroupEstimate(
        estimate=(1.0 + distance) / 2.0,
        lower=(1.0 + max(0.0, distance - reach)) / 2.0,
        upper=(1.0 + min(1.0, distance + reach)) / 2.0,
        p_value=_permuted(rankdata(scores, method="dense"), count, _distances, "greater", permutations, seed),
        alpha=alpha,
        members=count,
        others=rest,
    )


def share_above(members: FloatArray, others: FloatArray, *, rate: float, alpha: float = 0.05) -> GroupEstimate:
    """Share of members above the (1 - rate) quantile of the others: the true positive rate at that false one.

    The cut is the smallest score that at most `rate` of the others exceed. The interval is Clopper and Pearson's for
    the cut as it was found; what another draw of others would make of it, it leaves out. The p-value is Fisher's,
    one-sided.
    """
    from scipy.stats import binomtest, fisher_exact

    _pooled(members, others)
    allowed = math.floor(rate * len(others) + 1e-9)
    cut = np.sort(others)[len(others) - 1 - allowed]
    above, beyond = int((members > cut).sum()), int((others > cut).sum())
    found = binomtest(above, len(members))
    span = found.proportion_ci(1.0 - 2.0 * alpha, method="exact")
    table = np.array([[above, len(members) - above], [beyond, len(others) - beyond]])
    return GroupEstimate(
        estimate=above / len(members),
        lower=float(span.low),
        upper=float(span.high),
        p_value=float(fisher_exact(table, alternative="greater").pvalue),
        alpha=alpha,
        members=len(members),
        others=len(others),
    )


def roc(members: FloatArray, others: FloatArray) -> tuple[list[float], list[float]]:
    """False and true positive rates at cuts that let through 0, 1, 2, 3, 5, 8, ... of the others, up to all of them.

    A cut is the smallest score that no more than so many others exceed; equal scores fall on one side together, so that
    fewer may. Rates in [0, 1], of four digits: for drawing.
    """
    _pooled(members, others)
    falling = np.sort(others)[::-1]
    allowed = [0, *_fibonacci(len(others))]
    cuts = [falling[number] if number < len(falling) else -np.inf for number in allowed]
    false, true = ([round(float((group > cut).mean()), 4) for cut in cuts] for group in (others, members))
    return false, true


def _fibonacci(largest: int) -> Iterator[int]:
    """1, 2, 3, 5, 8, ... and the largest."""
    number, following = 1, 2
    while number < largest:
        yield number
        number, following = following, number + following
    yield largest


def mean_estimate(values: FloatArray, *, null: float, alpha: float = 0.05, seed: int = 0) -> GroupEstimate:
    """The mean of independent values in [0, 1], with Gaffke's bounds, which hold for any distribution.

    The p-value is of "the mean is `null`", two-sided.

    Raises:
        AuditError: no value, or one outside [0, 1].
    """
    if values.ndim != 1 or not len(values) or values.min() < 0.0 or values.max() > 1.0:
        raise AuditError("a mean needs one value or more, each in [0, 1]")
    column = values.astype(np.float64)[:, None]
    lower, upper = gaffke_bounds(column, 0.0, 1.0, alpha, _DRAWS, seed)
    above = gaffke_p_value(column, 0.0, 1.0, null, _DRAWS, seed)[0]
    below = gaffke_p_value(1.0 - column, 0.0, 1.0, 1.0 - null, _DRAWS, seed)[0]
    return GroupEstimate(
        estimate=float(values.mean()),
        lower=float(lower[0]),
        upper=float(upper[0]),
        p_value=float(min(1.0, 2.0 * min(above, below))),
        alpha=alpha,
        members=len(values),
        others=0,
    )


@lru_cache(maxsize=64)
def _deviation(size: int, alpha: float) -> float:
    """What the distance of an empirical distribution function of `size` values from the true one exceeds with alpha."""
    from scipy.stats import kstwo

    return float(kstwo.isf(alpha, size))


def _pooled(members: FloatArray, others: FloatArray) -> FloatArray:
    if members.ndim != 1 or others.ndim != 1 or not len(members) or not len(others):
        raise AuditError(
            f"two groups need at least one score each, in vectors; got the shapes {members.shape} and {others.shape}"
        )
    scores = np.concatenate([members, others]).astype(np.float64)
    if not np.isfinite(scores).all():
        raise AuditError("a group's scores must be numbers; found one that is not. Was a missing score not left out?")
    return scores


def _least_mean(observed: float, reach: float) -> float:
    """The smallest mean in [0, observed] whose divergence from `observed`, KL(observed || mean), is at most `reach`."""
    from scipy.optimize import brentq
    from scipy.special import rel_entr

    def beyond(mean: float) -> float:
        return float(rel_entr(observed, mean) + rel_entr(1.0 - observed, 1.0 - mean)) - reach

    if observed <= 0.0:
        return 0.0
    if observed >= 1.0:
        return math.exp(-reach)
    return float(brentq(beyond, 1e-300, observed, xtol=1e-12))


def _permuted(
    ranks: FloatArray,
    members: int,
    statistic: Callable[[FloatArray, FloatArray, int], FloatArray],
    alternative: Literal["two-sided", "greater"],
    permutations: int,
    seed: int,
) -> float:
    from scipy.stats import permutation_test

    result = permutation_test(
        (ranks[:members], ranks[members:]),
        statistic,
        permutation_type="independent",
        vectorized=True,
        n_resamples=permutations,
        batch=_BATCH,
        alternative=alternative,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def _surplus(members: FloatArray, others: FloatArray, axis: int) -> FloatArray:
    """Rank sum of members over that of others: orders permutations as the AUC does, and is exact."""
    surplus: FloatArray = np.sum(members, axis=axis) - np.sum(others, axis=axis)
    return surplus


def _distances(members: FloatArray, others: FloatArray, axis: int) -> FloatArray:
    """Two-sided Kolmogorov-Smirnov distance of each pair of rows, ties taken together."""
    count, rest = members.shape[axis], others.shape[axis]
    both = np.moveaxis(np.concatenate([members, others], axis=axis), axis, -1)
    order = np.argsort(both, axis=-1, kind="stable")
    steps = np.where(order < count, 1.0 / count, -1.0 / rest)
    ordered = np.take_along_axis(both, order, axis=-1)
    ends = np.append(ordered[..., 1:] > ordered[..., :-1], np.ones((*ordered.shape[:-1], 1), dtype=bool), axis=-1)
    distance: FloatArray = np.max(np.abs(np.cumsum(steps, axis=-1)) * ends, axis=-1)
    return np.round(distance, 12)  # equal distances are equal, in whichever order they were summed
