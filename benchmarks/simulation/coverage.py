"""Do the one-sided 95 % bounds cover the subjects' mean excess? Every setting of the grid, 4,000 audits each.

A bound covers where it is not on the wrong side of the mean of the distribution that subjects come from. With 4,000
audits the standard error of a coverage of 95 % is 0.34 points. Over thousands of settings the lowest of them would be
below 94 % by chance alone; a setting that comes out below 94.5 % is therefore measured again on 40,000 fresh audits
(standard error 0.11 points), and the second number stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from benchmarks.simulation.rule import DRAWS, bounded
from benchmarks.simulation.store import Numbers, Store, markdown
from benchmarks.simulation.worlds import clustered, soft
from unlearn_audit.statistics.bounds import TOLERANCE, FloatArray

ALPHA, MARGIN = 0.05, 0.10
AUDITS, AGAIN = 4_000, 40_000
DOUBTFUL = 0.945

SUBJECTS, FACTS = (10, 20, 60, 200), (1, 5, 20)
RATES, CORRELATIONS = (0.0, 0.01, 0.05, 0.2, 0.5), (0.0, 0.2, 0.5)
SPREADS = (0.05, 0.3)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One world.

    Attributes:
        scores: `hits`, or `soft` for beta-distributed subject means.
        original: rate of the original: L = (U - C) - margin (O - C) is bounded; -1 where U - C is.
        correlation: of hits inside a subject; for soft scores the variance over mean (1 - mean).
    """

    scores: str
    original: float
    subjects: int
    facts: int
    unlearned: float
    control: float
    correlation: float

    @property
    def weights(self) -> tuple[float, float, float]:
        """Of the checkpoint, the control and the original."""
        return (1.0, -1.0, 0.0) if self.original < 0 else (1.0, MARGIN - 1.0, -MARGIN)

    @property
    def truth(self) -> float:
        """The mean of a subject's value."""
        rates = (self.unlearned, self.control, self.original)
        return sum(weight * rate for weight, rate in zip(self.weights, rates, strict=True))


def grid() -> Iterator[Setting]:
    """All settings; inside a subject of one fact nothing correlates."""
    for original, subjects, facts, correlation in product((-1.0, 1.0, 0.9), SUBJECTS, FACTS, CORRELATIONS):
        if facts > 1 or correlation == 0.0:
            yield from _rates("hits", original, subjects, facts, correlation)
    for original, subjects, spread in product((-1.0, 0.9), SUBJECTS, SPREADS):
        yield from _rates("soft", original, subjects, 1, spread)


def _rates(scores: str, original: float, subjects: int, facts: int, correlation: float) -> Iterator[Setting]:
    for unlearned, control in product(RATES, RATES):
        # U - C and C - U are mirror images, and so are their bounds: one of the two settings measures both.
        if original >= 0.0 or unlearned <= control:
            yield Setting(
                scores=scores,
                original=original,
                subjects=subjects,
                facts=facts,
                unlearned=unlearned,
                control=control,
                correlation=correlation,
            )


def measure(setting: Setting, rng: np.random.Generator, audits: int = AUDITS, draws: int = DRAWS) -> Numbers:
    """Coverage of either bound, with the number of audits behind it; both are measured again where one is doubtful."""
    lower, upper = coverage(setting, rng, audits, draws)
    if min(lower, upper) < DOUBTFUL and audits < AGAIN:
        blocks = [coverage(setting, rng, audits, draws) for _ in range(AGAIN // audits)]
        lower, upper = np.mean(blocks, axis=0)
        audits *= len(blocks)
    return {"lower": round(float(lower), 5), "upper": round(float(upper), 5), "audits": audits}


def coverage(
    setting: Setting, rng: np.random.Generator, audits: int, draws: int = DRAWS, alpha: float = ALPHA
) -> tuple[float, float]:
    """Share of audits whose lower bound, and whose upper bound, covers the truth."""
    # A bound misses where it is beyond the truth by more than rounding.
    beyond = worlds(setting, rng, audits) - setting.truth
    lo, hi = -1.0 - setting.truth, 1.0 - setting.truth
    shift = 2.0 * TOLERANCE
    misses_above = bounded(beyond + shift, lo + shift, hi + shift, alpha, draws)
    misses_below = bounded(shift - beyond, shift - hi, shift - lo, alpha, draws)
    return 1.0 - float(misses_below.mean()), 1.0 - float(misses_above.mean())


def worlds(setting: Setting, rng: np.random.Generator, audits: int) -> FloatArray:
    """Values, shape (subjects, audits)."""
    shape = (setting.subjects, audits)
    total = np.zeros(shape)
    rates = (setting.unlearned, setting.control, setting.original)
    for weight, rate in zip(setting.weights, rates, strict=True):
        if weight == 0.0:
            continue
        if setting.scores == "soft":
            total += weight * soft(rng, rate, setting.correlation, shape)
        else:
            total += weight * clustered(rng, rate, setting.correlation, setting.facts, shape)
    return total


def run(store: Store, *, quick: bool) -> None:
    """Fills the store; `quick` takes every 40th setting with 500 audits."""
    settings = list(grid())
    if quick:
        store.fill(settings[::40], lambda one, rng: measure(one, rng, 500, 2_000))
    else:
        store.fill(settings, measure)


def tables(frame: pd.DataFrame) -> dict[str, str]:
    """Lowest coverage by kind of value and number of subjects, and the settings where it is lowest."""
    frame = frame.assign(least=frame[["lower", "upper"]].min(axis=1))
    kinds = [
        ("hits, U - C", "hits", (-1.0,)),
        ("hits, L with O = 1 or 0.9", "hits", (1.0, 0.9)),
        ("soft scores, U - C", "soft", (-1.0,)),
        ("soft scores, L with O = 0.9", "soft", (0.9,)),
    ]
    rows = []
    for title, scores, originals in kinds:
        part = frame[(frame["scores"] == scores) & frame["original"].isin(originals)]
        by_size = part.groupby("subjects")["least"].min().reindex(SUBJECTS)
        rows.append([title, len(part), *(f"{100 * one:.1f}" for one in by_size), f"{100 * part['least'].mean():.1f}"])
    head = ["values", "settings", *(f"S = {size}" for size in SUBJECTS), "mean"]
    lowest = frame.nsmallest(8, "least")
    columns = ["scores", "original", "subjects", "facts", "unlearned", "control", "correlation"]
    worst = [
        [
            *(row[name] if row[name] != -1.0 else "-" for name in columns),
            f"{100 * row['lower']:.2f}",
            f"{100 * row['upper']:.2f}",
            row["audits"],
        ]
        for row in lowest.to_dict("records")
    ]
    return {
        "coverage": markdown(head, rows),
        "coverage lowest": markdown([*columns, "lower covers (%)", "upper covers (%)", "audits"], worst),
    }
