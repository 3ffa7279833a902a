"""Exact tests of counts by hand and beside scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta as beta_distribution
from scipy.stats import betabinom, binom

from unlearn_audit.errors import AuditError
from unlearn_audit.statistics.counts import correlation, most_guesses, shortfall_p_value, tail, upper_rate


def test_an_upper_rate_by_hand() -> None:
    # No hit of 20: (1 - p) ** 20 = 0.05.
    assert upper_rate(0, 20, 0.05) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert upper_rate(20, 20, 0.05) == 1.0
    assert upper_rate(0, 0, 0.05) == 1.0
    with pytest.raises(AuditError, match="expected between 0 and 3 hits, got 4"):
        upper_rate(4, 3, 0.05)


@pytest.mark.parametrize(("hits", "facts"), [(1, 10), (7, 120), (30, 60), (119, 120)])
def test_an_upper_rate_is_that_of_clopper_and_pearson(hits: int, facts: int) -> None:
    assert upper_rate(hits, facts, 0.025) == pytest.approx(beta_distribution.ppf(0.975, hits + 1, facts - hits))


@pytest.mark.parametrize(("hits", "facts", "rate"), [(3, 3, 0.1), (5, 20, 0.02), (1, 1, 0.3), (0, 4, 0.2), (5, 4, 0.2)])
def test_a_tail_is_that_of_the_binomial(hits: int, facts: int, rate: float) -> None:
    assert tail(hits, facts, rate, 0.0) == pytest.approx(binom.sf(hits - 1, facts, rate))


@pytest.mark.parametrize("together", [0.1, 0.5, 0.9])
def test_a_tail_is_that_of_the_beta_binomial(together: float) -> None:
    strength = (1 - together) / together
    wanted = betabinom.sf(3, 6, 0.2 * strength, 0.8 * strength)
    assert tail(4, 6, 0.2, together) == pytest.approx(wanted)


def test_the_ends_of_a_tail() -> None:
    assert (tail(1, 3, 0.0, 0.0), tail(1, 3, 1.0, 0.0), tail(0, 3, 0.5, 0.5)) == (0.0, 1.0, 1.0)


def test_hits_that_go_together_wholly_or_not_at_all() -> None:
    facts = np.full(40, 5.0)
    assert correlation(np.array([5.0, 0.0] * 20), facts) == pytest.approx(0.99)
    assert correlation(np.full(40, 1.0), facts) == 0.0
    assert correlation(np.zeros(40), facts) == 0.0
    assert correlation(np.array([1.0, 0.0]), np.ones(2)) == 0.0  # one fact each says nothing


def test_a_correlation_is_found_again() -> None:
    rng = np.random.default_rng(0)
    strength = (1 - 0.3) / 0.3
    hits = rng.binomial(8, rng.beta(0.2 * strength, 0.8 * strength, 4_000))
    assert correlation(hits.astype(float), np.full(4_000, 8.0)) == pytest.approx(0.3, abs=0.03)


def test_how_often_so_few_would_be_guessed_by_hand() -> None:
    # 3 hits fall on 4 facts of the checkpoint and 8 of the controls; at most 1 on the 4: (C(8,3) + 4 C(8,2)) / C(12,3).
    assert shortfall_p_value(1, 4, 2, 8, 1.0) == pytest.approx((56 + 4 * 28) / 220)
    assert shortfall_p_value(2, 8, 4, 16, 2.0) == pytest.approx((56 + 4 * 28) / 220)  # two that go together are one
    assert shortfall_p_value(-1, 4, 2, 8, 3.0) == 0.0  # it shows fewer than it would know
    assert shortfall_p_value(0, 4, 0, 8, 1.0) == 1.0  # against controls that guess nothing, nothing shown is a guess


@pytest.mark.parametrize(("rate", "share"), [(0.02, 0.95), (0.1, 0.99), (0.4, 0.5)])
def test_the_most_guesses_are_a_quantile(rate: float, share: float) -> None:
    assert most_guesses(120, rate, 1.0, share) == binom.ppf(share, 120, rate)
    assert most_guesses(120, rate, 2.0, share) == 2 * binom.ppf(share, 60, rate)
    assert (most_guesses(120, 0.0, 1.0, share), most_guesses(120, 1.0, 1.0, share)) == (0.0, 120.0)
