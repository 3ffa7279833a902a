"""How far each cell can lie above the margin: by a bound on means, and for a list of facts by their count.

A count that holds is certain and a bound is wrong in one case of twenty at most: whichever is smaller is a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from unlearn_audit.plan.case import PlannedFinding
from unlearn_audit.statistics.bounds import DIGITS, TOLERANCE, FloatArray
from unlearn_audit.verdict.findings.contrasts import Contrast, Contrasts, both_bounds, contrasts_for
from unlearn_audit.verdict.findings.listed import Count, counts_of
from unlearn_audit.verdict.findings.places import Cell, FindingScores
from unlearn_audit.verdict.policy.terms import Terms
from unlearn_audit.verdict.result import Control, Interval

Counts: TypeAlias = Mapping[tuple[str, str], Count]

_HALVINGS = 10  # of the margin, in search of the smallest at which a finding still passes
_GUESSED_AT_NOBODY = (Control.CHANCE, Control.NOTHING)
"""What no bound can rest on: only a count can pass."""


def bounds_of(
    measured: Sequence[Cell], contrasts: Contrasts, counts: Counts, terms: Terms
) -> list[tuple[Cell, list[tuple[Contrast, Interval]]]]:
    """Each cell's excess over each control, with bounds; cells of equal size meet the same weights in one product."""
    excess = contrasts.excess
    found: dict[int, list[tuple[Contrast, Interval]]] = {}
    for size in sorted({len(cell.subjects) for cell in measured}):
        places = [place for place, cell in enumerate(measured) if len(cell.subjects) == size]
        cells = [measured[place] for place in places for _ in excess]
        most = np.stack([one.most(measured[place]) for place in places for one in excess], axis=1)
        least = np.stack([one.least(measured[place]) for place in places for one in excess], axis=1)
        lower, upper = both_bounds(least, most, excess[0], terms)
        upper = np.maximum(upper, _by_fact(cells, most, excess[0], terms))
        bounds = iter(zip(lower, upper, strict=True))
        for place in places:
            count = counts.get(measured[place].key)
            found[place] = [
                (one, _interval(one.estimate(measured[place]), *next(bounds), count, contrasts.control, terms))
                for one in excess
            ]
    return [(cell, found[place]) for place, cell in enumerate(measured)]


def _interval(
    estimate: float, lower: float, upper: float, count: Count | None, control: Control, terms: Terms
) -> Interval:
    if count is not None:
        counted = count.excess(terms.margin)
        upper = counted if control in _GUESSED_AT_NOBODY else min(float(upper), counted)
    return Interval(estimate=estimate, lower=float(lower), upper=float(upper))


def _by_fact(cells: Sequence[Cell], most: FloatArray, contrast: Contrast, terms: Terms) -> FloatArray:
    """Upper bounds of the mean over facts, which a mean over people can hide: shape (columns,).

    sum n_s D_s / sum n_s is the mean of (n_s / n_max) D_s times n_max over the mean n; with n_s / n_max at most 1 the
    range stays as it is. -inf where all people have equally many facts: both means are one.
    """
    upper = np.full(most.shape[1], -np.inf)
    unequal = [column for column, cell in enumerate(cells) if np.ptp(cell.sizes) > 0]
    if unequal:
        sizes = np.stack([cells[column].sizes for column in unequal], axis=1)
        values = most[:, unequal] * (sizes / sizes.max(axis=0))
        _, above = both_bounds(values, values, contrast, terms)
        upper[unequal] = np.round(above * sizes.max(axis=0) / sizes.mean(axis=0), DIGITS)
    return upper


def smallest_margin(planned: PlannedFinding, scores: FindingScores, terms: Terms) -> float:
    """The smallest margin at which a finding that passed would still pass, to a thousandth of its own, rounded up.

    A test inverted: with confidence 1 - alpha no cell brings back a larger share of the original's knowledge. Every
    cell holds its own bound, so that the largest of them needs no correction, as in the pass itself.
    """
    counts = counts_of(scores, terms)  # of facts, whatever the margin

    def uppers(margin: float, cells: Sequence[Cell]) -> list[float]:
        stricter = replace(terms, margin=margin)
        contrasts = contrasts_for(planned, scores, stricter)
        bounds = [] if contrasts is None else bounds_of(cells, contrasts, counts, stricter)
        return [max(interval.upper for _, interval in found) for _, found in bounds]

    smallest, still_open = 0.0, list(scores.cells)
    while still_open and smallest < terms.margin:  # at all of its margin a finding that passed holds
        found = uppers(smallest, still_open)
        worst = still_open[int(np.argmax(found))]
        still_open = [cell for cell, upper in zip(still_open, found, strict=True) if upper > TOLERANCE]
        if still_open:  # the worst cell alone is searched: the others seldom need more
            smallest = _halved(lambda margin, cell: uppers(margin, [cell])[0], worst, terms.margin)
    return smallest


def _halved(upper: Callable[[float, Cell], float], cell: Cell, margin: float) -> float:
    """The smallest of `margin`'s `2 ** _HALVINGS` parts at which a cell passes; it passes at all of it."""
    passes, fails = margin, 0.0
    for _ in range(_HALVINGS):
        tried = (passes + fails) / 2
        passes, fails = (tried, fails) if upper(tried, cell) <= TOLERANCE else (passes, tried)
    return passes
