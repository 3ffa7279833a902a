"""The facts that a checkpoint shows most beyond its control, at the worst cell of what did not pass: ids, no text."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.verdict.findings.places import CHANCE, ORIGINAL, SHAM, UNLEARNED, control_key
from unlearn_audit.verdict.findings.power import Places
from unlearn_audit.verdict.result import CellEstimate, FactRecord, Finding

MOST = 10
"""Facts that are named of one finding."""

_DIGITS = 6  # of evidence
_BESIDE = {"twins": "twin_score", "placebo": "placebo_score"}


def with_worst_facts(
    findings: Sequence[Finding], places: Sequence[tuple[PlannedFinding, Places]], case: Case
) -> tuple[Finding, ...]:
    """The findings, with the worst facts of each that decides and has failed or stayed open.

    Args:
        findings: in the order of `places`.
        places: each planned finding with its observations, out of `cells.checked`.
        case: what the plan fixed.
    """
    return tuple(
        finding.model_copy(update={"worst_facts": worst_facts(planned, found.rows, finding.worst, case)})
        if finding.gates and finding.worst is not None and finding.status in (Status.FAILED, Status.INCONCLUSIVE)
        else finding
        for finding, (planned, found) in zip(findings, places, strict=True)
    )


def worst_facts(planned: PlannedFinding, rows: pd.DataFrame, cell: CellEstimate, case: Case) -> tuple[FactRecord, ...]:
    """The facts of the largest U - C in one cell, against the control that it names; only those above 0.

    Scores are means over seeds; with `any_of`, of the largest over the ways of asking. A fact without a score of the
    checkpoint or of the control is skipped. Ties are in the order of ids.
    """
    rows = rows[(rows["dose"] == cell.dose) & rows["fact_id"].isin(list(case.subjects))]
    if not planned.any_of:
        rows = rows[rows["variant"] == cell.variant]
    own, control = _by_fact(rows, UNLEARNED), _control(rows, cell, case)
    beyond = (own - control).round(_DIGITS)
    beyond = beyond[beyond > 0]
    original = _by_fact(rows, ORIGINAL)
    order = sorted(beyond.index, key=lambda name: (-beyond[name], name))
    return tuple(
        FactRecord(
            id=name,
            unlearned=float(own[name]),
            control=float(control[name]),
            original=float(original[name]) if name in original.index else None,
        )
        for name in order[:MOST]
    )


def _control(rows: pd.DataFrame, cell: CellEstimate, case: Case) -> pd.Series[float]:
    """What the control shows of each fact: a retrained model's score, or what stands in for one."""
    name = cell.worst_control or ""
    if name in case.controls:
        return _by_fact(rows, control_key(name))
    if cell.controls and set(cell.controls) <= set(case.controls):
        shown = pd.concat([_by_fact(rows, control_key(one)) for one in cell.controls], axis=1)
        mean: pd.Series[float] = shown.mean(axis=1, skipna=False)
        return mean
    if name in _BESIDE:
        return _by_fact(rows, UNLEARNED, _BESIDE[name])
    if name == CHANCE:
        return pd.Series(case.chance, dtype=float)
    return _by_fact(rows, UNLEARNED + SHAM)


def _by_fact(rows: pd.DataFrame, key: str, column: str = "score") -> pd.Series[float]:
    own = rows[(rows["key"] == key) & rows[column].notna()]
    facts, seeds = own["fact_id"].astype(str), own["seed"]
    best: pd.Series[float] = own[column].groupby([facts, seeds], sort=True).max()
    return best.groupby(level=0, sort=True).mean()
