"""Utility: does the checkpoint still know what it should? A broken model has not unlearned (design 6.5)."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from unlearn_audit.api import Access, ScoreKind
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import Case, FaultyJob, PlannedFinding
from unlearn_audit.spec.policy import Policy
from unlearn_audit.statistics.bounds import TOLERANCE, gaffke_p_value
from unlearn_audit.verdict.findings.causes import crashes, some
from unlearn_audit.verdict.findings.contrasts import SEED, Contrast, bounded
from unlearn_audit.verdict.findings.places import BASELINE, ORIGINAL, UNLEARNED, Cell, scores_for
from unlearn_audit.verdict.policy.terms import Terms
from unlearn_audit.verdict.result import Interval, Utility

PROBE = "utility"
MEASURE = "hit"
FINDING = PlannedFinding(
    attack=BASELINE, probe=PROBE, measure=MEASURE, kind=ScoreKind.HIT, access=Access.PROMPTS, gates=True
)
"""Utility as if it were a finding: hits on the retain set, un-attacked."""


@dataclass(frozen=True, kw_only=True)
class WeighedUtility:
    """Utility with its numbers; `settled` gives the status once Holm's p-value is known.

    Attributes:
        errors: what makes it an error unless it fails on the evidence there is.
        gap: why it cannot be decided, or None.
    """

    needed: float
    alpha: float
    errors: tuple[str, ...] = ()
    gap: str | None = None
    cell: Cell | None = None
    excess: Interval | None = None
    p_value: float | None = None

    def settled(self, holm_p_value: float | None) -> Utility:
        """The record; it fails by Holm's p-value, like every deciding finding."""
        status, reason = self._status(holm_p_value)
        spans = self.cell.spans if self.cell else {}
        return Utility(
            status=status,
            reason=reason,
            needed=self.needed,
            unlearned=spans[UNLEARNED].shown if spans else None,
            original=spans[ORIGINAL].shown if spans else None,
            excess=self.excess,
            subjects=len(self.cell.subjects) if self.cell else 0,
            p_value=self.p_value,
            holm_p_value=holm_p_value,
        )

    def _status(self, p_value: float | None) -> tuple[Status, str]:
        needed = f"{self.needed:.0%} of the original's hits on what must stay"
        if self.excess is not None and p_value is not None and p_value <= self.alpha:
            return Status.FAILED, f"the checkpoint keeps less than {needed}: it is broken"
        if self.errors:
            return Status.ERROR, some(self.errors)
        if self.gap is not None or self.excess is None:
            return Status.INCONCLUSIVE, self.gap or "utility was not measured"
        if self.excess.lower >= -TOLERANCE:
            return Status.PASSED, f"the checkpoint keeps at least {needed}"
        return Status.INCONCLUSIVE, (
            f"not proven whether the checkpoint keeps {needed} (lower bound of the surplus {self.excess.lower:+.2f}); "
            "give more retain subjects"
        )


def weigh_utility(observations: pd.DataFrame, case: Case, policy: Policy) -> WeighedUtility:
    """U - needed * O on retain hits, subject by subject, with its bounds and the p-value of "U is not below".

    Args:
        observations: out of `cells.checked`.
        case: what the plan fixed.
        policy: utility, alpha, draws.
    """
    needed, alpha = policy.utility, policy.alpha_fail
    if not case.has_original:
        return WeighedUtility(
            needed=needed, alpha=alpha, gap="utility needs an original to compare with; none was given"
        )
    if not case.retain_subjects:
        return WeighedUtility(needed=needed, alpha=alpha, gap="utility needs retain facts; none were given")
    errors = crashes(faults_on_utility(case))
    rows = observations[
        (observations["attack"] == BASELINE)
        & (observations["probe"] == PROBE)
        & (observations["measure"] == MEASURE)
        & observations["key"].isin([UNLEARNED, ORIGINAL])
    ]
    if rows.empty:
        gap = f"there is no evidence on {PROBE}.{MEASURE} under {BASELINE}; run the probe {PROBE}"
        return WeighedUtility(needed=needed, alpha=alpha, errors=errors, gap=gap)
    terms = Terms.without_rule(_on_retain(case), policy)
    scores = scores_for(FINDING, in_one_cell(rows), terms)
    errors = errors or scores.lacking
    if not scores.cells or scores.cells[0].spans[UNLEARNED].shown is None:
        gap = "the checkpoint has no score on any retain fact"
        return WeighedUtility(needed=needed, alpha=alpha, errors=errors, gap=gap)
    return _numbers(scores.cells[0], errors, needed, terms)


def faults_on_utility(case: Case) -> list[FaultyJob]:
    """The jobs whose failure leaves a hole in utility."""
    return [
        fault
        for fault in case.model_faults
        if fault.attack == BASELINE and fault.model not in case.controls and fault.probe in (None, PROBE)
    ]


def in_one_cell(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as one cell.

    Every repetition of a fact (seed, wording) goes into its subject's one mean, paired with its counterpart.
    """
    repetition = rows.groupby(["dose", "variant", "seed"], sort=True, observed=True).ngroup()
    return rows.assign(dose=BASELINE, variant="all", seed=repetition)


def _on_retain(case: Case) -> Case:
    """The case as utility sees it: the retain set, original and checkpoint alone."""
    return case.model_copy(update={"subjects": case.retain_subjects, "controls": (), "chance": {}})


def _numbers(cell: Cell, errors: tuple[str, ...], needed: float, terms: Terms) -> WeighedUtility:
    surplus = Contrast(control=ORIGINAL, beside={ORIGINAL: ORIGINAL}, weights={UNLEARNED: 1.0, ORIGINAL: -needed})
    return WeighedUtility(
        needed=needed,
        alpha=terms.alpha_fail,
        errors=errors,
        cell=cell,
        excess=bounded(surplus, cell, terms),
        p_value=float(gaffke_p_value(-surplus.most(cell), -surplus.hi, -surplus.lo, 0.0, terms.draws, SEED)),
    )
