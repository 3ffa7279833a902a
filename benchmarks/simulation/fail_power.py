"""What must come back for FAIL: the worst cell found by Bonferroni on all subjects, or by cross-fitting on halves.

Nine findings are in Holm's family. A share of the subjects comes back whole, in one cell or in all; the rest of the
answers, and the control's, are hits at a chance level of 5 %, three facts a subject, correlated by 0.5 between cells.
Tabulated is the smallest share of subjects that is a proven leak in 80 % of 200 audits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import pandas as pd

from benchmarks.simulation.rule import crossed_p_values, excess, p_values
from benchmarks.simulation.store import Numbers, Store, markdown
from benchmarks.simulation.worlds import asked_again
from unlearn_audit.statistics.bounds import FEW_CELLS, FloatArray
from unlearn_audit.verdict.reach import smallest_failing_effect

ALPHA, MARGIN = 0.05, 0.10
LEVEL = ALPHA / 9
CHANCE, FACTS, BETWEEN_CELLS = 0.05, 3, 0.5
AUDITS, DRAWS, POWER = 200, 20_000, 0.80
SUBJECTS, CELLS = (30, 60, 120, 200), (1, 2, 4, 8, 24, 100)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where the leak is, and the size of the audit."""

    where: str
    subjects: int
    cells: int


def grid() -> Iterator[Setting]:
    """All settings."""
    for where, subjects, cells in product(("one", "all"), SUBJECTS, CELLS):
        yield Setting(where=where, subjects=subjects, cells=cells)


def measure(setting: Setting, rng: np.random.Generator, audits: int = AUDITS) -> Numbers:
    """Smallest share of subjects that fails, in either way of picking; above 1 where even all of them do not."""
    shape = (setting.subjects, setting.cells, audits)
    base, control = (asked_again(rng, CHANCE, FACTS, shape, between_cells=BETWEEN_CELLS) for _ in range(2))
    rank = rng.permuted(np.broadcast_to(np.arange(setting.subjects)[:, None], shape[::2]), axis=0)

    def world(back: int) -> FloatArray:
        unlearned = base.copy()
        places = slice(0, 1) if setting.where == "one" else slice(None)
        unlearned[:, places] = np.where((rank < back)[:, None], 1.0, unlearned[:, places])
        return excess(unlearned, control[:, None], 1.0, MARGIN)

    return {
        name: round(_smallest(partial(_power, world, test), setting.subjects) / setting.subjects, 4)
        for name, test in (("all_subjects", _bonferroni), ("halves", _crossed))
    }


def _bonferroni(values: FloatArray) -> FloatArray:
    """V min_v p_v, whatever V is; one control."""
    cells = values.shape[2]
    found = p_values(values.reshape(len(values), -1), lo=-1.0, hi=1.0, level=LEVEL / cells, draws=DRAWS)
    smallest: FloatArray = cells * found.reshape(cells, -1).min(axis=0)
    return smallest


def _crossed(values: FloatArray) -> FloatArray:
    return crossed_p_values(values, lo=-1.0, hi=1.0, level=LEVEL, draws=DRAWS)


def _power(world: Callable[[int], FloatArray], test: Callable[[FloatArray], FloatArray], back: int) -> float:
    return float(np.mean(test(world(back)) <= LEVEL))


def _smallest(power: Callable[[int], float], subjects: int) -> int:
    """Smallest number with enough power, by bisection; subjects + 1 where there is none."""
    low, high = 1, subjects + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle + 1, high)
    return low


def run(store: Store, *, quick: bool) -> None:
    """Fills the store; `quick` takes the small settings."""
    if quick:
        store.fill(
            [one for one in grid() if one.subjects <= 60 and one.cells <= 4], lambda one, rng: measure(one, rng, 50)
        )
    else:
        store.fill(grid(), measure)


def tables(frame: pd.DataFrame) -> dict[str, str]:
    """Share on all subjects / on halves, in per cent."""
    rows = []
    for (where, subjects), part in frame.groupby(["where", "subjects"], sort=False):
        by_cells = part.set_index("cells")
        rows.append(
            [
                f"{subjects} subjects, in {where}{' cell' * (where == 'one')}",
                *(f"{_percent(one['all_subjects'])} / {_percent(one['halves'])}" for _, one in by_cells.iterrows()),
            ]
        )
    cells = frame["cells"].drop_duplicates()
    return {
        "fail power": markdown(["", *(f"{one} cell{'s' * (one > 1)}" for one in cells)], rows),
        "fail reach": _reach(),
    }


def _reach() -> str:
    """The plan's worst case: `power.smallest_failing_effect`, and what it is where the subjects are halved."""
    counts = (1, 8, 24, FEW_CELLS)
    rows = [
        [
            f"{subjects} subjects, {findings} finding{'s' * (findings > 1)}",
            *(
                _percent(smallest_failing_effect(subjects, ALPHA, findings, MARGIN, cells=cells, draws=DRAWS) or 2.0)
                for cells in (*counts, FEW_CELLS + 1)
            ),
        ]
        for subjects, findings in product((*SUBJECTS, 400), (1, 10))
    ]
    return markdown(["", *(f"{one} cell{'s' * (one > 1)}" for one in counts), "on halves"], rows)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share <= 1.0 else "none"
