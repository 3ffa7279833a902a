"""Could a finding have seen the knowledge? Measured on the original, and on plants in which it was hidden (design 6.2).

A clean result means nothing where the attack would have found nothing anyway. Without plants a finding's power is what
the original shows beyond the control, under the same attack. With plants it is what the attack brings back from a
model that was made to hide the knowledge in just the way that this attack undoes: under the baseline that model is the
original itself. Lack of power rules out a pass and never a fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unlearn_audit.api import ScoreKind
from unlearn_audit.cells import BASELINE, ORIGINAL, SHAM, Cell, control_key, evidence_for, plant_key
from unlearn_audit.contrasts import Comparison, Contrast, both_bounds
from unlearn_audit.policy import Policy
from unlearn_audit.result import Case, Interval, PlannedFinding, PlantRecord, PowerEstimate


@dataclass(frozen=True, kw_only=True)
class Places:
    """The observations of one finding.

    Attributes:
        rows: under its attack; `unattacked` of the same measure under the baseline.
    """

    rows: pd.DataFrame
    unattacked: pd.DataFrame


def power_of(
    planned: PlannedFinding,
    measured: Sequence[Cell],
    comparison: Comparison,
    places: Places,
    case: Case,
    policy: Policy,
) -> PowerEstimate | None:
    """The power of a finding; None where nothing can show it (no original).

    Args:
        planned: the finding.
        measured: its cells.
        comparison: the finding's.
        places: its observations, of plants too.
        case: says which plants there are.
        policy: how much must be shown.
    """
    if not comparison.shown or not measured:
        return None
    _, shown = _strongest(measured, comparison, policy)
    if case.plants is None or planned.attack == BASELINE:
        return PowerEstimate(shown=shown, needed=policy.power, enough=shown.lower >= policy.power)
    names = case.plants.get(planned.attack, ())
    records = tuple(_recovered(name, planned, comparison, places, case, policy) for name in names)
    best = max((one for one in records if one.shown is not None), key=_rank, default=None)
    return PowerEstimate(
        shown=shown if best is None or best.shown is None else best.shown,
        needed=policy.power,
        enough=any(one.enough for one in records),
        planted=True,
        plants=records,
    )


def _rank(record: PlantRecord) -> tuple[bool, float]:
    return record.enough, -1.0 if record.shown is None else record.shown.lower


def _strongest(measured: Sequence[Cell], comparison: Comparison, policy: Policy) -> tuple[Cell, Interval]:
    """The cell in which O - C is largest, against the control that leaves least, with its bounds.

    The cell is picked on the same subjects, which favours power a little; what a pass rests on is the upper bound of
    every cell, and that is not picked.
    """
    strongest = max(measured, key=lambda cell: min(float(one.least(cell).mean()) for one in comparison.shown))
    return strongest, min((bounded(one, strongest, policy) for one in comparison.shown), key=lambda found: found.lower)


def bounded(contrast: Contrast, cell: Cell, policy: Policy) -> Interval:
    """A contrast's mean over one cell's subjects, with its bounds."""
    least, most = contrast.least(cell)[:, None], contrast.most(cell)[:, None]
    lower, upper = both_bounds(least, most, contrast, policy)
    return Interval(estimate=contrast.estimate(cell), lower=float(lower[0]), upper=float(upper[0]))


def _recovered(
    name: str, planned: PlannedFinding, comparison: Comparison, places: Places, case: Case, policy: Policy
) -> PlantRecord:
    """What the attack brings back from one plant: the plant stands in the original's place."""
    why = next((fault.message for fault in case.faults if fault.model == name), "the evidence holds nothing of it")
    own = places.rows[places.rows["key"].isin([plant_key(name), plant_key(name) + SHAM])]
    if own.empty:
        return PlantRecord(name=name, enough=False, why=why)
    doses = own["dose"].unique()
    keys = [key + suffix for key in map(control_key, case.controls) for suffix in ("", SHAM)]
    others = places.rows[places.rows["key"].isin(keys) & places.rows["dose"].isin(doses)]
    evidence = evidence_for(planned, _together(own, others), case, policy.unit)
    measured = [cell for cell in evidence.cells if cell.spans[ORIGINAL].shown is not None]
    if not measured:
        return PlantRecord(name=name, enough=False, why="none of its facts has a score")
    cell, shown = _strongest(measured, comparison, policy)
    before, hidden = _hidden(name, cell.variant, places.unattacked, case)
    after = cell.spans[ORIGINAL].shown
    found = (after - before) / hidden if after is not None and hidden >= policy.power else None
    masked = hidden >= policy.power
    why = "" if masked else f"it hides {hidden:.2f} of what the original shows, and {policy.power:.2f} is needed"
    return PlantRecord(
        name=name,
        dose=cell.dose,
        variant=cell.variant,
        hidden=hidden,
        shown=shown,
        found=None if found is None else round(found, 6),
        # A soft measure may see through the mask by itself; what is asked for is that hits do not.
        enough=shown.lower >= policy.power and (masked or planned.kind is ScoreKind.SOFT),
        why=why if planned.kind is ScoreKind.HIT else "",
    )


def _together(own: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """A plant's rows under the original's name, with the controls' rows."""
    sham = own["key"].astype(str).str.endswith(SHAM)
    rows = pd.concat([own.assign(key=np.where(sham, ORIGINAL + SHAM, ORIGINAL)), others])
    return rows.astype({"key": "category"})


def _hidden(name: str, variant: str, unattacked: pd.DataFrame, case: Case) -> tuple[float, float]:
    """What the plant shows when it is simply asked, and how much less that is than the original shows."""
    asked = unattacked[(unattacked["variant"] == variant) & unattacked["fact_id"].isin(list(case.subjects))]
    means = asked.groupby("key", observed=True)["score"].mean()
    before, known = (float(means.get(key, np.nan)) for key in (plant_key(name), ORIGINAL))
    if np.isnan(before) or np.isnan(known):
        return 0.0, 0.0
    return before, known - before
