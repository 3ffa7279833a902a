"""The terms of one finding: what it must meet and what it is compared with, bound once from policy, rule and case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.spec.policy import Policy, Population, Rule, Unit
from unlearn_audit.statistics.bounds import FEW_CELLS
from unlearn_audit.verdict.policy.planned import family_weight
from unlearn_audit.verdict.policy.rules import rule_of


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What one finding must meet.

    Attributes:
        case: what the plan fixed, against which the finding is held.
        margin: share that may come back.
        alpha_pass: error rate of upper bounds, and `alpha_fail` of FAIL: the rule's, else the policy's; `family_alpha`
            the policy's of FAIL.
        listed: the facts given are counted, and stand for themselves.
        power: what the original must show beyond the control.
        unit: what counts as independent.
        whole: how many units there are, where the facts are about a random part of so many; None: not known.
        draws: Monte Carlo draws of bounds and p-values.
        rule: the policy's rule that the finding is under, or None.
    """

    case: Case
    margin: float
    alpha_pass: float
    alpha_fail: float
    family_alpha: float
    listed: bool
    power: float
    unit: Unit
    draws: int
    whole: int | None = None
    rule: Rule | None = None

    @classmethod
    def of(cls, planned: PlannedFinding, case: Case, policy: Policy) -> Terms:
        """The terms of a planned finding: its rule's, and the policy's where the rule says nothing."""
        whole = policy.whole if policy.population is Population.SAMPLE else None
        return replace(cls._by(rule_of(planned, policy), case, policy), whole=whole)

    @classmethod
    def without_rule(cls, case: Case, policy: Policy) -> Terms:
        """The policy's own terms, for what no rule can cover: utility, and the comparison with an older audit."""
        return cls._by(None, case, policy)

    @classmethod
    def _by(cls, rule: Rule | None, case: Case, policy: Policy) -> Terms:
        margin, alpha = (None, None) if rule is None else (rule.margin, rule.alpha)
        return cls(
            case=case,
            margin=policy.margin if margin is None else margin,
            alpha_pass=policy.alpha_pass if alpha is None else alpha,
            alpha_fail=policy.alpha_fail if alpha is None else alpha,
            family_alpha=policy.alpha_fail,
            listed=policy.population is Population.LISTED,
            power=policy.power,
            unit=policy.unit,
            draws=policy.draws,
            rule=rule,
        )

    @cached_property
    def units(self) -> Mapping[str, str]:
        """Fact id -> what counts as independent; with `Unit.FACT` each fact by itself."""
        return {fact: fact for fact in self.case.subjects} if self.unit is Unit.FACT else self.case.units

    def draws_for(self, planned: PlannedFinding, cells: int) -> int:
        """Draws with which a p-value can be small enough: its floor lies below alpha / (findings x cells).

        Args:
            planned: whose p-value it is.
            cells: from which the worst is picked.
        """
        tests = cells if cells <= FEW_CELLS else 2
        family = family_weight(self.case) / planned.weight
        return max(self.draws, math.ceil(2 * family * tests / self.family_alpha))

    def shortfalls(self, planned: PlannedFinding, *, facts: int, seeds: int) -> tuple[str, ...]:
        """What the rule requires but the evidence does not have; such a finding can fail but not pass.

        Args:
            planned: the finding.
            facts: number of facts that were scored.
            seeds: number of seeds that the attack was run with.
        """
        rule = self.rule
        if rule is None or not planned.gates:
            return ()
        asked = [("facts", rule.facts, facts), ("retrained controls", rule.controls, len(self.case.controls))]
        if planned.seeded:
            asked.append(("seeds", rule.seeds, seeds))
        return tuple(
            f"rule {rule.id} requires {needed} {what}, but there are {there}"
            for what, needed, there in asked
            if there < needed
        )
