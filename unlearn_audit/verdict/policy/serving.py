"""What a policy says will be served: which doses of served attacks decide, and whether each of them was run.

A user of an API meets the model as it is served, quantized in one way or a few. A policy that names these
(`Policy.serves`) lets only those decide at release tier `api`; the others stay in the report as advisory findings. At
`open-weights` anyone can quantize as they like: all decide. In both tiers, one named but not run rules out a pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.plan.case import SERVED, Case, PlannedFinding, is_named
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.verdict.result import Finding


def parts_of(finding: PlannedFinding, case: Case, policy: Policy) -> tuple[PlannedFinding, ...]:
    """A finding of a served attack, split into what is served and the advisory rest; others as they are.

    Artefacts are served by definition: each of them decides, whatever the policy names.

    A part without any arm in the plan is omitted: nothing could ever be measured for it.
    """
    arms = case.served_arms.get(finding.attack)
    parted = policy.serves and case.release is Release.API and finding.attack != SERVED
    if arms is None or not parted or finding.doses is not None:
        return (finding,)
    met = arms if finding.at_every_dose else arms[:1]
    served = [is_named(arm, policy.serves) for arm in met]
    own = finding.model_copy(update={"doses": policy.serves})
    rest = own.model_copy(update={"unserved": True, "gates": False})
    return ((own,) if any(served) else ()) + ((rest,) if not all(served) else ())


def not_planned(case: Case, policy: Policy) -> list[str]:
    """A line for each dose that the policy says is served but no served attack in the plan has."""
    arms = [arm for several in case.served_arms.values() for arm in several]
    return [
        f"the policy says that {name} is served, but the plan does not include it (it has "
        f"{', '.join(arms) or 'nothing of the kind'}); name it in the attack's settings, and see what was skipped"
        for name in policy.serves
        if not any(is_named(arm, [name]) for arm in arms)
    ]


def not_run(findings: Sequence[Finding], case: Case, policy: Policy) -> list[str]:
    """A line for each dose that the policy says is served but at which no deciding finding was measured."""
    absent = not_planned(case, policy)
    measured = {
        cell.dose
        for finding in findings
        if finding.gates and finding.attack in case.served_arms
        for cell in finding.cells
    }
    arms = [arm for several in case.served_arms.values() for arm in several]
    return absent + [
        f"the policy says that {name} is served, but no deciding finding was measured on it"
        for name in policy.serves
        if any(is_named(arm, [name]) for arm in arms) and not any(is_named(dose, [name]) for dose in measured)
    ]
