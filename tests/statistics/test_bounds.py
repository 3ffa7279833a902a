"""The bounds and tests against hand-derived values, a slow obvious version, and simulated worlds of known mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearn_audit.errors import AuditError
from unlearn_audit.statistics import bounds as statistics
from unlearn_audit.statistics.bounds import (
    FEW_CELLS,
    FloatArray,
    Sample,
    cross_fitted_p_value,
    first_half,
    gaffke_bounds,
    gaffke_p_value,
    holm,
    picked_p_value,
)

DRAWS = 20_000


def bounds(values: FloatArray, lo: float = 0.0, hi: float = 1.0, alpha: float = 0.05) -> tuple[FloatArray, FloatArray]:
    return gaffke_bounds(values, lo, hi, alpha, DRAWS, 0)


def slow_bounds(values: FloatArray, lo: float, hi: float, alpha: float) -> tuple[float, float]:
    """The definition, word for word: no stratification, no sorting, no ranks."""
    weights = np.random.default_rng(1).dirichlet(np.ones(len(values) + 1), size=200_000)
    upper = np.quantile(weights @ np.append(values, hi), 1 - alpha)
    lower = np.quantile(weights @ np.append(values, lo), alpha)
    return float(lower), float(upper)


@pytest.mark.parametrize("size", [1, 2, 10, 29, 59, 299])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_zero_of_n_gives_the_exact_binomial_bound(size: int, alpha: float) -> None:
    lower, upper = bounds(np.zeros(size), alpha=alpha)
    assert float(upper) == pytest.approx(1 - alpha ** (1 / size), rel=1e-4)
    assert float(lower) == 0.0


@pytest.mark.parametrize("size", [1, 7, 40])
def test_n_of_n_gives_the_exact_binomial_bound(size: int) -> None:
    lower, upper = bounds(np.ones(size))
    assert float(lower) == pytest.approx(0.05 ** (1 / size), rel=1e-4)
    assert float(upper) == 1.0


def test_one_value_moves_uniformly_towards_the_end_of_the_range() -> None:
    # S = 1: w_2 is uniform, so that the statistic is 0.2 + w (1 - 0.2), its 95 % point 0.2 + 0.95 * 0.8.
    lower, upper = bounds(np.array([0.2]))
    assert float(upper) == pytest.approx(0.96, abs=1e-4)
    assert float(lower) == pytest.approx(0.2 * 0.05, abs=1e-4)


@pytest.mark.parametrize("size", [3, 12, 50])
def test_agrees_with_the_definition_carried_out_slowly(size: int) -> None:
    values = np.random.default_rng(size).beta(0.4, 1.2, size) * 2 - 1
    lower, upper = bounds(values, lo=-1.0)
    slow_lower, slow_upper = slow_bounds(values, -1.0, 1.0, 0.05)
    assert float(lower) == pytest.approx(slow_lower, abs=0.012)
    assert float(upper) == pytest.approx(slow_upper, abs=0.012)


def test_the_lower_bound_is_the_upper_bound_of_the_mirror_image() -> None:
    values = np.random.default_rng(3).uniform(-1, 1, 25)
    lower, upper = bounds(values, lo=-1.0)
    mirrored_lower, mirrored_upper = bounds(-values, lo=-1.0)
    assert float(lower) == pytest.approx(-float(mirrored_upper), abs=0.01)
    assert float(upper) == pytest.approx(-float(mirrored_lower), abs=0.01)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_subjects_cannot_move_a_bound(values: list[float], random: object) -> None:
    shuffled = sorted(values, key=lambda _: random.random())  # type: ignore[attr-defined]
    first = gaffke_bounds(np.array(values), 0.0, 1.0, 0.05, 1000, 0)
    second = gaffke_bounds(np.array(shuffled), 0.0, 1.0, 0.05, 1000, 0)
    assert np.array_equal(first, second)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_more_recovered_never_lowers_a_bound(pairs: list[tuple[float, float]]) -> None:
    less, more = np.array([min(pair) for pair in pairs]), np.array([max(pair) for pair in pairs])
    (low, high), (low_more, high_more) = (gaffke_bounds(one, 0.0, 1.0, 0.05, 1000, 0) for one in (less, more))
    assert low_more >= low - 1e-12
    assert high_more >= high - 1e-12


def test_columns_together_are_columns_alone() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (15, 6))
    lower, upper = bounds(values, lo=-1.0)
    for column in range(6):
        alone = bounds(values[:, column], lo=-1.0)
        assert (lower[column], upper[column]) == pytest.approx((float(alone[0]), float(alone[1])), abs=1e-12)


def test_each_column_may_have_its_own_range() -> None:
    lower, upper = gaffke_bounds(np.zeros((10, 2)), np.array([-1.0, 0.0]), np.array([0.0, 2.0]), 0.05, DRAWS, 0)
    reach = 1 - 0.05 ** (1 / 10)
    assert upper.tolist() == pytest.approx([0.0, 2 * reach], rel=1e-3)
    assert lower.tolist() == pytest.approx([-reach, 0.0], rel=1e-3)


def test_blocks_bound_the_memory_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).uniform(0, 1, (15, 7))
    whole = (*bounds(values), gaffke_p_value(values, 0.0, 1.0, 0.4, DRAWS, 0))
    monkeypatch.setattr(statistics, "_WEIGHTS_IN_MEMORY", 1000)
    monkeypatch.setattr(statistics, "_MIXTURES_IN_MEMORY", 2 * DRAWS)
    blocked = (*bounds(values), gaffke_p_value(values, 0.0, 1.0, 0.4, DRAWS, 0))
    for one, other in zip(whole, blocked, strict=True):
        assert one == pytest.approx(other, abs=1e-12)


def test_too_few_draws_for_an_alpha_prove_nothing() -> None:
    lower, upper = gaffke_bounds(np.full(50, 0.5), 0.0, 1.0, 0.0005, 1000, 0)
    assert (float(lower), float(upper)) == (0.0, 1.0)


@pytest.mark.parametrize("size", [1, 5, 20])
@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_p_value_of_n_of_n_is_the_binomial_one(size: int, threshold: float) -> None:
    # 1 - w <= t with w ~ Beta(1, S) has probability t ** S.
    p_value = gaffke_p_value(np.ones(size), 0.0, 1.0, threshold, DRAWS, 0)
    assert float(p_value) == pytest.approx(threshold**size, abs=2 / DRAWS)


def test_a_p_value_is_never_zero_and_a_tie_counts_for_the_hypothesis() -> None:
    assert float(gaffke_p_value(np.ones(500), 0.0, 1.0, 0.1, DRAWS, 0)) == pytest.approx(1 / (DRAWS + 1))
    assert float(gaffke_p_value(np.full(500, 0.1), 0.0, 1.0, 0.1, DRAWS, 0)) == 1.0


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=10), st.floats(0.01, 0.4))
def test_lower_bound_and_p_value_say_the_same(values: list[float], alpha: float) -> None:
    sample = np.array(values)
    lower = float(gaffke_bounds(sample, -1.0, 1.0, alpha, 1000, 0)[0])
    if lower > -1.0 + 1e-6:
        assert gaffke_p_value(sample, -1.0, 1.0, lower - 1e-6, 1000, 0) <= alpha
        assert gaffke_p_value(sample, -1.0, 1.0, lower + 1e-6, 1000, 0) > alpha


@pytest.mark.parametrize("values", [np.array([0.5, np.nan]), np.array([1.1]), np.array([-0.2]), np.zeros(0)])
def test_what_is_no_value_in_the_range_is_refused(values: FloatArray) -> None:
    with pytest.raises(AuditError, match="value"):
        bounds(values)


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_an_alpha_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(AuditError, match="alpha"):
        bounds(np.zeros(3), alpha=alpha)


def test_rounding_beyond_the_range_is_forgiven() -> None:
    assert float(bounds(np.array([1.0 + 1e-12, 1.0]))[1]) == 1.0


# Coverage in worlds of known mean.


def clustered(rng: np.random.Generator, rate: float, correlation: float, shape: tuple[int, int]) -> FloatArray:
    """Subject means over 3 facts with one rate, whose hits correlate inside a subject (beta-binomial)."""
    if rate in (0.0, 1.0) or correlation == 0.0:
        chances = np.full(shape, rate)
    else:
        spread = (1 - correlation) / correlation
        chances = rng.beta(rate * spread, (1 - rate) * spread, shape)
    return rng.binomial(3, chances) / 3


@pytest.mark.parametrize("size", [10, 20, 60])
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_both_bounds_cover_the_mean(size: int, correlation: float) -> None:
    rng = np.random.default_rng([size, int(10 * correlation)])
    for rate in (0.0, 0.02, 0.1, 0.3, 0.5):
        lower, upper = gaffke_bounds(clustered(rng, rate, correlation, (size, 600)), 0.0, 1.0, 0.05, 10_000, 0)
        assert np.mean(upper >= rate) >= 0.94
        assert np.mean(lower <= rate) >= 0.94


def test_a_normal_bound_would_not_cover_and_the_simulation_sees_it() -> None:
    sample = clustered(np.random.default_rng(0), 0.02, 0.0, (10, 600))
    upper = sample.mean(axis=0) + 1.833 * sample.std(axis=0, ddof=1) / math.sqrt(10)
    assert np.mean(upper >= 0.02) < 0.6


@pytest.mark.parametrize("size", [20, 60])
def test_bounds_of_paired_differences_cover(size: int) -> None:
    rng = np.random.default_rng(size)
    excess = clustered(rng, 0.3, 0.3, (size, 600)) - clustered(rng, 0.2, 0.3, (size, 600))
    lower, upper = gaffke_bounds(excess, -1.0, 1.0, 0.05, 10_000, 0)
    assert np.mean(upper >= 0.1) >= 0.94
    assert np.mean(lower <= 0.1) >= 0.94


def test_bounds_narrow_with_subjects() -> None:
    widths = [float(bounds(np.tile([0.0, 1.0], size // 2))[1]) for size in (10, 40, 160)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.58


# Families of tests.


def test_holm_by_hand() -> None:
    # Ordered 0.01, 0.03, 0.04 -> 3 * 0.01, max(0.03, 2 * 0.03), max(0.06, 0.04).
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.5, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()


@pytest.mark.slow  # importing statsmodels takes ten times as long as the test
@settings(max_examples=15, deadline=None)
@given(st.lists(st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 0.01, 0.05, 1.0])), min_size=1, max_size=40))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    assert holm(p_values) == tuple(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize("wrong", [math.nan, -0.01, 1.01, math.inf])
def test_holm_refuses_what_is_no_p_value(wrong: float) -> None:
    with pytest.raises(AuditError, match=r"p-values in \[0, 1\]"):
        holm([0.5, wrong])


NAMES = tuple(f"subject {number}" for number in range(40))


def cell(values: FloatArray, names: tuple[str, ...] = NAMES) -> Sample:
    return Sample(subjects=names, values=values.reshape(len(names), -1))


def crossed(*cells: Sample, draws: int = 10_000) -> float:
    return cross_fitted_p_value(cells, lo=-1.0, hi=1.0, draws=draws, seed=0)


def test_halves_depend_on_names_and_on_nothing_else() -> None:
    half = first_half(NAMES)
    assert half == first_half(reversed(NAMES)) == first_half((*NAMES, *NAMES))
    assert len(half) == 20
    assert half not in (frozenset(NAMES[:20]), frozenset(NAMES[::2]))
    assert len(first_half(NAMES[:7])) == 4


def test_two_cells_by_hand() -> None:
    # Each half has 20 subjects at 1 in the leaking cell: p = P(1 - w - w <= 0) = P(w >= 1/2) = 2 ** -20, under the
    # floor of 1 / 10001; then twice the smaller.
    quiet, leak = cell(np.full(40, -0.1)), cell(np.ones(40))
    assert crossed(quiet, leak) == pytest.approx(2 / 10_001)
    assert crossed(quiet, quiet) == 1.0


def test_an_excess_over_one_control_of_two_is_no_leak() -> None:
    both, one = np.full((40, 2), 0.9), np.tile([0.9, -0.1], (40, 1))
    quiet = np.full((40, 2), -0.1)
    assert crossed(cell(both), cell(quiet)) < 0.001
    assert crossed(cell(one), cell(quiet)) == 1.0
    assert crossed(cell(np.tile([1.0, -0.1], (40, 1))), cell(both)) < 0.001  # and does not hide one over both


def test_cells_may_have_subjects_of_their_own() -> None:
    leak = cell(np.full(20, 0.9), NAMES[:20])
    assert crossed(leak, cell(np.full(20, -0.1), NAMES[20:])) < 0.05
    one_subject = cell(np.ones(1), NAMES[:1])
    assert crossed(one_subject, cell(np.full(20, -0.1), NAMES[20:])) == 1.0


def test_picking_the_worst_of_many_cells_does_not_inflate_the_error() -> None:
    rng = np.random.default_rng(0)
    crossfitted, naive = [], []
    for _ in range(250):
        worlds = rng.choice([-1.0, 1.0], (40, 10))  # mean 0 in every cell: the hypothesis holds, just
        crossfitted.append(crossed(*[cell(worlds[:, place]) for place in range(10)], draws=2000))
        naive.append(gaffke_p_value(worlds, -1.0, 1.0, 0.0, 2000, 0).min())
    assert np.mean(np.array(crossfitted) <= 0.05) <= 0.06
    assert np.mean(np.array(naive) <= 0.05) > 0.2  # what the picking would cost without the second half
    assert np.mean(np.minimum(1.0, 10 * np.array(naive)) <= 0.05) <= 0.06  # and with a p-value paid for each cell


def picked(*cells: Sample, draws: int = 10_000) -> float:
    return picked_p_value(cells, lo=-1.0, hi=1.0, draws=draws, seed=0)


def test_one_cell_is_tested_on_all_subjects_and_costs_nothing() -> None:
    values = np.random.default_rng(0).uniform(-0.5, 1.0, 40)
    assert picked(cell(values)) == float(gaffke_p_value(values, -1.0, 1.0, 0.0, 10_000, 0))


def test_few_cells_pay_a_p_value_each() -> None:
    # All S subjects at 1: p = P(w_{S+1} >= 1 / 2) = 2 ** -S. Ten subjects: 2 ** -10, times the number of cells; cross-
    # fitting has halves of five, 2 * 2 ** -5 = 0.0625, and fails to see at 0.05 what is certain.
    names = NAMES[:10]
    leak, quiet = cell(np.ones(10), names), cell(np.full(10, -0.1), names)
    for others in (1, 3, 7):
        assert picked(leak, *[quiet] * others, draws=100_000) == pytest.approx((1 + others) / 1024, rel=0.02)
    assert crossed(leak, quiet, draws=100_000) == pytest.approx(2 / 32, rel=0.02)
    assert picked(quiet, quiet) == 1.0


def test_the_smallest_p_value_of_cells_with_subjects_of_their_own() -> None:
    # 2 ** -8 from eight subjects and 2 ** -4 from four, in either order, and controls that differ: the largest counts.
    eight, four = cell(np.ones(8), NAMES[:8]), cell(np.ones(4), NAMES[30:34])
    for cells in ((eight, four), (four, eight)):
        assert picked(*cells, draws=100_000) == pytest.approx(2 / 256, rel=0.02)
    over_one = cell(np.stack([np.ones(8), np.full(8, -0.1)], axis=1), NAMES[:8])
    over_both = cell(np.ones((4, 2)), NAMES[30:34])
    assert picked(over_one, over_both, draws=100_000) == pytest.approx(2 / 16, rel=0.02)
    assert picked(over_one, over_one) == 1.0


def test_which_way_the_worst_cell_is_picked_depends_on_the_number_of_cells_alone() -> None:
    rng = np.random.default_rng(0)
    cells = [cell(rng.uniform(-0.5, 0.9, 40)) for _ in range(FEW_CELLS + 1)]
    assert picked(*cells) == crossed(*cells)
    alone = [float(gaffke_p_value(one.values[:, 0], -1.0, 1.0, 0.0, 10_000, 0)) for one in cells[:-1]]
    assert picked(*cells[:-1]) == pytest.approx(min(1.0, FEW_CELLS * min(alone)))


def test_at_the_fewest_draws_the_floor_of_a_p_value_lets_fifteen_findings_fail() -> None:
    leak = cell(np.ones(40))
    assert 15 * picked(*[leak] * FEW_CELLS) <= 0.05


def test_no_cells_is_an_error() -> None:
    with pytest.raises(AuditError, match="at least one"):
        crossed()
    with pytest.raises(AuditError, match="at least one"):
        picked()
