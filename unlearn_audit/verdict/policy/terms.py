"""The terms of one finding: what it must meet and what it is compared with, bound once from policy, rule and case."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.spec.policy import Policy, Rule, Unit
from unlearn_audit.statistics.bounds import FEW_CELLS
from unlearn_audit.verdict.policy.rules import rule_of

BESIDE_FINDINGS = 2
"""What is in Holm's family besides the deciding findings, at most: utility, and people."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What one finding must meet.

    Attributes:
        case: what the plan fixed, against which the finding is held.
        margin: share that may come back, and `alpha`: the rule's, else the policy's; `family_alpha` the policy's.
        power: what the original must show beyond the control.
        unit: what counts as independent.
        draws: Monte Carlo draws of bounds and p-values.
        rule: the policy's rule that the finding is under, or None.
    """

    case: Case
    margin: float
    alpha: float
    family_alpha: float
    power: float
    unit: Unit
    draws: int
    rule: Rule | None = None

    @classmethod
    def of(cls, planned: PlannedFinding, case: Case, policy: Policy) -> Terms:
        """The terms of a planned finding: its rule's, and the policy's where the rule says nothing."""
        return cls._by(rule_of(planned, policy), case, policy)

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
            alpha=policy.alpha if alpha is None else alpha,
            family_alpha=policy.alpha,
            power=policy.power,
            unit=policy.unit,
            draws=policy.draws,
            rule=rule,
        )

    def draws_for(self, cells: int) -> int:
        """Draws with which a p-value can be small enough: its floor lies below alpha / (findings x cells).

        Args:
            cells: from which the worst is picked.
        """
        family = sum(one.gates for one in self.case.planned) + BESIDE_FINDINGS
        tests = cells if cells <= FEW_CELLS else 2
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
