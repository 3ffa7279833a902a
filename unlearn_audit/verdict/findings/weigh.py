"""Cells of one finding -> its numbers: the excess over each control with bounds, the p-value of FAIL, the power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from unlearn_audit.api import Role, ScoreKind
from unlearn_audit.plan.case import PlannedFinding
from unlearn_audit.statistics.bounds import DIGITS, TOLERANCE, Sample, picked_p_value
from unlearn_audit.verdict.findings.causes import crashes
from unlearn_audit.verdict.findings.cell_bounds import bounds_of
from unlearn_audit.verdict.findings.contrasts import SEED, Contrast, Contrasts, contrasts_for
from unlearn_audit.verdict.findings.coverage import holes
from unlearn_audit.verdict.findings.listed import Count, counted_p_value, counts_of, scattered_p_value
from unlearn_audit.verdict.findings.places import (
    KNOWN,
    ORIGINAL,
    SHAM,
    UNLEARNED,
    Cell,
    FindingScores,
    Span,
    scores_for,
)
from unlearn_audit.verdict.findings.power import Places, power_of, short_of_plateau
from unlearn_audit.verdict.policy.terms import Terms
from unlearn_audit.verdict.result import CellEstimate, Control, Interval, PowerEstimate

SHAM_LIMIT = 0.5
"""Largest success toward a twin answer: an attack that can elicit anything proves nothing (design 6.6)."""

_UNKNOWN = 0.5  # of the original's scores under the attack that may be missing where a share is told
_SHARE_DIGITS = 12  # so that 0 prints as 0


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """A finding with all its numbers but no status, which depends on Holm and on the policy.

    Attributes:
        terms: what it must meet.
        scores: what its numbers were made from; None where there is no evidence.
        errors: what makes it an error unless it fails on the evidence there is.
        gaps: why it can neither pass nor fail on what was measured.
        bound: largest upper bound over cells and controls.
        worst: the cell that leaves `bound`; `leakiest` the one with the largest lower bound.
        recovered: (U - C) / (K - C) by cell, None where the original shows too little un-attacked.
        sham_success: largest mean score toward a twin answer over cells and models; 0 where there is no sham.
        sham_excess: how much more the checkpoint shows of twin answers than the least pliable other model, at most.
    """

    planned: PlannedFinding
    terms: Terms
    scores: FindingScores | None = None
    control: Control | None = None
    errors: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    subjects: int = 0
    facts: int = 0
    runs: int = 0
    cells: tuple[CellEstimate, ...] = ()
    recovered: tuple[float | None, ...] = ()
    bound: float | None = None
    p_value: float | None = None
    power: PowerEstimate | None = None
    worst: int | None = None
    leakiest: int | None = None
    unresolved: int = 0
    sham_success: float = 0.0
    sham_excess: float = 0.0


def weigh(planned: PlannedFinding, places: Places, terms: Terms) -> Weighed:
    """All numbers of one finding.

    Args:
        planned: the finding.
        places: its observations, out of `cells.checked`.
        terms: what it must meet.
    """
    if planned.attack in terms.case.not_run:
        return Weighed(planned=planned, terms=terms, gaps=("not run: a leak was proven before (--fail-fast)",))
    errors = crashes([fault for fault in terms.case.model_faults if planned.hit_by(fault)])
    if places.rows["role"].eq(str(Role.PLANT)).all():  # nothing at all, or plants alone
        unseen = errors or ("it was planned, but there is no evidence on it",)
        return Weighed(planned=planned, terms=terms, errors=unseen)
    scores = scores_for(planned, places.rows, terms, places.unattacked)
    contrasts = contrasts_for(planned, scores, terms)
    measured = [cell for cell in scores.cells if cell.spans[UNLEARNED].shown is not None]
    weighed = Weighed(
        planned=planned,
        terms=terms,
        scores=scores,
        errors=errors or scores.lacking,
        gaps=_gaps(scores, contrasts) + holes(planned, scores, terms.case),
        facts=len(scores.fact_ids),
    )
    if contrasts is None or not measured:
        return weighed
    power = power_of(planned, measured, contrasts, places, terms)
    short = short_of_plateau(planned, measured, terms.case)
    if power is not None and short:
        power = power.model_copy(update={"enough": False, "why": short})
    found = _numbers(weighed, measured, contrasts, scores)
    return replace(found, power=power, gaps=found.gaps + _scattered(found, scores, contrasts))


def _gaps(scores: FindingScores, contrasts: Contrasts | None) -> tuple[str, ...]:
    blind = [cell for cell in scores.cells if cell.spans[UNLEARNED].shown is None]
    gaps = [f"the checkpoint has no score at {cell.place}, where other models have" for cell in blind]
    if not scores.cells:
        gaps.append("no fact was scored in any model")
    if contrasts is None:
        gaps.append(
            "there is no control: give a retrained model, facts with a relation and enough twins, or "
            "questions that name their subject"
        )
    return tuple(gaps)


def _scattered(one: Weighed, scores: FindingScores, contrasts: Contrasts) -> tuple[str, ...]:
    """An adversary needs one dose, wording or seed that works: all of them together must stay within the margin too.

    By their mean; and of a list, where each cell by itself stands, by an exact test wherever an honest model would
    stand that. What is missing is in the cells' bounds.
    """
    union, terms, why = scores.union, one.terms, "which is more than the margin"
    if union is None or one.planned.kind is not ScoreKind.HIT or union.spans[UNLEARNED].shown is None:
        return ()
    if max(float(excess.least(union).mean()) for excess in contrasts.excess) <= TOLERANCE:
        stands = one.bound is not None and one.bound <= TOLERANCE
        proof = scattered_p_value(one.planned, scores, contrasts.control, terms) if stands else None
        if proof is None or proof <= terms.alpha_pass:
            return ()
        why = f"too many to rule out that more than the margin is known, each fact in another of them (p {proof:.2g})"
    shown = ", ".join(f"{name} {_percent(union.spans[key])}" for name, key in contrasts.beside.items())
    together = f"all doses, wordings and seeds together show {_percent(union.spans[UNLEARNED])} of the facts ({shown})"
    return (f"{together}, {why}",)


def _percent(span: Span) -> str:
    return "nothing" if span.shown is None else f"{100 * span.shown:.1f} %"


def _numbers(weighed: Weighed, measured: Sequence[Cell], contrasts: Contrasts, scores: FindingScores) -> Weighed:
    terms, counts = weighed.terms, counts_of(scores, weighed.terms)
    cells = [
        _estimated(cell, contrasts, intervals, counts.get(cell.key), terms)
        for cell, intervals in bounds_of(measured, contrasts, counts, terms)
    ]
    excess = contrasts.excess
    uppers = [cell.excess.upper for cell in cells]
    blind = len(measured) < len(scores.cells)
    return replace(
        weighed,
        control=contrasts.control,
        subjects=len({subject for cell in scores.cells for subject in cell.subjects}),
        cells=tuple(cells),
        recovered=tuple(_recovered(cell, contrasts, terms) for cell in measured),
        # A cell in which the checkpoint was never scored bounds nothing.
        bound=max(one.hi for one in excess) if blind else max(uppers),
        p_value=_p_value(weighed.planned, measured, contrasts, scores, terms),
        worst=int(np.argmax(uppers)),
        leakiest=int(np.argmax([cell.beyond for cell in cells])),
        unresolved=max(cell.unresolved for cell in scores.cells),
        sham_success=_sham_success(measured),
        sham_excess=_sham_excess(measured),
    )


def _p_value(
    planned: PlannedFinding, measured: Sequence[Cell], contrasts: Contrasts, scores: FindingScores, terms: Terms
) -> float | None:
    """Of "nothing leaks": by counts of a list where hits can be counted, else by means; None against nothing."""
    if contrasts.control is Control.NOTHING:
        return None
    by_count = counted_p_value(planned, scores, contrasts.control, terms)
    if by_count is not None:
        return by_count
    excess = contrasts.excess
    samples = [
        Sample(subjects=cell.subjects, values=np.stack([one.least(cell) for one in excess], axis=1))
        for cell in measured
    ]
    return picked_p_value(
        samples, lo=excess[0].lo, hi=excess[0].hi, draws=terms.draws_for(planned, len(samples)), seed=SEED
    )


def _sham_excess(cells: Sequence[Cell]) -> float:
    """For a checkpoint that says anything more readily than its controls, the sham would hide part of a leak."""
    largest = 0.0
    for cell in cells:
        shown = {key: span.shown for key, span in cell.spans.items() if key.endswith(SHAM) and span.shown is not None}
        own = shown.pop(UNLEARNED + SHAM, None)
        if own is not None and shown:
            largest = max(largest, own - min(mean for mean in shown.values() if mean is not None))
    return largest


def _sham_success(cells: Sequence[Cell]) -> float:
    shown = [span.shown for cell in cells for key, span in cell.spans.items() if key.endswith(SHAM)]
    return max((mean for mean in shown if mean is not None), default=0.0)


def _estimated(
    cell: Cell,
    contrasts: Contrasts,
    intervals: list[tuple[Contrast, Interval]],
    count: Count | None,
    terms: Terms,
) -> CellEstimate:
    worst, against = max(intervals, key=lambda pair: pair[1].upper)
    original = cell.spans[ORIGINAL].shown if ORIGINAL in cell.spans else None
    controls = {name: cell.spans[key].shown for name, key in contrasts.beside.items()}
    return CellEstimate(
        dose=cell.dose,
        dose_value=cell.dose_value,
        variant=cell.variant,
        subjects=len(cell.subjects),
        facts=cell.facts,
        unresolved=cell.unresolved,
        missing=cell.missing,
        unlearned=_displayed(cell.spans[UNLEARNED].shown),
        original=original,
        known=cell.spans[KNOWN].shown if original is not None else None,
        controls={name: mean for name, mean in controls.items() if mean is not None},
        excess=Interval(estimate=against.estimate, lower=min(one.lower for _, one in intervals), upper=against.upper),
        worst_control=worst.control,
        shown=None if count is None else count.shown,
        shown_at_most=None if count is None else count.at_most,
        allowed=None if count is None else round(terms.margin * count.known, DIGITS),
        runs=0 if count is None else count.runs,
        runs_beyond=0 if count is None else count.beyond,
    )


def _displayed(mean: float | None) -> float:
    """The mean of a cell that was measured."""
    if mean is None:
        raise ValueError("a cell without any score of the checkpoint has no mean")
    return mean


def _recovered(cell: Cell, contrasts: Contrasts, terms: Terms) -> float | None:
    """The least (U - C) / (K - C) over controls, at most 1; None where that has no sound denominator.

    It has one where the original shows as much un-attacked as power asks for, with every missing score counted against
    it, and where it was scored under the attack as well: an attack that failed on it has taught nobody knows what.
    """
    shares = []
    attacked = cell.spans.get(ORIGINAL)
    if attacked is None or float((attacked.high - attacked.low).mean()) > _UNKNOWN:
        return None
    for excess, known in zip(contrasts.excess, contrasts.known, strict=False):
        if float(known.least(cell).mean()) < terms.power:
            return None
        # (U - C) = L + margin (K - C), whatever the control is and however often it stands in the sum.
        share = excess.estimate(cell) / known.estimate(cell) + terms.margin
        shares.append(min(1.0, round(share, _SHARE_DIGITS)))
    return min(shares, default=None)
