"""Numbers as a reader should see them: no more digits than a few dozen subjects support, and no sign lost."""

from __future__ import annotations

from collections.abc import Collection

from unlearn_audit.verdict.result import Interval

NONE = "–"
MINUS = "−"


def percent(share: float | None) -> str:
    """A share in whole percent; not quite all, or not quite nothing, is marked. Missing is a dash, never 0."""
    if share is None:
        return NONE
    if share < 0:
        return MINUS + percent(-share)
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{100 * share:.0f}%"


def percent_range(shares: Collection[float]) -> str:
    """Smallest to largest share, in whole percent."""
    if not shares:
        return NONE
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low} to {high}"


def points(difference: float | None) -> str:
    """A difference of shares in signed percentage points.

    Whole points, but one decimal below a point: there the sign decides, and rounding must not lose it.
    """
    if difference is None:
        return NONE
    if difference == 0:
        return "0"
    sign, size = ("+" if difference > 0 else MINUS), 100 * abs(difference)
    if size < 0.05:
        return f"{sign}<0.1"
    return f"{sign}{size:.0f}" if size >= 0.95 else f"{sign}{size:.1f}"


def point_interval(interval: Interval | None) -> str:
    """Estimate [lower, upper] in percentage points."""
    if interval is None:
        return NONE
    return f"{points(interval.estimate)} [{points(interval.lower)}, {points(interval.upper)}]"


def p_value(value: float | None) -> str:
    """A p-value in two digits at most; the smallest as a limit."""
    if value is None:
        return NONE
    if value < 0.0001:
        return "< 0.0001"
    if value > 0.99:
        return "> 0.99"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}" if value >= 0.001 else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever a reader would say."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 cell`, `12 cells`, `1,200 cells`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def magnitude(number: int) -> str:
    """A number of weights: `560`, `12 K`, `135 M`, `7.2 B`."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.1f} {letter}" if number < 10 * size else f"{number / size:.0f} {letter}"
    return str(number)
