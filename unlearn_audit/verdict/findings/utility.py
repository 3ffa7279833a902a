"""Utility: does the checkpoint still know what it should? A broken model has not unlearned (design 6.5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

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
from unlearn_audit.verdict.result import Interval, KeptPart, Utility

PROBE = "utility"
MEASURE = "hit"
FINDING = PlannedFinding(
    attack=BASELINE, probe=PROBE, measure=MEASURE, kind=ScoreKind.HIT, access=Access.PROMPTS, gates=True
)
"""Utility as if it were a finding: hits on the retain set, un-attacked."""


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """What must stay, or a part of it, with its numbers; its status follows once Holm's p-value is known.

    Attributes:
        errors: what makes it an error unless it fails on the evidence there is.
        gap: why it cannot be decided, or None.
    """

    what: str
    needed: float
    alpha: float
    errors: tuple[str, ...] = ()
    gap: str | None = None
    cell: Cell | None = None
    excess: Interval | None = None
    p_value: float | None = None

    def numbers(self, p_value: float | None, holm_p_value: float | None) -> dict[str, Any]:
        """The fields of its record; it fails by `p_value`."""
        status, reason = self._status(p_value)
        spans = self.cell.spans if self.cell else {}
        return {
            "status": status,
            "reason": reason,
            "needed": self.needed,
            "unlearned": spans[UNLEARNED].shown if spans else None,
            "original": spans[ORIGINAL].shown if spans else None,
            "excess": self.excess,
            "subjects": len(self.cell.subjects) if self.cell else 0,
            "p_value": self.p_value,
            "holm_p_value": holm_p_value,
        }

    def _status(self, p_value: float | None) -> tuple[Status, str]:
        needed = f"{self.needed:.0%} of the original's hits on {self.what}"
        if self.excess is not None and p_value is not None and p_value <= self.alpha:
            broken = ": it is broken" if self.what == ALL else ""
            return Status.FAILED, f"the checkpoint keeps less than {needed}{broken}"
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


@dataclass(frozen=True, kw_only=True)
class WeighedUtility:
    """The retain set as a whole and its parts; all that decide are one hypothesis of Holm's family.

    Attributes:
        parts: by name; `deciding` has the names of those that the policy asks for.
    """

    whole: Weighed
    parts: dict[str, Weighed]
    deciding: frozenset[str] = frozenset()

    @property
    def p_value(self) -> float | None:
        """Of "nothing that must stay is lost", by Bonferroni over what decides; None where nothing was measured."""
        found = [one.p_value for one in self._asked if one.p_value is not None]
        return min(1.0, len(self._asked) * min(found)) if found else None

    @property
    def _asked(self) -> list[Weighed]:
        return [self.whole, *(one for name, one in self.parts.items() if name in self.deciding)]

    def settled(self, holm_p_value: float | None) -> Utility:
        """The record. What decides fails by Holm's p-value; a part that is only reported, by its own."""
        parts = tuple(
            KeptPart(name=name, gates=name in self.deciding, **self._numbers(one, holm_p_value, name in self.deciding))
            for name, one in self.parts.items()
        )
        whole = Utility(parts=parts, **self._numbers(self.whole, holm_p_value, True))
        worst = max([whole, *(part for part in parts if part.gates)], key=lambda one: _GRAVITY.index(one.status))
        if not isinstance(worst, KeptPart):
            return whole
        decided = {"status": worst.status, "reason": worst.reason, "decided_by": worst.name}
        return whole.model_copy(update={**decided, "as_a_whole": whole.status})

    def _numbers(self, one: Weighed, holm_p_value: float | None, gates: bool) -> dict[str, Any]:
        if not gates:
            return one.numbers(one.p_value, None)
        own = self._own(one.p_value, holm_p_value)
        return one.numbers(own, own)

    def _own(self, p_value: float | None, holm_p_value: float | None) -> float | None:
        """One's share of what Holm made of all: as many times as much more, and Bonferroni's factor."""
        together = self.p_value
        if p_value is None or holm_p_value is None or together is None:
            return None
        if len(self._asked) == 1:
            return holm_p_value
        outer = holm_p_value / together if together > 0 else 1.0
        return min(1.0, outer * len(self._asked) * p_value)


ALL = "what must stay"
_GRAVITY = (Status.PASSED, Status.INCONCLUSIVE, Status.ERROR, Status.FAILED)


def weigh_utility(observations: pd.DataFrame, case: Case, policy: Policy) -> WeighedUtility:
    """U - needed * O on retain hits, subject by subject, with its bounds and the p-value of "U is not below".

    Of the retain set as a whole, and of each of its parts: what lies near what was removed, and what both sides share,
    is lost first, and a mean over all that must stay hides it.

    Args:
        observations: out of `cells.checked`.
        case: what the plan fixed.
        policy: utility and its parts, alpha, draws.
    """
    names = sorted({*case.retain_parts.values(), *policy.utility_parts})
    return WeighedUtility(
        whole=_weigh(ALL, observations, case.retain_subjects, policy.utility, case, policy),
        parts={
            name: _weigh(
                f"{ALL} as {name}",
                observations,
                {fact: one for fact, one in case.retain_subjects.items() if case.retain_parts.get(fact) == name},
                policy.utility_parts.get(name, policy.utility),
                case,
                policy,
            )
            for name in names
        },
        deciding=frozenset(policy.utility_parts),
    )


def _weigh(
    what: str, observations: pd.DataFrame, subjects: dict[str, str], needed: float, case: Case, policy: Policy
) -> Weighed:
    """One part of the retain set: fact id -> subject of its facts."""
    nothing = Weighed(what=what, needed=needed, alpha=policy.alpha_fail)
    if not case.has_original:
        return replace(nothing, gap="utility needs an original to compare with; none was given")
    if not subjects:
        given = "none were given" if what == ALL else f"no retain fact is {what.removeprefix(ALL + ' as ')}"
        return replace(nothing, gap=f"utility needs retain facts; {given}")
    errors = crashes(faults_on_utility(case))
    rows = observations[
        (observations["attack"] == BASELINE)
        & (observations["probe"] == PROBE)
        & (observations["measure"] == MEASURE)
        & observations["key"].isin([UNLEARNED, ORIGINAL])
    ]
    if len(subjects) < len(case.retain_subjects):
        rows = rows[rows["fact_id"].isin(subjects.keys())]
    if rows.empty:
        gap = f"there is no evidence on {PROBE}.{MEASURE} under {BASELINE}; run the probe {PROBE}"
        return replace(nothing, errors=errors, gap=gap)
    terms = Terms.without_rule(_on_retain(case, subjects), policy)
    scores = scores_for(FINDING, in_one_cell(rows), terms)
    errors = errors or scores.lacking
    if not scores.cells or scores.cells[0].spans[UNLEARNED].shown is None:
        gap = "the checkpoint has no score on any retain fact"
        return replace(nothing, errors=errors, gap=gap)
    return replace(nothing, errors=errors, **_bounds(scores.cells[0], needed, terms))


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


def _on_retain(case: Case, subjects: dict[str, str]) -> Case:
    """The case as utility sees it: facts of the retain set, original and checkpoint alone."""
    return case.model_copy(update={"subjects": subjects, "controls": (), "chance": {}})


def _bounds(cell: Cell, needed: float, terms: Terms) -> dict[str, Any]:
    surplus = Contrast(control=ORIGINAL, beside={ORIGINAL: ORIGINAL}, weights={UNLEARNED: 1.0, ORIGINAL: -needed})
    p_value = gaffke_p_value(-surplus.most(cell), -surplus.hi, -surplus.lo, 0.0, terms.draws, SEED)
    return {"cell": cell, "excess": bounded(surplus, cell, terms), "p_value": float(p_value)}
