"""Is a control what it is said to be? One that knows the forget set would pass whatever knows as much."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unlearn_audit.api import ScoreKind
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy
from unlearn_audit.statistics.bounds import TOLERANCE, gaffke_bounds
from unlearn_audit.verdict.findings.contrasts import SEED
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
    """A line for each control that knows part of the forget set: by more than the margin beyond its own twins.

    Un-attacked hits are held against what the same outputs score for twins, or the model for placebo facts. The mean
    must be above the margin, and its lower bound above 0, so that no lucky guess makes a control refused.

    Args:
        frame: out of `places.checked`.
        case: what the plan fixed.
        policy: margin, alpha, draws.
    """
    rows = _unattacked(frame, case, ScoreKind.HIT)
    beside = rows[list(BESIDE.values())].max(axis=1)
    rows = rows.assign(beyond=rows["score"] - beside, subject=rows["fact_id"].astype(str).map(case.subjects))
    rows = rows[rows["beyond"].notna() & rows["subject"].notna()]
    lines = []
    for name in case.controls:
        own = rows[rows["key"] == control_key(name)]
        means = own.groupby("subject", sort=True)["beyond"].mean().to_numpy(dtype=np.float64)
        if not len(means) or means.mean() <= policy.margin:
            continue
        lower, _ = gaffke_bounds(means, -1.0, 1.0, policy.alpha, policy.draws, SEED)
        if float(lower) > 0.0:
            lines.append(
                f"the control {name} knows part of the forget set: un-attacked it shows {100 * means.mean():.0f} "
                "points more than of twins or placebo facts, beyond the margin; give one that was trained without it"
            )
    return lines


def _unattacked(frame: pd.DataFrame, case: Case, kind: ScoreKind) -> pd.DataFrame:
    """What was scored un-attacked, of planned measures of a kind."""
    wanted = {(one.probe, one.measure) for one in case.planned if one.kind is kind}
    rows = frame[(frame["attack"] == BASELINE) & frame["score"].notna()]
    chosen = [pair in wanted for pair in zip(rows["probe"], rows["measure"], strict=True)]
    return rows[np.array(chosen, dtype=bool)]  # an empty list would select columns
