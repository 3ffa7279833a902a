"""What a soft score sees beside hits: power of FAIL and PASS on partial leaks, by hits, by soft scores, by both.

One probability an answer gives both: a hit is a probability above one half, the soft score is the probability itself.
A model that knows nothing gives Beta(mean 0.03), the original Beta(mean 0.9). Two leaks: every fact's probability
rises a little, or a share of the subjects is fully back. 4 cells, 3 facts a subject, 1 control, 2,000 audits.
`both` fails if either does (Holm) and passes if both do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from benchmarks.simulation.rule import excess, passes, picked_p_values
from benchmarks.simulation.store import Numbers, Store, markdown
from benchmarks.simulation.worlds import BoolArray, leaking, soft
from unlearn_audit.statistics.bounds import FloatArray

ALPHA, MARGIN = 0.05, 0.10
UNKNOWN, KNOWN, SPREAD = 0.03, 0.9, 0.1
CELLS, FACTS, AUDITS, BLOCK = 4, 3, 2_000, 500


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A leak and the number of subjects.

    Attributes:
        leak: `none`, `every fact` or `subjects`.
        size: mean probability of every fact, or share of subjects.
    """

    leak: str
    size: float
    subjects: int


def grid() -> Iterator[Setting]:
    """All settings."""
    leaks = [("none", 0.0)]
    leaks += [("every fact", size) for size in (0.06, 0.1, 0.15, 0.2, 0.3, 0.4)]
    leaks += [("subjects", size) for size in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)]
    for subjects, (leak, size) in product((60, 120), leaks):
        yield Setting(leak=leak, size=size, subjects=subjects)


def measure(setting: Setting, rng: np.random.Generator, audits: int = AUDITS) -> Numbers:
    """Shares of audits that fail and pass by each kind of score, and what came back of the soft score."""
    blocks = [_block(setting, rng, min(BLOCK, audits)) for _ in range(max(1, audits // BLOCK))]
    return {name: round(float(np.mean([block[name] for block in blocks])), 4) for name in blocks[0]}


def _block(setting: Setting, rng: np.random.Generator, audits: int) -> dict[str, float]:
    shape = (setting.subjects, FACTS * CELLS, audits)
    unlearned, control, original = (soft(rng, mean, SPREAD, shape) for mean in (UNKNOWN, UNKNOWN, KNOWN))
    if setting.leak == "every fact":
        unlearned = soft(rng, setting.size, SPREAD, shape)
    elif setting.leak == "subjects":
        back = leaking(rng, setting.size, shape, same=True)
        unlearned = np.where(back, soft(rng, KNOWN, SPREAD, shape), unlearned)
    by_role = (unlearned, control, original)
    scores = {"soft": by_role, "hits": tuple((one > 0.5).astype(np.float64) for one in by_role)}
    p_value, clean, numbers = {}, {}, {}
    for name, (of_unlearned, of_control, of_original) in scores.items():
        values = excess(_by_subject(of_unlearned), _by_subject(of_control)[:, None], _by_subject(of_original), MARGIN)
        p_value[name] = picked_p_values(values, lo=-1.0, hi=1.0, level=ALPHA)
        clean[name] = passes(values, lo=-1.0, hi=1.0, alpha=ALPHA)
        shown = of_original.mean() - of_control.mean()
        numbers[f"{name} back"] = float((of_unlearned.mean() - of_control.mean()) / shown)
        numbers |= _rates(name, p_value[name] <= ALPHA, clean[name])
    either = np.minimum(p_value["hits"], p_value["soft"]) <= ALPHA / 2
    return numbers | _rates("both", either, clean["hits"] & clean["soft"])


def _rates(name: str, failed: BoolArray, passed: BoolArray) -> dict[str, float]:
    return {f"{name} fails": float(failed.mean()), f"{name} passes": float((passed & ~failed).mean())}


def _by_subject(scores: FloatArray) -> FloatArray:
    """Mean over facts: (subjects, facts x cells, audits) -> (subjects, cells, audits)."""
    subjects, _, audits = scores.shape
    means: FloatArray = scores.reshape(subjects, FACTS, CELLS, audits).mean(axis=1)
    return means


def run(store: Store, *, quick: bool) -> None:
    """Fills the store."""
    store.fill(grid(), lambda one, rng: measure(one, rng, 200 if quick else AUDITS))


def tables(frame: pd.DataFrame) -> dict[str, str]:
    """In per cent: what came back, and how often each kind of score fails and passes."""
    columns = ["hits back", "soft back"]
    columns += [f"{name} {what}" for what in ("fails", "passes") for name in ("hits", "soft", "both")]
    rows = [
        [
            row["leak"] + ("" if row["leak"] == "none" else f" {row['size']:g}") + f", {row['subjects']} subjects",
            *(f"{max(0.0, 100 * row[name]):.0f}" for name in columns),
        ]
        for row in frame.to_dict("records")
    ]
    return {"score power": markdown(["leak", *columns], rows)}
