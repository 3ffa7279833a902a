"""Group estimates against hand-derived values, slow obvious versions and simulated groups of known separation."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from unlearn_audit.errors import AuditError
from unlearn_audit.statistics.bounds import FloatArray
from unlearn_audit.statistics.groups import auc, auc_bounds, detection_accuracy, roc

scores = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=2, max_size=6).map(np.array)


def slow_auc(members: FloatArray, others: FloatArray) -> float:
    return float(np.mean([(one > other) + 0.5 * (one == other) for one in members for other in others]))


def slow_accuracy(members: FloatArray, others: FloatArray) -> float:
    """The best of all cuts, either way round."""
    found = []
    for cut in [-np.inf, *members, *others]:
        share = (np.mean(members > cut) + np.mean(others <= cut)) / 2
        found += [share, 1 - share]
    return float(max(found))


@settings(deadline=None, max_examples=30)
@given(scores, scores)
def test_estimates_agree_with_the_definition_carried_out_slowly(members: FloatArray, others: FloatArray) -> None:
    assert auc(members, others, permutations=9).estimate == pytest.approx(slow_auc(members, others))
    found = detection_accuracy(members, others, permutations=9)
    assert found.estimate == pytest.approx(slow_accuracy(members, others))


@settings(deadline=None, max_examples=15)
@given(scores, scores)
def test_few_subjects_get_every_permutation(members: FloatArray, others: FloatArray) -> None:
    pooled = np.concatenate([members, others])
    for estimate, statistic in ((auc, slow_auc), (detection_accuracy, slow_accuracy)):
        values = []
        for chosen in combinations(range(len(pooled)), len(members)):
            mask = np.isin(np.arange(len(pooled)), chosen)
            values.append(statistic(pooled[mask], pooled[~mask]))
        seen = statistic(members, others)
        above, below = np.mean(np.array(values) >= seen - 1e-9), np.mean(np.array(values) <= seen + 1e-9)
        expected = min(1.0, 2 * min(above, below)) if estimate is auc else above
        assert estimate(members, others).p_value == pytest.approx(expected)


def test_orientation_by_hand() -> None:
    high, low = np.array([0.6, 0.7, 0.8, 0.9]), np.array([0.1, 0.2, 0.3, 0.4])
    assert (auc(high, low).estimate, auc(low, high).estimate) == (1.0, 0.0)
    assert auc(high, low).p_value == auc(low, high).p_value == pytest.approx(2 / math.comb(8, 4))
    assert detection_accuracy(low, high).estimate == detection_accuracy(high, low).estimate == 1.0
    assert detection_accuracy(low, high).p_value == pytest.approx(2 / math.comb(8, 4))  # either side is separated


@pytest.mark.parametrize("size", [1, 20, 60])
def test_a_perfect_auc_has_the_binomial_bound_and_not_none(size: int) -> None:
    assert auc_bounds(1.0, size, 0.05) == (pytest.approx(0.05 ** (1 / size)), 1.0)
    assert auc_bounds(0.0, size, 0.05) == (0.0, pytest.approx(1 - 0.05 ** (1 / size)))


def test_a_bound_by_hand() -> None:
    # KL(1/2 || q) = -ln(4 q (1 - q)) / 2 = ln(20) / 30: 4 q (1 - q) = exp(-ln(20) / 15).
    inside = math.exp(-math.log(20) / 15)
    expected = (1 - math.sqrt(1 - inside)) / 2
    assert auc_bounds(0.5, 30, 0.05) == (pytest.approx(expected), pytest.approx(1 - expected))


def test_an_auc_far_below_one_half_is_distinguishable() -> None:
    rng = np.random.default_rng(0)
    hidden = auc(rng.normal(-2, 1, 40), rng.normal(0, 1, 40), permutations=999)
    assert hidden.estimate < 0.15
    assert hidden.upper < 0.5
    assert hidden.distinguishable
    alike = auc(rng.normal(0, 1, 40), rng.normal(0, 1, 40), permutations=999)
    assert alike.lower < 0.5 < alike.upper
    assert not alike.distinguishable


def test_all_the_same_score_proves_nothing() -> None:
    same = auc(np.full(30, 0.4), np.full(30, 0.4), permutations=99)
    assert (same.estimate, same.p_value, same.distinguishable) == (0.5, 1.0, False)
    accuracy = detection_accuracy(np.full(30, 0.4), np.full(30, 0.4), permutations=99)
    assert (accuracy.estimate, accuracy.lower, accuracy.p_value) == (0.5, 0.5, 1.0)


def test_the_same_seed_gives_the_same_p_value() -> None:
    rng = np.random.default_rng(1)
    members, others = rng.normal(0.5, 1, 30), rng.normal(0, 1, 25)
    for estimate in (auc, detection_accuracy):
        assert estimate(members, others, permutations=199) == estimate(members, others, permutations=199)
        assert estimate(members, others, permutations=199).p_value >= 1 / 200


@pytest.mark.parametrize("bad", [np.zeros(0), np.zeros((2, 2)), np.array([0.1, np.nan]), np.array([np.inf])])
def test_what_is_no_group_of_scores_is_refused(bad: FloatArray) -> None:
    for estimate in (auc, detection_accuracy):
        with pytest.raises(AuditError, match="score"):
            estimate(bad, np.array([0.5, 0.6]))


@pytest.mark.parametrize(("members", "others"), [(10, 10), (15, 40)])
@pytest.mark.parametrize("shift", [0.0, 2.0])
@pytest.mark.parametrize("ties", [False, True])
def test_intervals_cover(members: int, others: int, shift: float, ties: bool) -> None:
    rng = np.random.default_rng([members, int(10 * shift), ties])
    high, low = rng.normal(shift, 1, (400, members)), rng.normal(0, 1, (400, others))
    truth, accuracy = norm.cdf(shift / math.sqrt(2)), norm.cdf(shift / 2)
    if ties:
        high, low = (high > 1).astype(float), (low > 1).astype(float)
        positive, negative = norm.sf(1 - shift), norm.sf(1)
        truth, accuracy = 0.5 + (positive - negative) / 2, 0.5 + (positive - negative) / 2
    pairs = list(zip(high, low, strict=True))
    above = [float(np.mean((one[:, None] > other) + 0.5 * (one[:, None] == other))) for one, other in pairs]
    lower, upper = np.transpose([auc_bounds(one, members, 0.05) for one in above])
    assert np.mean(lower <= truth) >= 0.94
    assert np.mean(upper >= truth) >= 0.94
    found = [detection_accuracy(one, other, permutations=1) for one, other in pairs[:150]]
    assert np.mean([one.lower <= accuracy + 1e-9 for one in found]) >= 0.94
    assert np.mean([one.upper >= accuracy - 1e-9 for one in found]) >= 0.94


def test_the_null_holds_its_level() -> None:
    rng = np.random.default_rng(2)
    for estimate in (auc, detection_accuracy):
        found = [estimate(rng.normal(size=12), rng.normal(size=20), permutations=99) for _ in range(200)]
        assert np.mean([one.distinguishable for one in found]) <= 0.09  # 0.05 and 2.6 standard errors


def test_a_roc_curve_by_hand() -> None:
    """Others 2, 1, 0: letting none of them through cuts at 2, one at 1, two at 0, all below everything."""
    assert roc(np.array([3.0, 2.0, 2.0, 0.0]), np.array([2.0, 1.0, 0.0])) == (
        [0.0, 0.3333, 0.6667, 1.0],
        [0.25, 0.75, 0.75, 1.0],
    )


def test_a_roc_curve_has_few_points_and_begins_with_single_others() -> None:
    false, true = roc(np.arange(200.0) + 100, np.arange(200.0))
    assert false[:6] == [0.0, 0.005, 0.01, 0.015, 0.025, 0.04] and false[-1] == true[-1] == 1.0
    assert len(false) == len(true) < 15 and true[0] == 0.5


@settings(deadline=None, max_examples=30)
@given(scores, scores)
def test_no_point_of_a_roc_curve_lets_more_others_through_than_it_says(members: FloatArray, others: FloatArray) -> None:
    false, true = roc(members, others)
    assert false == sorted(false) and true == sorted(true)
    for rate, share in zip(false, true, strict=True):
        shares = [float(np.mean(members > cut)) for cut in [-np.inf, *others] if np.mean(others > cut) <= rate + 1e-4]
        assert share == pytest.approx(max(shares), abs=1e-4)
