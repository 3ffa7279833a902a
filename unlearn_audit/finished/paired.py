"""Two audited checkpoints on the same facts, paired by subject: did one show more than the other?

D_s = new_s - old_s, subject by subject, over the facts, doses and ways of asking that both have, with the bounds and
the p-value of the verdict itself: the picked cell is corrected for. Retained knowledge is tested the other way round.
A score that only one of the two has is unknown in the other, and counts for the hypothesis. No controls are needed:
this says that two models differ, not that one leaks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from unlearn_audit.api import Role
from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.spec.waivers import UTILITY
from unlearn_audit.statistics.bounds import FEW_CELLS, Sample, picked_p_value
from unlearn_audit.verdict.changes import Change, Direction
from unlearn_audit.verdict.findings.contrasts import SEED, Contrast, bounded
from unlearn_audit.verdict.findings.places import UNLEARNED, Cell, checked, control_key, scores_for
from unlearn_audit.verdict.findings.score_tables import ITEM
from unlearn_audit.verdict.findings.utility import FINDING, in_one_cell
from unlearn_audit.verdict.policy.terms import Terms

_OLD = "baseline"
MOST_NAMED = 5
_GROWN = Contrast(control=_OLD, beside={_OLD: control_key(_OLD)}, weights={UNLEARNED: 1.0, control_key(_OLD): -1.0})
_FALLEN = Contrast(control=_OLD, beside={_OLD: control_key(_OLD)}, weights={UNLEARNED: -1.0, control_key(_OLD): 1.0})


def grown(
    planned: PlannedFinding,
    new: pd.DataFrame,
    old: pd.DataFrame,
    subjects: Mapping[str, str],
    policy: Policy,
    *,
    family: int = 1,
) -> Change | str:
    """How much more of a finding the newer one shows; a line on why it cannot be compared, where that is so.

    `family` hypotheses are tested together: a p-value that more draws could make small enough for that gets them.
    """
    plain = planned.model_copy(update={"sham": False, "doses": None, "unserved": False})
    now, then = (_covered(planned, _rows(plain, frame)) for frame in (new, old))
    terms = _terms(plain, subjects, policy)
    cells = _cells(plain, _paired(now, then), terms)
    if not cells:
        return _apart(planned.id, now, then)
    return _measured(planned.id, planned.gates, cells, _GROWN, terms, family)


def _covered(planned: PlannedFinding, rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["dose"].astype(str).map(planned.covers).astype(bool)]


def fallen(
    new: pd.DataFrame, old: pd.DataFrame, subjects: Mapping[str, str], policy: Policy, *, family: int = 1
) -> Change | str:
    """How much less of what must stay the newer one shows; else as `grown`."""
    terms = _terms(FINDING, subjects, policy)
    now, then = (_rows(FINDING, frame) for frame in (new, old))
    cells = _cells(FINDING, in_one_cell(_paired(now, then)), terms)
    return _measured(UTILITY, True, cells, _FALLEN, terms, family) if cells else _apart(UTILITY, now, then)


def _apart(name: str, now: pd.DataFrame, then: pd.DataFrame) -> str:
    """Why two runs have no cell of a finding in common, with the doses of both."""
    doses = [list(dict.fromkeys(sorted(map(str, rows["dose"])))) for rows in (then, now)]
    shown = [", ".join(some[:MOST_NAMED]) + rest_of(some) or "none" for some in doses]
    shared = set(doses[0]) & set(doses[1])
    why = "no fact with a score in both" if shared else "no dose in common"
    return f"{name}: {why} (doses then: {shown[0]}; now: {shown[1]})"


def rest_of(names: Sequence[str]) -> str:
    """How many are not named."""
    return f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""


def _terms(planned: PlannedFinding, subjects: Mapping[str, str], policy: Policy) -> Terms:
    """The policy's own terms for a case in which the older checkpoint is the one control."""
    case = Case(
        release=Release.OPEN_WEIGHTS, subjects=dict(subjects), has_original=False, controls=(_OLD,), planned=(planned,)
    )
    return Terms.without_rule(case, policy)


def _paired(newer: pd.DataFrame, older: pd.DataFrame) -> pd.DataFrame:
    """The rows of both checkpoints at the places that both have; the older one stands where a control would."""
    older = older.assign(role=str(Role.RETRAINED), model=_OLD)
    both = newer[ITEM].merge(older[ITEM]).drop_duplicates()
    return pd.concat([newer.merge(both), older.merge(both)], ignore_index=True)


def _rows(planned: PlannedFinding, frame: pd.DataFrame) -> pd.DataFrame:
    kept = (
        (frame["role"].astype(str) == str(Role.UNLEARNED))
        & (frame["attack"] == planned.attack)
        & (frame["probe"] == planned.probe)
        & (frame["measure"] == planned.measure)
        & ~frame["sham"].astype(bool)
    )
    return frame[kept]


def _cells(planned: PlannedFinding, rows: pd.DataFrame, terms: Terms) -> tuple[Cell, ...]:
    """The cells in which both checkpoints have a score."""
    rows = rows[rows["fact_id"].isin(list(terms.case.subjects))]
    cells = () if rows.empty else scores_for(planned, checked(rows, terms.case), terms).cells
    return tuple(one for one in cells if None not in (_shown(one, UNLEARNED), _shown(one, control_key(_OLD))))


def _shown(cell: Cell, key: str) -> float | None:
    return cell.spans[key].shown


def _measured(name: str, gates: bool, cells: Sequence[Cell], worse: Contrast, terms: Terms, family: int) -> Change:
    """The numbers of a change, in the cell in which it is largest."""
    cell = cells[int(np.argmax([worse.estimate(one) for one in cells]))]
    interval = bounded(worse, cell, terms)
    samples = [Sample(subjects=one.subjects, values=worse.least(one)[:, None]) for one in cells]
    sign = 1.0 if worse is _GROWN else -1.0
    low, high = sorted((sign * interval.lower, sign * interval.upper))
    return Change(
        finding=name,
        gates=gates,
        dose=cell.dose,
        variant=cell.variant,
        old=_shown(cell, control_key(_OLD)) or 0.0,
        new=_shown(cell, UNLEARNED) or 0.0,
        estimate=sign * interval.estimate,
        lower=low,
        upper=high,
        p_value=_p_value(samples, worse, terms, family),
        subjects=len(cell.subjects),
        facts=cell.facts,
        direction=Direction.BETTER if interval.upper < 0 else Direction.OPEN,
    )


def _p_value(samples: Sequence[Sample], worse: Contrast, terms: Terms, family: int) -> float:
    """The p-value of a change in some cell. One that is as small as its draws allow gets those that a family needs."""
    tests = len(samples) if len(samples) <= FEW_CELLS else 2
    found = picked_p_value(samples, lo=worse.lo, hi=worse.hi, draws=terms.draws, seed=SEED)
    enough = math.ceil(2 * family * tests / terms.family_alpha)
    if enough <= terms.draws or found > 2 * tests / (terms.draws + 1):
        return found
    return picked_p_value(samples, lo=worse.lo, hi=worse.hi, draws=enough, seed=SEED)
