"""How often is the verdict wrong? The whole rule on synthetic audits, 10,000 a setting.

*Wrong PASS*: what comes back is exactly the margin, in one cell or in all, and every finding passes. Utility is
perfect and the original knows everything, so that nothing else stands in the way of a pass.

*Wrong FAIL*: the checkpoint is honest, or exactly at the margin in every finding, and keeps exactly the utility that is
needed; the audit fails (Holm over the findings and utility).

What comes back: `subjects`, a share of subjects whole; `facts`, each fact with the same probability; `a little`, every
soft score a little. Cells either do not depend on each other, or find much the same: the same subjects, the facts
with a correlation of 0.5, the same soft scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import binom

from benchmarks.simulation.rule import SEED, excess, fails, passes
from benchmarks.simulation.store import Numbers, Store, markdown
from benchmarks.simulation.worlds import asked_again, leaking, soft
from unlearn_audit.statistics.bounds import TOLERANCE, FloatArray, gaffke_bounds

ALPHA, MARGIN, UTILITY = 0.05, 0.10, 0.80
AUDITS, BLOCK = 10_000, 1_000
FACTS, RETAIN = 3, 30
DRAWS = 20_000  # of the exact rates; the simulated ones take the fewest that a policy may ask for
SOFT_SPREAD, SOFT_ORIGINAL = 0.05, 0.9


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of checkpoint, and the size of its audit.

    Attributes:
        leak: `none`, `subjects`, `facts` or `a little`: in all, exactly the margin.
        where: `one` cell of each finding, or `all`.
        alike: cells find much the same.
        chance: hit rate (for `a little`, mean score) of a model that knows nothing.
    """

    leak: str
    where: str
    alike: bool
    controls: int
    subjects: int
    chance: float
    cells: int
    findings: int


def grid() -> Iterator[Setting]:
    """All settings."""
    leaks = ("subjects", "facts", "a little")
    for leak, controls, subjects, chance in product(leaks, (1, 2), (40, 60, 120, 400), (0.0, 0.02)):
        if leak != "a little" or chance:
            yield _setting(leak, "one", False, controls, subjects, chance, 1, 1)
    for leak, where, alike, controls, subjects, cells in product(
        leaks, ("one", "all"), (False, True), (1, 2), (60, 120), (8, 24)
    ):
        yield _setting(leak, where, alike, controls, subjects, 0.02, cells, 1)
    for leak, alike, cells in product(("subjects", "facts"), (False, True), (1, 8)):
        yield _setting(leak, "all", alike, 1, 120, 0.02, cells, 10)
    yield _setting("facts", "all", False, 1, 120, 0.02, 24, 10)
    for leak, alike in product(leaks, (False, True)):
        yield _setting(leak, "all", alike, 1, 120, 0.02, 40, 1)
    for chance, cells in product((0.0, 0.02, 0.25), (1, 8, 24)):
        yield _setting("none", "all", True, 1, 120, chance, cells, 1)
        yield _setting("none", "all", False, 1, 120, chance, cells, 1)
    yield _setting("none", "all", True, 1, 120, 0.25, 8, 10)


def _setting(
    leak: str, where: str, alike: bool, controls: int, subjects: int, chance: float, cells: int, findings: int
) -> Setting:
    return Setting(
        leak=leak,
        where=where,
        alike=alike,
        controls=controls,
        subjects=subjects,
        chance=chance,
        cells=cells,
        findings=findings,
    )


def measure(setting: Setting, rng: np.random.Generator, audits: int = AUDITS) -> Numbers:
    """Share of audits whose findings all pass, and share of audits that fail."""
    passed, failed = [], []
    for _ in range(max(1, audits // BLOCK)):
        block = min(BLOCK, audits)
        findings = [finding(setting, rng, block) for _ in range(setting.findings)]
        utility = (rng.random((RETAIN, block)) < UTILITY).astype(np.float64) - UTILITY
        failed.append(fails(findings, utility, alpha=ALPHA, needed=UTILITY))
        passed.append(np.all([passes(one, lo=-1.0, hi=1.0, alpha=ALPHA) for one in findings], axis=0))
    return {"passed": round(float(np.mean(passed)), 4), "failed": round(float(np.mean(failed)), 4)}


def finding(setting: Setting, rng: np.random.Generator, audits: int) -> FloatArray:
    """The excess of one finding, of mean 0 where it leaks: shape (subjects, controls, cells, audits)."""
    shape = (setting.subjects, setting.cells, audits)
    if setting.leak == "a little":
        return _soft_finding(setting, rng, shape)

    def answers(rate: float) -> FloatArray:
        return asked_again(rng, rate, FACTS, shape, between_cells=0.5 if setting.alike else 0.0)

    controls = np.stack([answers(setting.chance) for _ in range(setting.controls)], axis=1)
    unlearned = answers(setting.chance)
    places = slice(0, 1) if setting.where == "one" else slice(None)
    if setting.leak == "facts":
        unlearned[:, places] = answers(setting.chance + MARGIN * (1.0 - setting.chance))[:, places]
    elif setting.leak == "subjects":
        back = leaking(rng, MARGIN, shape, same=setting.alike)
        unlearned[:, places][back[:, places]] = 1.0
    return excess(unlearned, controls, 1.0, MARGIN)


def _soft_finding(setting: Setting, rng: np.random.Generator, shape: tuple[int, int, int]) -> FloatArray:
    """U has the mean (1 - margin) C + margin O; O is not 1, and differs between subjects."""
    subjects, _, audits = shape
    drawn = (subjects, 1, audits) if setting.alike else shape

    def scores(mean: float) -> FloatArray:
        return np.broadcast_to(soft(rng, mean, SOFT_SPREAD, drawn), shape)

    controls = np.stack([scores(setting.chance) for _ in range(setting.controls)], axis=1)
    unlearned = scores(setting.chance).copy()
    places = slice(0, 1) if setting.where == "one" else slice(None)
    unlearned[:, places] = scores((1.0 - MARGIN) * setting.chance + MARGIN * SOFT_ORIGINAL)[:, places]
    return excess(unlearned, controls, scores(SOFT_ORIGINAL), MARGIN)


def exact_wrong_pass(subjects: int, draws: int = DRAWS) -> float:
    """The rate of wrong PASS where each subject is back whole with probability `MARGIN`, without simulating an audit.

    One cell, a control that knows nothing, an original that knows everything: how many subjects are back decides, and
    that number is binomial.
    """
    back = np.arange(math.floor(MARGIN * subjects) + 1)
    values = np.where(np.arange(subjects)[:, None] < back, 1.0 - MARGIN, -MARGIN)
    passing = np.flatnonzero(gaffke_bounds(values, -1.0, 1.0, ALPHA, draws, SEED)[1] <= TOLERANCE)
    return float(binom.cdf(passing.max(), subjects, MARGIN)) if len(passing) else 0.0


def _exact() -> str:
    """Largest and mean exact rate by range of subjects."""
    rows = []
    for first, last in ((32, 99), (100, 199), (200, 400)):
        rates = {subjects: exact_wrong_pass(subjects) for subjects in range(first, last + 1)}
        worst = max(rates, key=lambda subjects: rates[subjects])
        rows.append(
            [f"{first} to {last}", f"{100 * rates[worst]:.2f}", worst, f"{100 * np.mean(list(rates.values())):.2f}"]
        )
    return markdown(["subjects", "largest (%)", "at", "mean (%)"], rows)


def run(store: Store, *, quick: bool) -> None:
    """Fills the store; `quick` takes the small settings with 500 audits."""
    if quick:
        small = [one for one in grid() if one.findings * one.cells <= 8]
        store.fill(small[::6], lambda one, rng: measure(one, rng, 500))
    else:
        store.fill(grid(), measure)


def tables(frame: pd.DataFrame) -> dict[str, str]:
    """The largest rate of wrong verdicts over the settings of each kind."""
    single = frame[frame["findings"] == 1]
    wrong_pass = [
        [
            leak,
            *(
                _largest(part[(part["where"] == where) & (part["cells"] == cells)], "passed")
                for where, cells in _PLACES
            ),
        ]
        for leak, part in single[single["leak"] != "none"].groupby("leak")
    ]
    wrong_fail = [
        [
            f"{'honest' if leak == 'none' else 'at the margin, ' + str(leak)}; findings: {findings}",
            *(_largest(part[part["cells"] == cells], "failed") for cells in (1, 8, 24, 40)),
        ]
        for (leak, findings), part in frame.groupby(["leak", "findings"])
    ]
    return {
        "wrong pass": markdown(
            ["at the margin", *(f"{cells} cell{'s' * (cells > 1)}, {where}" for where, cells in _PLACES)], wrong_pass
        ),
        "wrong pass exactly": _exact(),
        "wrong fail": markdown(["checkpoint", "1 cell", "8 cells", "24 cells", "40 cells"], wrong_fail),
    }


_PLACES = (("one", 1), ("one", 8), ("all", 8), ("one", 24), ("all", 24), ("all", 40))


def _largest(part: pd.DataFrame, column: str) -> str:
    return f"{100 * part[column].max():.2f}" if len(part) else "-"
