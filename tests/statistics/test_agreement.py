"""Cohen's kappa beside that of statsmodels, and where it has no value."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from unlearn_audit.statistics.agreement import kappa


def test_kappa_by_hand() -> None:
    # 15 of 20 agree; by chance (10 * 11 + 10 * 9) / 400 = 0.5.
    assert kappa([[8, 2], [3, 7]]) == pytest.approx((0.75 - 0.5) / 0.5)
    assert kappa([[5, 0], [0, 5]]) == 1.0
    assert kappa([[0, 5], [5, 0]]) == -1.0


@pytest.mark.parametrize(
    "table", [[], [[0, 0], [0, 0]], [[9, 0], [0, 0]], [[0, 0], [0, 9]], [[0] * 3, [0, 4, 0], [0] * 3]]
)
def test_kappa_has_no_value_where_nothing_varies(table: list[list[int]]) -> None:
    assert kappa(table) is None


@pytest.mark.slow  # importing statsmodels takes ten times as long as the test
@settings(max_examples=200, deadline=None)
@given(
    st.integers(2, 4).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 99), min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
def test_kappa_is_that_of_statsmodels(table: list[list[int]]) -> None:
    from statsmodels.stats.inter_rater import cohens_kappa

    found = kappa(table)
    assume(found is not None)
    assert found == pytest.approx(float(cohens_kappa(table, return_results=False)), abs=1e-12)
