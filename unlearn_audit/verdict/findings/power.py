"""Could a finding have detected the knowledge? Measured on the original, and on plants that hide it (design 6.2).

A clean result means nothing if the attack would have found nothing anyway. Without plants a finding's power is what
the original shows beyond the control, under the same attack. With plants it is what the attack brings back from a
model made to hide the knowledge in exactly the way that this attack undoes: under the baseline that model is the
original itself. Lack of power rules out a pass, never a fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unlearn_audit.api import ScoreKind
from unlearn_audit.plan.case import SERVED, Case, PlannedFinding, is_named
from unlearn_audit.statistics.bounds import TOLERANCE
from unlearn_audit.verdict.findings.contrasts import Contrasts, bounded, counted
from unlearn_audit.verdict.findings.places import (
    BASELINE,
    ORIGINAL,
    SHAM,
    UNLEARNED,
    Cell,
    control_key,
    plant_key,
    scores_for,
)
from unlearn_audit.verdict.policy.terms import Terms
from unlearn_audit.verdict.result import Interval, PlantRecord, PowerEstimate


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
    contrasts: Contrasts,
    places: Places,
    terms: Terms,
) -> PowerEstimate | None:
    """The power of a finding; None if nothing can show it (no original).

    Args:
        planned: the finding.
        measured: its cells.
        contrasts: the finding's.
        places: its observations, of plants too.
        terms: the case with its plants, and how much must be shown.
    """
    if not contrasts.shown or not measured:
        return None
    _, shown = _strongest(measured, contrasts, terms)
    plants = terms.case.plants
    if plants is None or planned.attack in (BASELINE, SERVED):
        found = _found_at(measured, contrasts, terms)
        return PowerEstimate(shown=shown, needed=terms.power, enough=shown.lower >= terms.power, doses=found)
    names = plants.get(planned.attack, ())
    records = tuple(_record(name, planned, contrasts, places, terms) for name in names)
    best = max((one for one in records if one.shown is not None), key=_rank, default=None)
    return PowerEstimate(
        shown=shown if best is None or best.shown is None else best.shown,
        needed=terms.power,
        enough=any(one.enough for one in records),
        planted=True,
        plants=records,
        doses=_doses_of(records) + _found_at(_unplanted(measured, planned, terms.case), contrasts, terms),
    )


def _unplanted(measured: Sequence[Cell], planned: PlannedFinding, case: Case) -> list[Cell]:
    """Cells of served formats that have no plant: nothing is known that they would undo.

    They are the model as somebody meets it, like the baseline, and power there is what the original shows.
    """
    arms = [arm for arms in case.plant_arms.get(planned.attack, {}).values() for arm in arms]
    return [cell for cell in measured if planned.attack in case.served_arms and not is_named(cell.dose, arms)]


def _doses_of(plants: Sequence[PlantRecord]) -> tuple[str, ...]:
    """Where any plant came back: a plant runs under the arms that are to undo it alone, and lends nothing to others."""
    return tuple(dict.fromkeys(dose for plant in plants if plant.enough for dose in plant.doses))


def _found_at(measured: Sequence[Cell], contrasts: Contrasts, terms: Terms) -> tuple[str, ...]:
    """The doses at which what stands in the original's place would not pass: a whole leak is seen there.

    Less than `terms.power`, which the attack must show somewhere: a dose that weakens every model shows less of a leak,
    and as long as that is more than the margin, which is a share of what is known un-attacked, it cannot hide one.
    """
    doses: dict[str, list[Cell]] = {}
    for cell in measured:
        doses.setdefault(cell.dose, []).append(cell)
    return tuple(dose for dose, cells in doses.items() if _would_not_pass(cells, contrasts, terms))


def _would_not_pass(measured: Sequence[Cell], contrasts: Contrasts, terms: Terms) -> bool:
    """Whether O - C is above what may come back in the strongest of these cells, for certain."""
    cell, shown = _strongest(measured, contrasts, terms)
    known = max(one.estimate(cell) for one in contrasts.known)
    return shown.lower > max(terms.margin * known, 0.0) + TOLERANCE


def short_of_plateau(planned: PlannedFinding, measured: Sequence[Cell], case: Case) -> str:
    """Why an attack that trains shows nothing here: on the checkpoint no dose of it was at its plateau; else empty.

    An arm that did not learn its own lessons, or was not trained on beyond that, might have brought more back.
    """
    short = [one for one in case.short_of_plateau if one.attack == planned.attack and one.model == UNLEARNED]
    doses = {dose for one in short for dose in one.doses}
    if not doses or any(cell.dose not in doses for cell in measured):
        return ""
    return f"no arm was trained to its plateau ({short[0].arm}: {short[0].why})"


def _rank(record: PlantRecord) -> tuple[bool, float]:
    return record.enough, -1.0 if record.shown is None else record.shown.lower


def _strongest(measured: Sequence[Cell], contrasts: Contrasts, terms: Terms) -> tuple[Cell, Interval]:
    """The cell in which O - C is largest, against the control that leaves least, with its bounds (of a list, counted).

    The cell is picked on the same subjects, which favors power a little; a pass rests on the upper bound of
    every cell, which is not picked.
    """
    strongest = max(measured, key=lambda cell: min(float(one.least(cell).mean()) for one in contrasts.shown))
    found = [counted(one, strongest) if terms.listed else bounded(one, strongest, terms) for one in contrasts.shown]
    return strongest, min(found, key=lambda interval: interval.lower)


def _record(name: str, planned: PlannedFinding, contrasts: Contrasts, places: Places, terms: Terms) -> PlantRecord:
    """What the attack brings back from one plant: the plant stands in the original's place."""
    case = terms.case
    why = next((fault.message for fault in case.faults if fault.model == name), "there is no evidence on it")
    own = places.rows[places.rows["key"].isin([plant_key(name), plant_key(name) + SHAM])]
    if own.empty:
        return PlantRecord(name=name, enough=False, why=why)
    doses = own["dose"].unique()
    keys = [key + suffix for key in map(control_key, case.controls) for suffix in ("", SHAM)]
    others = places.rows[places.rows["key"].isin(keys) & places.rows["dose"].isin(doses)]
    scores = scores_for(planned, _together(own, others), terms)
    measured = [cell for cell in scores.cells if cell.spans[ORIGINAL].shown is not None]
    if not measured:
        return PlantRecord(name=name, enough=False, why="none of its facts has a score")
    cell, shown = _strongest(measured, contrasts, terms)
    after = cell.spans[ORIGINAL].shown
    asked = _unattacked(name, cell.variant, places.unattacked, case)
    if asked is None:
        why = "it was not measured unattacked, so it is unknown whether it hides anything"
        return PlantRecord(name=name, dose=cell.dose, variant=cell.variant, shown=shown, enough=False, why=why)
    before, hidden = asked
    masked = hidden >= terms.power
    return PlantRecord(
        name=name,
        dose=cell.dose,
        variant=cell.variant,
        hidden=hidden,
        shown=shown,
        found=min(1.0, round((after - before) / hidden, 6)) if after is not None and masked else None,
        doses=_found_at(measured, contrasts, terms),
        enough=shown.lower >= terms.power and masked,
        why="" if masked else f"it hides {hidden:.2f} of what the original shows; {terms.power:.2f} is needed",
    )


def _together(own: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """A plant's rows under the original's name, with the controls' rows."""
    sham = own["key"].astype(str).str.endswith(SHAM)
    rows = pd.concat([own.assign(key=np.where(sham, ORIGINAL + SHAM, ORIGINAL)), others])
    return rows.astype({"key": "category"})


def _unattacked(name: str, variant: str, rows: pd.DataFrame, case: Case) -> tuple[float, float] | None:
    """What the plant shows when simply asked, and how much less that is than the original shows; by subject."""
    asked = rows[(rows["variant"] == variant) & rows["fact_id"].isin(list(case.subjects)) & rows["score"].notna()]
    subjects = asked["fact_id"].astype(str).map(case.units)
    means = asked.groupby([asked["key"].astype(str), subjects])["score"].mean()
    before, known = (means[key].mean() if key in means.index else None for key in (plant_key(name), ORIGINAL))
    return None if before is None or known is None else (float(before), float(known - before))


def lend_power(estimates: Mapping[PlannedFinding, PowerEstimate]) -> dict[PlannedFinding, PowerEstimate]:
    """Power of soft findings that see through a mask on their own, taken from the hits of the same attack.

    Forced choice reads a refusing model's knowledge without any attack: the plant hides nothing from it, and so says
    nothing about the attack. If a finding on hits shows that the attack recovered that very plant, the soft measure
    next to it has power as well; an attack that leaves its plant as it was has none anywhere.
    """
    found: dict[str, dict[str, set[str]]] = {}
    for planned, power in estimates.items():
        for plant in power.plants:
            if planned.kind is ScoreKind.HIT and plant.enough:
                found.setdefault(planned.attack, {}).setdefault(plant.name, set()).update(plant.doses)
    return {
        planned: _lent(power, found.get(planned.attack, {})) if planned.kind is ScoreKind.SOFT else power
        for planned, power in estimates.items()
    }


def _lent(power: PowerEstimate, found: Mapping[str, set[str]]) -> PowerEstimate:
    """With the plants that hits found, at the doses at which they did.

    Args:
        power: of a soft finding.
        found: plant -> the doses at which hits of the same attack brought it back.
    """
    plants = tuple(
        plant.model_copy(
            update={
                "enough": True,
                "why": "",
                "doses": tuple(dose for dose in plant.doses if dose in found[plant.name]),
            }
        )
        if plant.name in found and plant.shown is not None and plant.shown.lower >= power.needed
        else plant
        for plant in power.plants
    )
    enough = (any(plant.enough for plant in plants) if power.planted else power.enough) and not power.why
    best = max((one for one in plants if one.shown is not None), key=_rank, default=None)
    shown = power.shown if best is None or best.shown is None else best.shown
    others = tuple(dose for dose in power.doses if dose not in _doses_of(power.plants))
    doses = _doses_of(plants) + others
    return power.model_copy(update={"plants": plants, "enough": enough, "shown": shown, "doses": doses})
