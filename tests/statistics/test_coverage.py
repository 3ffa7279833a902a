"""One-sided 95 % bounds cover at least 94 %: a slice of the grid whose whole stands in docs/statistics.md.

The slice holds the corners of the grid, where values are all equal or far apart, and the settings in which the whole
grid found the lowest coverage. 4,000 audits have a standard error of 0.34 points; a setting below 94.5 % is measured
again on 40,000 fresh ones (`coverage.measure`), so that 94 and 95 % are told apart by nine standard errors.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from benchmarks.simulation import coverage
from benchmarks.simulation.coverage import Setting, grid, measure, worlds
from unlearn_audit.statistics.bounds import gaffke_bounds


def setting(subjects: int, facts: int, unlearned: float, control: float, **changes: float | str) -> Setting:
    place: dict[str, float | str] = {"scores": "hits", "original": 1.0, "correlation": 0.0, **changes}
    return Setting(subjects=subjects, facts=facts, unlearned=unlearned, control=control, **place)  # type: ignore[arg-type]


CORNERS = [
    setting(subjects, facts, unlearned, control, correlation=correlation)
    for subjects, facts, (unlearned, control), correlation in product(
        (10, 200), (1, 20), ((0.0, 0.0), (0.01, 0.0), (0.0, 0.5), (0.5, 0.5)), (0.0, 0.5)
    )
    if facts > 1 or correlation == 0.0
]
LOWEST = [
    setting(60, 1, 0.0, 0.05),
    setting(200, 1, 0.2, 0.01),
    setting(200, 1, 0.01, 0.5),
    setting(200, 5, 0.0, 0.5, original=0.9, correlation=0.5),
    setting(200, 1, 0.5, 0.01, original=0.9),
    setting(200, 20, 0.0, 0.5, original=0.9, correlation=0.5),
    setting(200, 5, 0.0, 0.5, original=-1.0, correlation=0.5),
    setting(60, 1, 0.0, 0.5, original=-1.0),
    setting(200, 1, 0.5, 0.5, original=0.9),
]
SOFT = [
    setting(subjects, 1, unlearned, control, scores="soft", original=original, correlation=spread)
    for (subjects, spread), (unlearned, control), original in product(
        ((10, 0.3), (60, 0.05), (200, 0.3)), ((0.01, 0.5), (0.5, 0.05)), (0.9, -1.0)
    )
]


@pytest.mark.parametrize("one", [*CORNERS, *LOWEST, *SOFT], ids=str)
def test_both_bounds_cover(one: Setting) -> None:
    found = measure(one, np.random.default_rng(1))
    assert min(found["lower"], found["upper"]) >= 0.94


@pytest.mark.parametrize("one", LOWEST[1:3], ids=str)
def test_a_bound_that_errs_at_eight_per_cent_would_be_seen(one: Setting) -> None:
    lower, upper = coverage.coverage(one, np.random.default_rng(1), 8_000, alpha=0.08)
    assert min(lower, upper) < 0.94


def test_the_grid_is_the_one_that_is_promised() -> None:
    settings = list(grid())
    hits = [one for one in settings if one.scores == "hits" and one.original == 1.0]
    assert {one.subjects for one in hits} == {10, 20, 60, 200}
    assert {one.facts for one in hits} == {1, 5, 20}
    rates = {0.0, 0.01, 0.05, 0.2, 0.5}
    assert {(one.unlearned, one.control) for one in hits} == set(product(rates, rates))
    assert {one.correlation for one in hits if one.facts > 1} == {0.0, 0.2, 0.5}
    assert len(hits) == 4 * (1 + 3 + 3) * 25
    assert set(LOWEST) | set(SOFT) <= {*settings, *(mirrored(one) for one in settings)}


def mirrored(one: Setting) -> Setting:
    """U - C for C - U, which the grid leaves out."""
    return replace(one, unlearned=one.control, control=one.unlearned) if one.original < 0 else one


@pytest.mark.parametrize("one", [LOWEST[0], LOWEST[3], SOFT[4]], ids=str)
def test_coverage_is_that_of_the_bounds_themselves(one: Setting) -> None:
    lower, upper = gaffke_bounds(worlds(one, np.random.default_rng(2), 1_000), -1.0, 1.0, 0.05, 10_000, 0)
    slow = np.mean(lower <= one.truth + 1e-9), np.mean(upper >= one.truth - 1e-9)
    # The lower bound is taken as the mirror image of the upper one, whose draws are not the same.
    assert coverage.coverage(one, np.random.default_rng(2), 1_000) == pytest.approx(slow, abs=0.004)


@pytest.mark.parametrize("original", [-1.0, 0.9])
def test_values_have_the_mean_that_is_to_be_covered(original: float) -> None:
    one = setting(200, 5, 0.2, 0.05, original=original, correlation=0.2)
    # By hand: 0.2 - 0.05, and 0.2 - 0.9 * 0.05 - 0.1 * 0.9.
    assert one.truth == pytest.approx(0.15 if original < 0 else 0.065)
    assert worlds(one, np.random.default_rng(0), 2_000).mean() == pytest.approx(one.truth, abs=0.002)


@pytest.mark.parametrize("facts", [1, 5])
def test_the_mean_of_the_very_subjects_at_hand_is_covered_too(facts: int) -> None:
    # Subjects who differ, and stay the same from audit to audit: only their answers are drawn anew. Their values are
    # not alike, so that the theorem says nothing; they spread less than a sample of subjects would.
    rng = np.random.default_rng(0)
    rates = rng.beta(0.2, 1.8, (60, 1))
    hits = rng.binomial(facts, np.broadcast_to(rates, (60, 4_000))) / facts
    lower, upper = gaffke_bounds(hits, 0.0, 1.0, 0.05, 10_000, 0)
    assert np.mean(lower <= rates.mean()) >= 0.945
    assert np.mean(upper >= rates.mean()) >= 0.945
