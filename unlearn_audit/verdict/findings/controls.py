"""Is a control what it is said to be? One that knows the forget set would pass whatever knows as much."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unlearn_audit.api import ScoreKind
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy
from unlearn_audit.statistics.bounds import TOLERANCE, gaffke_bounds
from unlearn_audit.verdict.findings.contrasts import SEED, STAND_INS_NEEDED
from unlearn_audit.verdict.findings.places import BASELINE, UNLEARNED, control_key
from unlearn_audit.verdict.findings.score_tables import BESIDE

_VALUES_TO_TELL_APART = 8
"""Distinct scores inside (0, 1) below which two models may agree everywhere by chance (all 0, all 1, a coarse grid)."""


def copied(frame: pd.DataFrame, case: Case) -> tuple[str, ...]:
    """A line for each control whose unattacked soft scores equal the checkpoint's, fact for fact.

    Two training runs never agree to 1e-9 in a probability; a copy of the checkpoint does.
    """
    rows = _unattacked(frame, case, ScoreKind.SOFT)
    place = ["probe", "measure", "dose", "variant", "fact_id", "seed"]
    own = rows[rows["key"] == UNLEARNED].set_index(place)["score"]
    lines = []
    for name in case.controls:
        other = rows[rows["key"] == control_key(name)].set_index(place)["score"]
        both = pd.concat([own, other], axis=1, join="inner").to_numpy()
        inside = np.unique(both[(both[:, 0] > TOLERANCE) & (both[:, 0] < 1.0 - TOLERANCE), 0])
        if len(inside) >= _VALUES_TO_TELL_APART and np.abs(both[:, 0] - both[:, 1]).max() <= TOLERANCE:
            lines.append(
                f"the control {name} behaves exactly like the checkpoint (equal soft scores on every fact): is it a "
                "copy of the checkpoint? Give a model that was trained without the forget set"
            )
    return tuple(lines)


def contaminated(frame: pd.DataFrame, case: Case, policy: Policy) -> list[str]:
    """A line for each control that knows part of the forget set, or that may as well know it as guess.

    Un-attacked hits are held against what the same outputs score for twins, or the model for placebo facts. The mean
    must be above the margin, and its lower bound above 0, so that no lucky guess makes a control refused. Where there
    is neither, what counts of a fact is the wording of deciding measures in which the control shows least of it, beyond
    the best constant answer to its relation: a guess seldom comes in every wording. The lower bound must then be above
    the margin. That is no proof that the control knows, but nothing tells it from knowing.

    Args:
        frame: out of `places.checked`.
        case: what the plan fixed.
        policy: margin, alpha, draws.
    """
    rows = _unattacked(frame, case, ScoreKind.HIT)
    facts = rows["fact_id"].astype(str)
    rows = rows.assign(beside=rows[list(BESIDE.values())].max(axis=1), subject=facts.map(case.subjects))
    rows = rows.assign(chance=facts.map(case.chance).astype(float).fillna(0.0))[rows["subject"].notna()]
    lines = []
    for name in case.controls:
        own = rows[rows["key"] == control_key(name)]
        told_apart = len(own) and own["beside"].notna().mean() >= STAND_INS_NEEDED
        means = _beyond(own, "beside") if told_apart else _beyond(_in_every_wording(own), "chance")
        if not len(means) or means.mean() <= policy.margin:
            continue
        lower, _ = gaffke_bounds(means, -1.0, 1.0, policy.alpha, policy.draws, SEED)
        shown = f"un-attacked it shows {100 * means.mean():.0f} points"
        if told_apart and float(lower) > 0.0:
            lines.append(
                f"the control {name} knows part of the forget set: {shown} more than of twins or placebo facts, beyond "
                "the margin; give one that was trained without it"
            )
        elif not told_apart and float(lower) > policy.margin:
            lines.append(
                f"the control {name} may know part of the forget set: {shown} more than chance in every wording, "
                "beyond the margin, and nothing tells that from knowing; give the facts a `relation` (twins do)"
            )
    return lines


def _in_every_wording(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a fact: its least score over deciding probes, ways of asking and seeds."""
    columns = {"score": "min", "chance": "first", "subject": "first"}
    return rows[rows["decides"]].groupby(rows["fact_id"].astype(str), sort=True).agg(columns)


def _beyond(rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """By subject: the mean of scores minus a column, where both are there."""
    beyond = rows["score"] - rows[column]
    means = beyond[beyond.notna()].groupby(rows["subject"], sort=True).mean()
    return np.asarray(means, dtype=np.float64)


def _unattacked(frame: pd.DataFrame, case: Case, kind: ScoreKind) -> pd.DataFrame:
    """What was scored un-attacked, of planned measures of a kind, and whether each decides."""
    gates: dict[tuple[str, str], bool] = {}
    for one in case.planned:
        if one.kind is kind:
            gates[one.probe, one.measure] = one.gates or gates.get((one.probe, one.measure), False)
    rows = frame[(frame["attack"] == BASELINE) & frame["score"].notna()]
    found = [gates.get(pair) for pair in zip(rows["probe"], rows["measure"], strict=True)]
    chosen = np.array([decides is not None for decides in found], dtype=bool)  # an empty list would select columns
    return rows[chosen].assign(decides=np.array(found, dtype=bool)[chosen])
