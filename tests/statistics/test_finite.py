"""The bound for a part of a finite whole: exact cases, coverage, and that it closes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unlearn_audit.statistics.bounds import gaffke_bounds
from unlearn_audit.statistics.finite import WORTH, closer_than_gaffke, finite_upper


def test_all_of_the_whole_has_no_doubt() -> None:
    values = np.array([[0.0, -0.4], [1.0, 0.1], [0.25, 0.3]])
    assert finite_upper(values, -1.0, 1.0, 0.05, 3, 0) == pytest.approx([1.25 / 3, 0.0])
    assert -finite_upper(-values, -1.0, 1.0, 0.05, 3, 0) == pytest.approx([1.25 / 3, 0.0])


@pytest.mark.parametrize(("drawn", "whole"), [(30, 40), (60, 80), (60, 100), (120, 150)])
def test_of_a_clean_part_it_is_at_least_the_exact_bound_and_near_it(drawn: int, whole: int) -> None:
    # None of `drawn` are bad: with K bad ones of the whole that has probability C(whole - K, drawn) / C(whole, drawn).
    most = max(k for k in range(whole - drawn + 1) if math.comb(whole - k, drawn) / math.comb(whole, drawn) > 0.05)
    found = finite_upper(np.zeros((drawn, 1)), 0.0, 1.0, 0.05, whole, 0)[0]
    assert most / whole <= found <= (most + 2) / whole


@pytest.mark.parametrize("kind", ["rare", "even", "skewed"])
def test_it_is_wrong_in_at_most_five_of_a_hundred_parts(kind: str) -> None:
    rng = np.random.default_rng(1)
    whole = {
        "rare": (np.arange(80) < 8).astype(float),
        "even": rng.uniform(-1.0, 1.0, 80),
        "skewed": rng.beta(0.2, 2.0, 80),
    }[kind]
    parts = np.stack([rng.permutation(whole)[:56] for _ in range(400)], axis=1)
    wrong = {
        "upper": finite_upper(parts, -1.0, 1.0, 0.05, 80, 0) < whole.mean(),
        "lower": -finite_upper(-parts, -1.0, 1.0, 0.05, 80, 0) > whole.mean(),
    }
    for side, one in wrong.items():
        assert one.mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400), side


def test_it_closes_on_the_mean_as_the_part_becomes_the_whole() -> None:
    values = (np.arange(60)[:, None] < 6).astype(float)
    uppers = [float(finite_upper(values, 0.0, 1.0, 0.05, whole, 0)[0]) for whole in (100, 80, 70, 62, 60)]
    assert uppers == sorted(uppers, reverse=True)
    assert uppers[-1] == pytest.approx(0.1)
    endless = float(gaffke_bounds(values, 0.0, 1.0, 0.05, 20_000, 0)[1][0])
    assert all(upper < endless for upper in uppers[1:])


def test_who_uses_it_follows_from_sizes_alone() -> None:
    assert not closer_than_gaffke(60, None)
    assert closer_than_gaffke(60, 100)
    assert not closer_than_gaffke(59, 100)
    assert WORTH == 0.6
