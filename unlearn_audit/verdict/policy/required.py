"""What a policy requires to have been tried: arms that must be there, measured, and with power.

An entry is `attack[@dose][/probe]`; the dose may be a glob. A required arm that is absent for any reason (left out for
memory, an extra not installed, cut by the profile, faulted, not scored, without power) rules out a pass: an easier
machine must not give an easier one. A policy may name it under `without`, with a reason; the verdict's sentence then
says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.old_names import current
from unlearn_audit.plan.case import BASELINE, Case, PlannedFinding
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.verdict.policy.rules import why_absent
from unlearn_audit.verdict.result import Finding


@dataclass(frozen=True, kw_only=True)
class Required:
    """One entry.

    Attributes:
        dose: name or glob of the doses that must be there; None: any.
        probe: that must have met it; None: any that decides.
    """

    text: str
    attack: str
    dose: str | None
    probe: str | None

    @classmethod
    def of(cls, text: str) -> Required:
        """The parts of an entry."""
        arm, _, probe = text.partition("/")
        attack, _, dose = arm.partition("@")
        return cls(text=text, attack=current(attack), dose=dose or None, probe=probe or None)

    @property
    def name(self) -> str:
        """`attack/probe`, or the attack."""
        return self.attack if self.probe is None else f"{self.attack}/{self.probe}"

    def selects(self, finding: Finding | PlannedFinding) -> bool:
        """Whether it is about this finding."""
        return finding.attack == self.attack and self.probe in (None, finding.probe)

    def covers(self, dose: str) -> bool:
        """Whether a dose is one of those that must be there; `nf4` also covers `nf4+adapter`."""
        return self.dose is None or any(fnmatchcase(name, self.dose) for name in (dose, dose.partition("+")[0]))


def required(case: Case, policy: Policy) -> list[Required]:
    """What this policy requires at the release tier of the plan, without what it does without.

    What is applied before serving is required as it is served, where the policy says how (`serves`).
    """
    entries = [one for one in policy.required.get(case.release, ()) if one not in policy.without]
    found = [Required.of(one) for one in entries]
    if policy.serves and case.release is Release.API:
        return [replace(one, dose=None) if one.attack in case.served_arms else one for one in found]
    return found


def not_planned(case: Case, policy: Policy) -> list[str]:
    """A line for each entry that the plan cannot give, whatever the evidence says."""
    lines = []
    for one in required(case, policy):
        if not any(one.selects(finding) for finding in case.planned):
            lines.append(_absent(one, why_absent(one.name, case)))
            continue
        doses = case.doses_of(one.attack)
        if doses and not any(one.covers(dose) for dose in doses):
            lines.append(_absent(one, _no_dose(one, case) or "the plan does not include it"))
    return lines


def not_met(findings: Sequence[Finding], case: Case, policy: Policy) -> list[str]:
    """A line for each entry that was not tried, not measured, or had no power (design 6.2)."""
    lines = []
    unserved = {planned.id for planned in case.planned if planned.unserved}
    for one in required(case, policy):
        named = [finding for finding in findings if one.selects(finding) and finding.id not in unserved]
        if not named:
            lines.append(_absent(one, why_absent(one.name, case)))
            continue
        deciding = [finding for finding in named if finding.gates] or named
        open_ones = [finding for finding in deciding if finding.waiver is None]
        measured = {cell.dose for finding in deciding for cell in finding.cells}
        if open_ones and measured and not any(one.covers(dose) for dose in measured):
            lines.append(_absent(one, _no_dose(one, case) or "it was not measured"))
        for finding in open_ones:
            powerless = finding.power is None or not finding.power.enough
            if finding.status is Status.NO_POWER or (powerless and not finding.gates):
                lines.append(f"{finding.id}: the policy requires power here: {finding.reason}")
            elif (why := _powerless_dose(one, finding, case)) is not None:
                lines.append(f"{finding.id}: the policy requires power at {one.dose}: {why}")
    return list(dict.fromkeys(lines))


def _powerless_dose(one: Required, finding: Finding, case: Case) -> str | None:
    """Why nothing shows power at the dose that an entry names; None where something does, or it was not measured there.

    Power at another dose lends nothing: what undoes one format's rounding says nothing about another's.
    """
    if one.dose is None or finding.power is None or not any(one.covers(cell.dose) for cell in finding.cells):
        return None
    if any(one.covers(dose) for dose in finding.power.doses):
        return None
    arms = case.plant_arms.get(finding.attack, {})
    own = [plant for plant in finding.power.plants if any(map(one.covers, arms.get(plant.name, ())))]
    if not own:
        return "the original shows too little there"
    return "; ".join(f"{plant.name}: {plant.why or 'too little of it came back there'}" for plant in own)


def powerless(gating: Sequence[Finding], case: Case, policy: Policy) -> list[str]:
    """Findings without power of an attack that the policy requires: one that could show nothing has not withstood it.

    Other attacks without power say nothing, and the sentence says so.
    """
    entries = required(case, policy)  # of what they select, `not_met` says so
    attacks = {one.attack for one in entries} | {BASELINE}
    return [
        f"{one.id}: {one.attack} is required, and this measure of it had no power: {one.reason}"
        for one in gating
        if one.status is Status.NO_POWER
        and one.waiver is None
        and one.attack in attacks
        and not any(entry.selects(one) for entry in entries)
    ]


def cost_line(case: Case, policy: Policy) -> str:
    """What leaving out an arm would cost."""
    entries = [one.text for one in required(case, policy)]
    accepted = done_without(case, policy)
    without = f" The policy does without {' and '.join(accepted)}: the verdict will say so." if accepted else ""
    if not entries:
        return f"The policy requires no arm: leaving one out only leaves it out of what a PASS says.{without}"
    return (
        f"The policy requires {', '.join(entries)}: leaving one out, for whatever reason, rules out PASS; leaving out "
        f"another attack only leaves it out of what a PASS says.{without}"
    )


def done_without(case: Case, policy: Policy) -> list[str]:
    """What the policy does without at this release tier, each with its reason."""
    entries = policy.required.get(case.release, ())
    return [f"{entry} ({reason})" for entry, reason in policy.without.items() if entry in entries]


def _no_dose(one: Required, case: Case) -> str:
    """Why a dose was skipped; empty where the plan does not say."""
    left_out = [
        f"{each.what}: {each.why}"
        for each in case.left_out
        if each.what.partition(":")[0].split()[0] == one.attack and one.dose and one.dose.strip("*") in each.what
    ]
    return f"it was skipped ({'; '.join(left_out)})" if left_out else ""


def _absent(one: Required, why: str) -> str:
    remedy = f"run it, or accept that under `without: {{{one.text}: REASON}}`"
    return f"{one.text}: the policy requires it, but {why}; {remedy}"
