"""What the plan's findings are under a policy: which decide, which can only fail, and what each weighs."""

from __future__ import annotations

import math

from unlearn_audit.plan.case import BASELINE, SERVED, Case, PlannedFinding
from unlearn_audit.spec.policy import Policy
from unlearn_audit.verdict.policy.required import Required, required
from unlearn_audit.verdict.policy.rules import decides, rule_of
from unlearn_audit.verdict.policy.serving import parts_of

OTHERS = 0.25
"""Weight in Holm's family of all findings together that the policy does not ask for by name, relative to those that it
does: they can take at most a fifth of the error rate, however many they are."""

BESIDE_FINDINGS = 2
"""What is in Holm's family besides the findings, at most: utility, and people."""


def under(case: Case, policy: Policy) -> Case:
    """The case in which only the findings that the policy names decide, limited to what it says is served.

    Each has its weight in Holm's family, fixed here, before any evidence.
    """
    planned = tuple(
        part.model_copy(update={"gates": decides(part, policy), "exploratory": explores(part, policy)})
        for finding in case.planned
        for part in parts_of(finding, case, policy)
    )
    return case.model_copy(update={"planned": _weighted(planned, case, policy)})


def explores(finding: PlannedFinding, policy: Policy) -> bool:
    """Whether an eligible finding that decides nothing can still fail the audit: no proven leak is silent.

    Within the release tier, that is, and unless a rule makes it advisory.
    """
    return (
        (finding.gates or finding.exploratory)
        and not finding.unserved
        and rule_of(finding, policy) is None
        and not decides(finding, policy)
    )


def family_weight(case: Case) -> float:
    """Weight of the whole of Holm's family, at most; what is in it beside the findings weighs 1 each."""
    return math.fsum(one.weight for one in case.planned if one.in_family) + BESIDE_FINDINGS


def _weighted(planned: tuple[PlannedFinding, ...], case: Case, policy: Policy) -> tuple[PlannedFinding, ...]:
    """1 for what the policy asks for: arms that it requires and findings of a rule, or all that decides if it has none.

    The others share `OTHERS`, so that many weak attacks take little from the strong ones.
    """
    entries = required(case, policy)
    asked = [one.gates and (not entries or _asked_for(one, entries, policy)) for one in planned]
    others = sum(one.in_family and not named for one, named in zip(planned, asked, strict=True))
    share = min(1.0, OTHERS * (sum(asked) + BESIDE_FINDINGS) / others) if others else 1.0
    return tuple(
        one.model_copy(update={"weight": 1.0 if named or not one.in_family else share})
        for one, named in zip(planned, asked, strict=True)
    )


def _asked_for(finding: PlannedFinding, entries: list[Required], policy: Policy) -> bool:
    """Whether a finding is of a required arm, of the model as it is or as it is served, or of a rule."""
    named = finding.attack in (BASELINE, SERVED) or rule_of(finding, policy) is not None
    return named or any(entry.selects(finding) for entry in entries)
