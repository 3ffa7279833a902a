"""A part of a finite whole: how often a whole at the margin passes, and how often an honest one does.

A whole of people is made, its mean is put exactly at the margin (people are added to its excess by a shift), parts are
drawn without replacement and bounded, by betting and by Gaffke's bound beside it. The honest wholes are not shifted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from benchmarks.simulation.rule import bounded
from benchmarks.simulation.store import Numbers, Store, markdown
from benchmarks.simulation.worlds import clustered
from unlearn_audit.statistics.bounds import TOLERANCE, FloatArray
from unlearn_audit.statistics.finite import finite_upper

ALPHA, MARGIN, AUDITS, FACTS = 0.05, 0.10, 2_000, 3


@dataclass(frozen=True, kw_only=True)
class Setting:
    """`drawn` people of a `whole`, whose checkpoint and control guess at the rate `guesses`."""

    drawn: int
    whole: int
    guesses: float


def grid() -> Iterator[Setting]:
    """Parts from half of the whole to all but one."""
    for (drawn, whole), guesses in product(
        ((60, 61), (60, 75), (60, 100), (120, 121), (120, 150), (120, 200)), (0.0, 0.02, 0.05, 0.1)
    ):
        yield Setting(drawn=drawn, whole=whole, guesses=guesses)


def measure(setting: Setting, rng: np.random.Generator) -> Numbers:
    """Shares of audits that pass: at the margin, and honest by either bound."""
    shape = (setting.whole, AUDITS)
    own, control = (clustered(rng, setting.guesses, 0.0, FACTS, shape) for _ in range(2))
    excess = own - control - MARGIN * (1.0 - control)
    part = rng.permuted(np.tile(np.arange(setting.whole)[:, None], (1, AUDITS)), axis=0)[: setting.drawn]
    honest: FloatArray = np.take_along_axis(excess, part, axis=0)
    # A fifth wholly back, thinned until the whole's mean is at the margin: values stay in the range.
    back = np.where(rng.random(shape) < 0.2, 1.0 - MARGIN, excess)
    back -= np.maximum(0.0, back.mean(axis=0))
    back = np.clip(back - back.mean(axis=0) + TOLERANCE, -1.0, 1.0)
    leaky: FloatArray = np.take_along_axis(back, part, axis=0)
    return {
        "wrong_pass": _passes(leaky, setting),
        "honest_pass": _passes(honest, setting),
        "honest_pass_endless": float(bounded(honest, -1.0, 1.0, ALPHA).mean()),
        "audits": AUDITS,
    }


def _passes(values: FloatArray, setting: Setting) -> float:
    return float((finite_upper(values, -1.0, 1.0, ALPHA, setting.whole, 0) <= TOLERANCE).mean())


def run(store: Store, *, quick: bool) -> None:
    """Fills the store; `quick` takes every sixth setting."""
    settings = list(grid())
    store.fill(settings[::6] if quick else settings, measure)


def tables(frame: pd.DataFrame) -> dict[str, str]:
    """By size of the part: the largest rate of wrong PASS, and honest PASS at each rate of guesses, by both bounds."""
    rates = sorted(frame["guesses"].unique())
    rows = []
    for (drawn, whole), part in frame.groupby(["drawn", "whole"], sort=False):
        by_rate = part.set_index("guesses")
        honest = [
            f"{100 * by_rate.loc[one, 'honest_pass']:.0f} / {100 * by_rate.loc[one, 'honest_pass_endless']:.0f}"
            for one in rates
        ]
        rows.append([f"{drawn} of {whole}", f"{100 * part['wrong_pass'].max():.1f}", *honest])
    return {
        "finite": markdown(["people", "wrong PASS", *(f"honest, guesses {100 * one:.0f} %" for one in rates)], rows)
    }
