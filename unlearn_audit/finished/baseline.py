"""A newer audit against an older one: a paired test on the facts, doses and ways of asking that both have.

For each finding D_s = new_s - old_s, subject by subject, with the bounds and the p-value of the verdict itself: the
picked cell is corrected for, and Holm runs over the deciding findings. Retained knowledge is tested the other way
round. A score that only one of the two models has is unknown in the other, and counts for the hypothesis. No
controls are needed: this says that something changed, not that it is a leak.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from unlearn_audit.api import Role
from unlearn_audit.errors import AuditError
from unlearn_audit.finished.redecide import finished, observations_of, with_verdict
from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.report.parts.numbers import p_value
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.spec.waivers import UTILITY
from unlearn_audit.statistics.bounds import Sample, holm, picked_p_value
from unlearn_audit.verdict.changes import BaselineRecord, Change, Direction
from unlearn_audit.verdict.findings.contrasts import SEED, Contrast, bounded
from unlearn_audit.verdict.findings.places import (
    BASELINE,
    UNLEARNED,
    Cell,
    checked,
    control_key,
    scores_for,
)
from unlearn_audit.verdict.findings.score_tables import ITEM
from unlearn_audit.verdict.findings.utility import FINDING, MEASURE, PROBE, in_one_cell
from unlearn_audit.verdict.policy.planned import under
from unlearn_audit.verdict.policy.terms import Terms
from unlearn_audit.verdict.result import Outcome, Result

_OLD = "baseline"
_MOST_NAMED = 5
_GROWN = Contrast(control=_OLD, beside={_OLD: control_key(_OLD)}, weights={UNLEARNED: 1.0, control_key(_OLD): -1.0})
_FALLEN = Contrast(control=_OLD, beside={_OLD: control_key(_OLD)}, weights={UNLEARNED: -1.0, control_key(_OLD): 1.0})


def held_against(run: Path, result: Result, baseline: Path) -> Result:
    """The result of a run; it fails if a deciding finding got worse since the baseline.

    Args:
        run: the newer run.
        result: as it was decided.
        baseline: the older run.

    Raises:
        AuditError: the two have nothing in common.
        IntegrityError: the baseline was changed.
    """
    old = finished(baseline)
    record = compared(observations_of(run, result), result, observations_of(baseline, old), old)
    waived = {name for one in result.verdict.waivers for name in one.covers}
    worse = [one for one in record.worse() if one.finding not in waived]
    result = result.model_copy(update={"baseline": record})
    if not worse:
        return result
    lines = tuple(f"{one.finding}: worse than the baseline {_described(one)}" for one in worse)
    verdict = result.verdict
    rest = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    failed = verdict.outcome is Outcome.FAIL
    sentence = (
        f"{verdict.sentence} Worse than the baseline: {lines[0]}{rest}." if failed else f"FAIL: {lines[0]}{rest}."
    )
    update = {"outcome": Outcome.FAIL, "sentence": sentence, "reasons": lines + verdict.reasons}
    return with_verdict(result, verdict.model_copy(update=update))


def compared(new: pd.DataFrame, result: Result, old: pd.DataFrame, baseline: Result) -> BaselineRecord:
    """What changed from the baseline to the result.

    Args:
        new: observations of the newer run; `old` of the older.
        result: the newer result, whose policy says what decides.
        old: see `new`.
        baseline: the older result.

    Raises:
        AuditError: no finding has a fact in common.
    """
    policy = result.policy
    known = {one.id for one in under(baseline.case, policy).planned}
    planned = [one for one in under(result.case, policy).planned if one.probe != PROBE]
    found = [_change(one, new, old, result.case.subjects, policy) for one in planned if one.id in known]
    if result.case.retain_subjects or baseline.case.retain_subjects:
        found.append(_utility(new, old, result.case.retain_subjects, policy))
    changes = [one for one in found if isinstance(one, Change)]
    apart = [one for one in found if isinstance(one, str)]
    if not any(one.finding != UTILITY for one in changes):
        named = f" ({'; '.join(apart[:_MOST_NAMED])}{_rest(apart)})" if apart else ""
        raise AuditError(
            "expected facts that both runs asked in the same way, found none: there is nothing to compare" + named
        )
    return BaselineRecord(
        checkpoint=baseline.case.checkpoint,
        evidence=baseline.evidence_digest,
        policy=baseline.policy_digest,
        alpha=policy.alpha,
        notes=(*_notes(result, baseline, planned, known), *(f"not comparable: {one}" for one in apart)),
        changes=tuple(_settled(changes, policy)),
    )


def _settled(changes: Sequence[Change], policy: Policy) -> Iterator[Change]:
    adjusted = iter(holm([one.p_value for one in changes if one.gates]))
    for one in changes:
        deciding = next(adjusted) if one.gates else None
        shown = one.p_value if deciding is None else deciding
        direction = Direction.WORSE if shown <= policy.alpha else one.direction
        yield one.model_copy(update={"holm_p_value": deciding, "direction": direction})


def _change(
    planned: PlannedFinding, new: pd.DataFrame, old: pd.DataFrame, subjects: dict[str, str], policy: Policy
) -> Change | str:
    """A finding in both; a line on why it cannot be compared where they have no cell in common."""
    plain = planned.model_copy(update={"sham": False, "doses": None, "unserved": False})
    now, then = (_covered(planned, _rows(plain, frame)) for frame in (new, old))
    terms = _terms(plain, subjects, policy)
    cells = _cells(plain, _paired(now, then), terms)
    return _measured(planned.id, planned.gates, cells, _GROWN, terms) if cells else _apart(planned.id, now, then)


def _covered(planned: PlannedFinding, rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["dose"].astype(str).map(planned.covers).astype(bool)]


def _utility(new: pd.DataFrame, old: pd.DataFrame, subjects: dict[str, str], policy: Policy) -> Change | str:
    terms = _terms(FINDING, subjects, policy)
    now, then = (_rows(FINDING, frame) for frame in (new, old))
    cells = _cells(FINDING, in_one_cell(_paired(now, then)), terms)
    return _measured(UTILITY, True, cells, _FALLEN, terms) if cells else _apart(UTILITY, now, then)


def _apart(name: str, now: pd.DataFrame, then: pd.DataFrame) -> str:
    """Why two runs have no cell of a finding in common, with the doses of both."""
    doses = [list(dict.fromkeys(sorted(map(str, rows["dose"])))) for rows in (then, now)]
    shown = [", ".join(some[:_MOST_NAMED]) + _rest(some) or "none" for some in doses]
    shared = set(doses[0]) & set(doses[1])
    why = "no fact with a score in both" if shared else "no dose in common"
    return f"{name}: {why} (doses then: {shown[0]}; now: {shown[1]})"


def _rest(names: Sequence[str]) -> str:
    return f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""


def _terms(planned: PlannedFinding, subjects: dict[str, str], policy: Policy) -> Terms:
    """The policy's own terms for a case in which the older checkpoint is the one control."""
    case = Case(
        release=Release.OPEN_WEIGHTS, subjects=subjects, has_original=False, controls=(_OLD,), planned=(planned,)
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


def _measured(name: str, gates: bool, cells: Sequence[Cell], worse: Contrast, terms: Terms) -> Change:
    """The numbers of a change, in the cell in which it is largest."""
    intervals = [bounded(worse, cell, terms) for cell in cells]
    place = int(np.argmax([one.estimate for one in intervals]))
    cell, interval = cells[place], intervals[place]
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
        p_value=picked_p_value(samples, lo=worse.lo, hi=worse.hi, draws=terms.draws, seed=SEED),
        subjects=len(cell.subjects),
        facts=cell.facts,
        direction=Direction.BETTER if interval.upper < 0 else Direction.OPEN,
    )


def _described(one: Change) -> str:
    moved, nearest = ("fell", -one.upper) if one.finding == UTILITY else ("grew", one.lower)
    return (
        f"at {one.dose}, {one.variant}: {one.old:.2f} then and {one.new:.2f} now ({moved} by {nearest:.2f} or more, "
        f"Holm p {p_value(one.holm_p_value)}, {one.subjects} subjects)"
    )


def _notes(result: Result, baseline: Result, planned: Sequence[PlannedFinding], known: set[str]) -> Iterator[str]:
    """What differs between the two audits besides the model."""
    if result.case.checkpoint == baseline.case.checkpoint:
        yield "both audits are of the same model"
    for name in ("forget", "retain"):
        digests = {one.digest for run in (result, baseline) for one in run.data if one.set == name}
        if len(digests) > 1:
            yield f"the {name} sets differ; facts with the same id are taken to be the same fact"
    pairs = {
        "release tiers": (result.case.release, baseline.case.release),
        "profiles": (result.profile, baseline.profile),
        "seeds": (str(result.seed), str(baseline.seed)),
        "architectures": (_architecture(result), _architecture(baseline)),
        "policies": (result.policy_digest[:16], baseline.policy_digest[:16]),
        "tool versions": (result.tool_version, baseline.tool_version),
    }
    for name, (now, then) in pairs.items():
        if now != then:
            yield f"{name} differ: {then} then, {now} now"
    names = (result.versions.keys() | baseline.versions.keys()) - {"unlearn-audit"}
    other = sorted(name for name in names if result.versions.get(name) != baseline.versions.get(name))
    if other:
        yield f"versions differ: {', '.join(other)}"
    added = [one.id for one in planned if one.id not in known]
    lost = sorted(known - {one.id for one in planned} - {f"{BASELINE}/{PROBE}.{MEASURE}"})
    for what, several in (("not in the baseline", added), ("only in the baseline", lost)):
        if several:
            yield f"{what}: {', '.join(several[:_MOST_NAMED])}{_rest(several)}"


def _architecture(result: Result) -> str:
    return next((model.architecture for model in result.models if model.role == "unlearned"), "unknown")
