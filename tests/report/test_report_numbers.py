"""Numbers in reports: no sign lost to rounding, nothing called all or none that is not."""

from __future__ import annotations

import pytest

from unlearn_audit.report.parts.numbers import (
    count,
    duration,
    magnitude,
    p_value,
    percent,
    percent_range,
    point_interval,
    points,
)
from unlearn_audit.verdict.result import Interval


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0.0, "0%"),
        (0.0001, "<1%"),
        (0.0049, "<1%"),
        (0.006, "1%"),
        (0.274, "27%"),
        (0.9949, "99%"),
        (0.999, ">99%"),
        (1.0, "100%"),
        (1.02, "102%"),
        (-0.014, "−1%"),
    ],
)
def test_percent(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.0001, "+<0.1"),
        (-0.0001, "−<0.1"),
        (0.004, "+0.4"),
        (-0.0094, "−0.9"),
        (0.0096, "+1"),
        (-0.0149, "−1"),
        (0.848, "+85"),
    ],
)
def test_points_keep_their_sign(difference: float | None, text: str) -> None:
    assert points(difference) == text


def test_an_interval_stands_beside_its_estimate() -> None:
    assert point_interval(Interval(estimate=0.848, lower=0.78, upper=0.898)) == "+85 [+78, +90]"
    assert point_interval(None) == "–"


def test_a_range_of_one_is_one_and_of_none_is_missing() -> None:
    assert percent_range([0.06, 0.08]) == "6% to 8%"
    assert percent_range([0.062, 0.058]) == "6%"
    assert percent_range([]) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "< 0.0001"),
        (0.00009, "< 0.0001"),
        (0.00041, "0.0004"),
        (0.0025, "0.0025"),
        (0.0134, "0.013"),
        (0.052, "0.052"),
        (0.31, "0.31"),
        (1.0, "> 0.99"),
    ],
)
def test_p_values(value: float | None, text: str) -> None:
    assert p_value(value) == text


def test_counts_times_and_sizes() -> None:
    assert [count(n, "cell") for n in (0, 1, 1200)] == ["0 cells", "1 cell", "1,200 cells"]
    assert [duration(s) for s in (0.24, 41.7, 118.2, 7_200)] == ["0.2 s", "42 s", "2 min", "2.0 h"]
    assert [magnitude(n) for n in (560, 621_312, 1_236_000, 134_515_008, 7_241_732_096)] == [
        "560",
        "621 K",
        "1.2 M",
        "135 M",
        "7.2 B",
    ]
