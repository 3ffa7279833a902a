"""AUC and detection accuracy of two groups: do the intervals cover, how wide are they, does the null hold its level?

Members are normal with a shift, others standard normal; or both are cut at 1 to a score of 0 or 1 (ties). Beside our
interval of the AUC stands Brunner-Munzel's (statsmodels), which is a normal approximation. 500 pairs of groups a
setting; one-sided 95 % bounds, the null with 199 permutations.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.stats.nonparametric import rank_compare_2indep

from benchmarks.simulation.store import Numbers, Store, markdown
from unlearn_audit.statistics.bounds import TOLERANCE, FloatArray
from unlearn_audit.statistics.groups import auc, detection_accuracy

ALPHA, GROUPS, PERMUTATIONS = 0.05, 500, 199


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How far apart the groups are, and how large."""

    members: int
    others: int
    shift: float
    ties: bool

    @property
    def truth(self) -> tuple[float, float]:
        """AUC and the accuracy of the best cut."""
        if self.ties:
            gap = float(norm.sf(1.0 - self.shift) - norm.sf(1.0)) / 2.0
            return 0.5 + gap, 0.5 + gap
        return float(norm.cdf(self.shift / math.sqrt(2.0))), float(norm.cdf(self.shift / 2.0))


def grid() -> Iterator[Setting]:
    """All settings."""
    for (members, others), ties, shift in product(((10, 10), (20, 60), (60, 60)), (False, True), (0.0, 1.0, 2.0, 4.0)):
        yield Setting(members=members, others=others, shift=shift, ties=ties)


def measure(setting: Setting, rng: np.random.Generator, groups: int = GROUPS) -> Numbers:
    """Coverage of both bounds of each estimate, mean distance between them, share of groups told apart."""
    rows = pd.DataFrame([_one(setting, rng) for _ in range(groups)]).mean()
    return {str(name): round(float(value), 4) for name, value in rows.items()}


def _one(setting: Setting, rng: np.random.Generator) -> dict[str, float]:
    members = rng.normal(setting.shift, 1.0, setting.members)
    others = rng.normal(0.0, 1.0, setting.others)
    if setting.ties:
        members, others = (members > 1.0).astype(np.float64), (others > 1.0).astype(np.float64)
    area, accuracy = setting.truth
    row: dict[str, float] = {}
    for name, truth, estimate in (("auc", area, auc), ("accuracy", accuracy, detection_accuracy)):
        found = estimate(members, others, alpha=ALPHA, permutations=PERMUTATIONS)
        row |= _numbers(name, truth, found.lower, found.upper) | {f"{name} told apart": found.distinguishable}
    return row | _numbers("normal", area, *_brunner_munzel(members, others))


def _numbers(name: str, truth: float, lower: float, upper: float) -> dict[str, float]:
    return {
        f"{name} lower covers": lower <= truth + TOLERANCE,
        f"{name} upper covers": upper >= truth - TOLERANCE,
        f"{name} width": upper - lower,
    }


def _brunner_munzel(members: FloatArray, others: FloatArray) -> tuple[float, float]:
    """Two one-sided bounds at 1 - alpha; where the variance is 0, the estimate itself, which is what it says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result = rank_compare_2indep(members, others, use_t=True)
        lower, upper = result.conf_int(alpha=2.0 * ALPHA)
    if math.isnan(lower) or math.isnan(upper):
        return float(result.prob1), float(result.prob1)
    return float(lower), float(upper)


def run(store: Store, *, quick: bool) -> None:
    """Fills the store."""
    store.fill(grid(), lambda one, rng: measure(one, rng, 20 if quick else GROUPS))


def tables(frame: pd.DataFrame) -> dict[str, str]:
    """In per cent, but for widths."""
    rows = []
    for row in frame.to_dict("records"):
        area, accuracy = Setting(
            members=row["members"], others=row["others"], shift=row["shift"], ties=row["ties"]
        ).truth
        rows.append(
            [
                f"{row['members']} and {row['others']}, {'0 or 1' if row['ties'] else 'no ties'}",
                f"{area:.3f}",
                *(
                    f"{100 * min(row[f'{name} lower covers'], row[f'{name} upper covers']):.1f}, "
                    f"{row[f'{name} width']:.2f}"
                    for name in ("auc", "normal")
                ),
                f"{accuracy:.3f}",
                f"{100 * min(row['accuracy lower covers'], row['accuracy upper covers']):.1f}, "
                f"{row['accuracy width']:.2f}",
                f"{100 * row['auc told apart']:.0f}",
                f"{100 * row['accuracy told apart']:.0f}",
            ]
        )
    head = [
        "groups",
        "AUC",
        "ours: covers, width",
        "Brunner-Munzel",
        "accuracy",
        "ours: covers, width",
        "told apart by AUC",
        "by accuracy",
    ]
    return {"groups": markdown(head, rows)}
