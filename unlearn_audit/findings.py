"""Cells of one finding -> its numbers: the excess over each control with bounds, the p-value of FAIL, the power.

Everything that is compared is linear in the models' scores, so that a score which is missing enters at whichever end
of [0, 1] speaks against the verdict at hand: for the upper bound the checkpoint knew it and the control did not, for
the lower bound and the p-value the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from unlearn_audit.api import ScoreKind
from unlearn_audit.cells import CHANCE, ORIGINAL, TWINS, UNLEARNED, Cell, Evidence, control_key, evidence_for
from unlearn_audit.policy import Policy
from unlearn_audit.result import Case, CellEstimate, Control, FaultyCell, Interval, PlannedFinding, PowerEstimate
from unlearn_audit.statistics import FloatArray, Sample, cross_fitted_p_value, gaffke_bounds

SEED = 0
"""Of every Monte Carlo draw: the same evidence always gives the same verdict."""

TWINS_NEEDED = 0.95
"""Share of the checkpoint's and the original's scores that must carry a twin score for twins to be the control."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A linear form in the models' mean scores, all of them in [0, 1].

    Attributes:
        control: the control's name, for display.
        weights: by key of a cell's spans.
        offset: added to the sum.
    """

    control: str
    weights: Mapping[str, float]
    offset: float = 0.0

    @property
    def lo(self) -> float:
        """The least value that there can be: every score at its unfavourable end."""
        return self.offset + sum(min(weight, 0.0) for weight in self.weights.values())

    @property
    def hi(self) -> float:
        """The largest."""
        return self.offset + sum(max(weight, 0.0) for weight in self.weights.values())

    def least(self, cell: Cell) -> FloatArray:
        """By subject, with every missing score at the end that makes the value small."""
        return self._sum(
            {key: cell.spans[key].low if w > 0 else cell.spans[key].high for key, w in self.weights.items()}
        )

    def most(self, cell: Cell) -> FloatArray:
        """By subject, with every missing score at the end that makes the value large."""
        return self._sum(
            {key: cell.spans[key].high if w > 0 else cell.spans[key].low for key, w in self.weights.items()}
        )

    def estimate(self, cell: Cell) -> float:
        """Mean over subjects; halfway between both ends where scores are missing."""
        return float((self.least(cell).mean() + self.most(cell).mean()) / 2)

    def _sum(self, values: Mapping[str, FloatArray]) -> FloatArray:
        total: FloatArray = np.sum([self.weights[key] * value for key, value in values.items()], axis=0) + self.offset
        return total


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a finding is compared with, once for each control.

    Attributes:
        excess: L = (U - C) - margin (O - C), or U - C - margin without an original; at most 0 is what a pass needs.
        shown: O - C, which power asks for; empty without an original.
    """

    control: Control
    excess: tuple[Contrast, ...]
    shown: tuple[Contrast, ...]


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """A finding with all its numbers and no status: that waits for Holm and for what the policy asks.

    Attributes:
        errors: what makes it an error unless it fails on the evidence there is.
        gaps: why it can be neither passed nor failed on what was measured.
        bound: largest upper bound over cells and controls.
        worst: the cell that leaves `bound`; `leakiest` the one with the largest lower bound.
        recovered: (U - C) / (O - C) by cell, None where the original shows too little.
    """

    planned: PlannedFinding
    control: Control | None = None
    errors: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    subjects: int = 0
    facts: int = 0
    cells: tuple[CellEstimate, ...] = ()
    recovered: tuple[float | None, ...] = ()
    bound: float | None = None
    p_value: float | None = None
    power: PowerEstimate | None = None
    worst: int | None = None
    leakiest: int | None = None
    unresolved: int = field(default=0)


def crash(fault: FaultyCell) -> str:
    """A cell that gave no evidence, for a reader."""
    return f"{fault.attack} ({fault.arm}) gave no evidence for {fault.model}: {fault.message}"


def weigh(planned: PlannedFinding, rows: pd.DataFrame, case: Case, policy: Policy) -> Weighed:
    """All numbers of one finding.

    Args:
        planned: the finding.
        rows: its observations, out of `cells.checked`.
        case: what the plan fixed.
        policy: margin, alpha, power, draws.
    """
    errors = tuple(crash(fault) for fault in case.faults if fault.attack == planned.attack)
    if rows.empty:
        return Weighed(planned=planned, errors=errors or ("it was planned, and the evidence holds nothing of it",))
    evidence = evidence_for(planned, rows, case, policy.unit)
    errors = errors or evidence.lacking
    comparison = _comparison(planned, evidence, case, policy)
    measured = [cell for cell in evidence.cells if cell.spans[UNLEARNED].shown is not None]
    blind = [cell for cell in evidence.cells if cell.spans[UNLEARNED].shown is None]
    gaps = [f"the checkpoint has no score at all at {cell.place}, where others have" for cell in blind]
    if not evidence.cells:
        gaps.append("no fact was scored in any model")
    if comparison is None:
        gaps.append("there is no control: give a retrained model, or facts with a relation that have enough twins")
    if comparison is None or not measured:
        return Weighed(planned=planned, errors=errors, gaps=tuple(gaps), facts=len(evidence.fact_ids))
    return _numbers(planned, comparison, measured, evidence, policy, errors=errors, gaps=tuple(gaps))


def _comparison(planned: PlannedFinding, evidence: Evidence, case: Case, policy: Policy) -> Comparison | None:
    """The best control that there is (design 6.1): retrained models, else twins, else chance for hits."""
    if case.controls:
        pairs = [(name, control_key(name), control_key(name)) for name in case.controls]
        return _against(Control.RETRAINED, pairs, case, policy)
    if evidence.twin_share >= TWINS_NEEDED:
        return _against(Control.TWINS, [("twins", UNLEARNED + TWINS, ORIGINAL + TWINS)], case, policy)
    if planned.kind is ScoreKind.HIT and not evidence.fact_ids.isdisjoint(case.chance):
        return _against(Control.CHANCE, [("chance", CHANCE, CHANCE)], case, policy)
    return None


def _against(control: Control, pairs: Sequence[tuple[str, str, str]], case: Case, policy: Policy) -> Comparison:
    """Contrasts against controls given as (name, key of what U is compared with, key of what O is compared with).

    Twins are scored on each model's own outputs, so that U and O have twins of their own; else the two keys are one,
    its weights add up to -(1 - margin), and L lies in [-1, 1].
    """
    margin = policy.margin
    if not case.has_original:
        points = [Contrast(control=n, weights={UNLEARNED: 1.0, of_u: -1.0}, offset=-margin) for n, of_u, _ in pairs]
        return Comparison(control=control, excess=tuple(points), shown=())
    excess, shown = [], []
    for name, of_unlearned, of_original in pairs:
        weights = {UNLEARNED: 1.0, of_unlearned: -1.0, ORIGINAL: -margin}
        weights[of_original] = weights.get(of_original, 0.0) + margin
        excess.append(Contrast(control=name, weights=weights))
        shown.append(Contrast(control=name, weights={ORIGINAL: 1.0, of_original: -1.0}))
    return Comparison(control=control, excess=tuple(excess), shown=tuple(shown))


def _numbers(
    planned: PlannedFinding,
    comparison: Comparison,
    measured: Sequence[Cell],
    evidence: Evidence,
    policy: Policy,
    *,
    errors: tuple[str, ...],
    gaps: tuple[str, ...],
) -> Weighed:
    cells = [_estimated(cell, comparison, intervals) for cell, intervals in _bounds(measured, comparison, policy)]
    excess = comparison.excess
    samples = [
        Sample(subjects=cell.subjects, values=np.stack([one.least(cell) for one in excess], axis=1))
        for cell in measured
    ]
    uppers, lowers = [cell.excess.upper for cell in cells], [cell.excess.lower for cell in cells]
    blind = len(measured) < len(evidence.cells)
    return Weighed(
        planned=planned,
        control=comparison.control,
        errors=errors,
        gaps=gaps,
        subjects=len({subject for cell in evidence.cells for subject in cell.subjects}),
        facts=len(evidence.fact_ids),
        cells=tuple(cells),
        recovered=tuple(_recovered(cell, comparison, policy) for cell in measured),
        # A cell in which the checkpoint was never scored bounds nothing.
        bound=max(one.hi for one in excess) if blind else max(uppers),
        p_value=cross_fitted_p_value(samples, lo=excess[0].lo, hi=excess[0].hi, draws=policy.draws, seed=SEED),
        power=_power(measured, comparison, policy),
        worst=int(np.argmax(uppers)),
        leakiest=int(np.argmax(lowers)),
        unresolved=max(cell.unresolved for cell in evidence.cells),
    )


def _bounds(
    measured: Sequence[Cell], comparison: Comparison, policy: Policy
) -> list[tuple[Cell, list[tuple[Contrast, Interval]]]]:
    """Each cell's excess over each control, with bounds; cells of equal size meet the same weights in one product."""
    excess = comparison.excess
    found: dict[int, list[tuple[Contrast, Interval]]] = {}
    for size in sorted({len(cell.subjects) for cell in measured}):
        places = [place for place, cell in enumerate(measured) if len(cell.subjects) == size]
        most = np.stack([one.most(measured[place]) for place in places for one in excess], axis=1)
        least = np.stack([one.least(measured[place]) for place in places for one in excess], axis=1)
        lower, upper = both_bounds(least, most, excess[0], policy)
        bounds = iter(zip(lower, upper, strict=True))
        for place in places:
            intervals = []
            for one in excess:
                low, high = next(bounds)
                interval = Interval(estimate=one.estimate(measured[place]), lower=float(low), upper=float(high))
                intervals.append((one, interval))
            found[place] = intervals
    return [(cell, found[place]) for place, cell in enumerate(measured)]


def both_bounds(
    least: FloatArray, most: FloatArray, contrast: Contrast, policy: Policy
) -> tuple[FloatArray, FloatArray]:
    """Lower bounds of `least` and upper bounds of `most`, both of shape (subjects, columns), in a contrast's range."""
    settled = np.array_equal(least, most)
    values = least if settled else np.hstack([least, most])
    lower, upper = gaffke_bounds(values, contrast.lo, contrast.hi, policy.alpha, policy.draws, SEED)
    columns = least.shape[1]
    return lower[:columns], upper[-columns:]


def _estimated(cell: Cell, comparison: Comparison, intervals: list[tuple[Contrast, Interval]]) -> CellEstimate:
    worst, against = max(intervals, key=lambda pair: pair[1].upper)
    original = cell.spans[ORIGINAL].shown if ORIGINAL in cell.spans else None
    controls = {one.control: cell.spans[_of_unlearned(one)].shown for one in comparison.excess}
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
        controls={name: mean for name, mean in controls.items() if mean is not None},
        excess=Interval(estimate=against.estimate, lower=min(one.lower for _, one in intervals), upper=against.upper),
        worst_control=worst.control,
    )


def _displayed(mean: float | None) -> float:
    """The mean of a cell that was measured."""
    if mean is None:
        raise ValueError("a cell without any score of the checkpoint has no mean")
    return mean


def _of_unlearned(contrast: Contrast) -> str:
    """The key of what the checkpoint is compared with: the only weight below 0 beside the original's."""
    return next(key for key, weight in contrast.weights.items() if weight < 0 and key != ORIGINAL)


def _recovered(cell: Cell, comparison: Comparison, policy: Policy) -> float | None:
    """The least (U - C) / (O - C) over controls, or None where the original shows less than power asks for."""
    shares = []
    for excess, shown in zip(comparison.excess, comparison.shown, strict=False):
        knowledge = shown.estimate(cell)
        if knowledge < policy.power:
            return None
        back = Contrast(control=excess.control, weights={UNLEARNED: 1.0, _of_unlearned(excess): -1.0})
        shares.append(back.estimate(cell) / knowledge)
    return min(shares, default=None)


def _power(measured: Sequence[Cell], comparison: Comparison, policy: Policy) -> PowerEstimate | None:
    """O - C at the cell where it is largest, against the control that leaves least.

    The cell is picked on the same subjects, which favours power a little; what a pass rests on is the upper bound of
    every cell, and that is not picked.
    """
    if not comparison.shown:
        return None
    strongest = max(measured, key=lambda cell: min(float(one.least(cell).mean()) for one in comparison.shown))
    least = np.stack([one.least(strongest) for one in comparison.shown], axis=1)
    most = np.stack([one.most(strongest) for one in comparison.shown], axis=1)
    bounds = zip(*both_bounds(least, most, comparison.shown[0], policy), strict=True)
    intervals = [
        Interval(estimate=one.estimate(strongest), lower=float(lower), upper=float(upper))
        for one, (lower, upper) in zip(comparison.shown, bounds, strict=True)
    ]
    shown = min(intervals, key=lambda interval: interval.lower)
    return PowerEstimate(shown=shown, needed=policy.power, enough=shown.lower >= policy.power)
