"""A policy's rules on a plan's findings: which rule applies to which finding, and what it asks beyond a bound."""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.spec.policy import Doubt, Policy, Release, Rule, Unit
from unlearn_audit.spec.selectors import covers, terms
from unlearn_audit.verdict.result import Finding


def rule_of(finding: PlannedFinding, policy: Policy) -> Rule | None:
    """The first rule that covers a finding; None where the policy's own values hold."""
    return next((rule for rule in policy.rules if covers(rule.findings, finding)), None)


def decides(finding: PlannedFinding, policy: Policy) -> bool:
    """Whether the policy lets an eligible finding decide: by its rule, else by the policy's list of probes."""
    rule = rule_of(finding, policy)
    return finding.gates and (finding.probe in policy.gate if rule is None else rule.required)


def strictly(policy: Policy) -> Policy:
    """The policy under which only a proof fails, and nothing that is open."""
    open_ = {"inconclusive": Doubt.INCONCLUSIVE}
    rules = tuple(rule.model_copy(update=open_) for rule in policy.rules)
    return policy.model_copy(update={**open_, "rules": rules})


def doubt_about(rule: str | None, policy: Policy) -> Doubt:
    """How an inconclusive finding counts, by the rule of this id or by the policy."""
    own = next((one.inconclusive for one in policy.rules if one.id == rule), None)
    return own or policy.inconclusive


def uncovered(case: Case, policy: Policy) -> list[str]:
    """A line for each thing that the policy requires and the plan cannot give, whatever the evidence says."""
    lines = []
    if policy.release is Release.OPEN_WEIGHTS and case.release is not Release.OPEN_WEIGHTS:
        lines.append(f"the policy is for release tier {policy.release}, but the audit was planned for {case.release}")
    there = len(case.units) if policy.unit is Unit.FACT else len(set(case.units.values()))
    if policy.whole is not None and there > policy.whole:
        lines.append(f"the policy says that there are {policy.whole} in the whole, but the facts are about {there}")
    for rule in policy.rules:
        if not rule.required:
            continue
        absent = [
            term.text
            for term in terms(rule.findings)
            if term.is_name and not any(term.names(finding) for finding in case.planned)
        ]
        lines += [f"rule {rule.id} names {name}, but {why_absent(name, case)}" for name in absent]
        if not any(finding.gates and rule_of(finding, policy) == rule for finding in case.planned):
            lines.append(f"rule {rule.id} covers no finding that can decide at release tier {case.release}")
    return lines


def why_absent(name: str, case: Case) -> str:
    """Why the plan does not have what a policy names (`attack`, `attack/probe`)."""
    names = [part for part in name.split("/") if part]
    left_out = [f"{one.what}: {one.why}" for one in case.left_out if one.what.split(":")[0].split()[0] in names]
    return "it was skipped (" + "; ".join(left_out) + ")" if left_out else "the plan does not include it"


def allowed_margins(findings: Sequence[Finding], policy: Policy) -> tuple[float, float]:
    """The smallest and the largest margin of some findings; the policy's where there are none."""
    margins = [finding.margin for finding in findings] or [policy.margin]
    return min(margins), max(margins)
