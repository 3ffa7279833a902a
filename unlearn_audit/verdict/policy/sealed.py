"""Whether a run kept to the plan that was sealed before it, policy included."""

from __future__ import annotations

from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy

_SHOWN = 12


def departures(case: Case, policy: Policy) -> tuple[str, ...]:
    """What was done otherwise than the seal says, a line each; nothing where it was kept, or where nobody sealed."""
    if case.seal is None:
        return ()
    digest = policy.digest()
    other = f"policy: sealed as {case.seal.policy[:_SHOWN]}, decided by {digest[:_SHOWN]}"
    lines = [*case.seal.deviations, *([other] if digest != case.seal.policy else [])]
    return (*lines, *(f"attack {name}: was sealed, and did not run" for name in case.not_run))


def about_seal(case: Case, policy: Policy) -> str:
    """What the verdict says of it, to follow its sentence; empty where nobody sealed."""
    if case.seal is None:
        return ""
    found, day = departures(case, policy), case.seal.made[:10]
    if not found:
        return f" The plan was sealed on {day}, and kept."
    names = ", ".join(line.partition(":")[0] for line in found[:3]) + (f" and {len(found) - 3} more" * (len(found) > 3))
    return f" The plan that was sealed on {day} was NOT KEPT: {names}."
