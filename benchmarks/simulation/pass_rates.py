"""How often does an honest model pass? By subjects, facts, chance level, cells and controls: the table of `plan`.

An honest checkpoint knows nothing: it hits an answer at the chance level, and so does each control; the original knows
everything. Facts of one subject are independent. The hits of one fact in two cells of one model correlate by 0.5, as
greedy answers to paraphrases do; models are independent. Against twins the control is the chance level itself.

What is tabulated is the pass rate of one finding, and an audit of F findings passes at least at that rate to the power
of F: passing is decreasing in every score, so that findings which rise and fall together (the same facts asked under
another attack) pass together more often than independent ones.

Where every one of 10,000 audits passed with 24 cells and two controls, more subjects are not run: they stand as 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.simulation.rule import excess, passing_cells
from benchmarks.simulation.store import Numbers, Store, markdown
from benchmarks.simulation.worlds import asked_again
from unlearn_audit.statistics.bounds import FloatArray

ALPHA, MARGIN, BETWEEN_CELLS = 0.05, 0.10, 0.5
AUDITS, BLOCK_SIZE = 10_000, 100_000  # audits, and audits x subjects held at a time

SUBJECTS, FACTS, CHANCES = (40, 60, 120, 200, 400), (1, 3, 10), (0.0, 0.02, 0.03, 0.05, 0.1, 0.25)
CELLS, FINDINGS, CONTROLS = (1, 2, 4, 8, 12, 16, 24), (1, 6, 10), ("twins", "1", "2")
PACKAGED = Path(__file__).resolve().parents[2] / "unlearn_audit" / "statistics" / "pass_rates.json"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The size of an audit and the chance level."""

    subjects: int
    facts: int
    chance: float


def grid() -> Iterator[Setting]:
    """All settings, the small ones first."""
    for subjects, facts, chance in product(SUBJECTS, FACTS, CHANCES):
        yield Setting(subjects=subjects, facts=facts, chance=chance)


def measure(setting: Setting, rng: np.random.Generator, audits: int = AUDITS) -> Numbers:
    """Pass rate of one finding by control and number of cells: the first so many cells of the same audits."""
    block = BLOCK_SIZE // setting.subjects
    sizes = [block] * (audits // block) + [audits % block] * (audits % block > 0)
    blocks = [_passing(setting, rng, size) for size in sizes]
    passed = {control: np.concatenate([block[control] for block in blocks]) for control in CONTROLS}
    return {
        f"{control}/{cells}": round(float(np.mean(passed[control] >= cells)), 4)
        for control, cells in product(CONTROLS, CELLS)
    }


def _passing(setting: Setting, rng: np.random.Generator, audits: int) -> dict[str, FloatArray]:
    """How many cells pass before the first that does not, by control."""
    shape = (setting.subjects, max(CELLS), audits)

    def answers() -> FloatArray:
        return asked_again(rng, setting.chance, setting.facts, shape, between_cells=BETWEEN_CELLS)

    unlearned = answers()
    against_twins = unlearned - setting.chance - MARGIN * (1.0 - setting.chance)
    reach = 1.0 + MARGIN  # what twins can make of a subject's value (design, section 6)
    twins = passing_cells(against_twins[:, None], lo=-reach, hi=reach, alpha=ALPHA)
    one, other = (
        passing_cells(excess(unlearned, answers()[:, None], 1.0, MARGIN), lo=-1.0, hi=1.0, alpha=ALPHA)
        for _ in range(2)
    )
    return {"twins": twins, "1": one, "2": np.minimum(one, other)}


def run(store: Store, *, quick: bool) -> None:
    """Fills the store and, when whole, writes the table that the package ships."""
    if quick:
        small = [one for one in grid() if one.subjects <= 60 and one.facts < 10]
        store.fill(small, lambda one, rng: measure(one, rng, 500))
    else:
        for subjects in SUBJECTS:
            certain = _certain(store.frame())
            same_size = [one for one in grid() if one.subjects == subjects]
            store.fill(same_size, lambda one, rng: _ALL if (one.facts, one.chance) in certain else measure(one, rng))  # noqa: B023
        PACKAGED.write_text(json.dumps(packaged(store.frame()), indent=1) + "\n", encoding="utf-8")


_ALL: Numbers = {f"{control}/{cells}": 1.0 for control, cells in product(CONTROLS, CELLS)}


def _certain(frame: pd.DataFrame) -> set[tuple[int, float]]:
    """Facts a subject and chance levels at which all audits of some size have passed, whatever was asked."""
    if frame.empty:
        return set()
    sure = frame[(frame[list(_ALL)] == 1.0).all(axis=1)]
    return set(zip(sure["facts"], sure["chance"], strict=True))


def packaged(frame: pd.DataFrame) -> dict[str, object]:
    """What `unlearn_audit.verdict.reach` reads: axes, and rates of one finding nested in the order of the axes."""
    ordered = frame.sort_values(["subjects", "facts", "chance"])
    columns = [f"{control}/{cells}" for control, cells in product(CONTROLS, CELLS)]
    sizes = (len(SUBJECTS), len(FACTS), len(CHANCES), len(CONTROLS), len(CELLS))
    return {
        "margin": MARGIN,
        "alpha": ALPHA,
        "between_cells": BETWEEN_CELLS,
        "audits": AUDITS,
        "axes": {
            "subjects": SUBJECTS,
            "facts": FACTS,
            "chance": CHANCES,
            "controls": CONTROLS,
            "cells": CELLS,
        },
        # Against twins a rate may rise with the chance level where hits are few and coarse; what is read may not.
        "rates": np.minimum.accumulate(ordered[columns].to_numpy().reshape(sizes), axis=2).tolist(),
    }


def tables(frame: pd.DataFrame) -> dict[str, str]:
    """Pass rate in per cent of an audit of 10 findings against one retrained model, and what each axis costs."""
    rows = []
    for (subjects, facts), part in frame.groupby(["subjects", "facts"]):
        cells = [
            "/".join(f"{100 * rate ** max(FINDINGS):.0f}" for rate in (row["1/1"], row["1/8"], row["1/24"]))
            for row in part.sort_values("chance").to_dict("records")
        ]
        rows.append([f"{subjects} x {facts}", *cells])
    head = ["subjects x facts", *(f"chance {100 * level:.0f} %" for level in CHANCES[: len(rows[0]) - 1])]
    usual = frame[(frame["facts"] == 3) & frame["chance"].isin([0.02, 0.05, 0.1])]
    by_control = [
        [
            f"{row['subjects']} x 3, {100 * row['chance']:.0f} %",
            *(
                "/".join(f"{100 * row[f'{control}/8'] ** findings:.0f}" for findings in FINDINGS)
                for control in CONTROLS
            ),
        ]
        for row in usual.sort_values(["subjects", "chance"]).to_dict("records")
    ]
    return {
        "pass rates": markdown(head, rows),
        "pass rates by control": markdown(
            ["subjects x facts, chance", "against twins", "1 retrained", "2 retrained"], by_control
        ),
    }
