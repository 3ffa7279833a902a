"""A plan that fits into a budget of time: what the policy requires first, then what has proven most per second.

An attack runs whole or not at all: half of its folds would leave half of the facts unscored. What does not fit is left
out, and the verdict says so like of everything that is left out; where the policy requires it, there is no PASS. The
choice is part of the request (`AuditSpec.too_dear`), so that a run that goes on is the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.manifest import SPEC
from unlearn_audit.evidence.old_names import current
from unlearn_audit.plan.case import BASELINE, SERVED
from unlearn_audit.plan.forecasting.forecast import Forecast, forecast
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.make import make_plan
from unlearn_audit.plan.steps import PROVEN
from unlearn_audit.spec.spec import AuditSpec, load_spec


def plan_within(spec: AuditSpec, out: Path | None = None) -> LivePlan:
    """The plan of a request, without the attacks that do not fit into its budget.

    Args:
        spec: what is asked for.
        out: a run directory: a run with this budget that lies there keeps the choice that was made for it.

    Raises:
        SpecError, AuditError: as `make_plan`.
    """
    if spec.budget is None or spec.too_dear:
        return make_plan(spec)
    chosen = None if out is None else _chosen_before(spec, out)
    if chosen is None:
        live = make_plan(spec)
        chosen = too_dear(forecast(live).attacks, spec.budget_seconds, required_attacks(spec))
        if not chosen:
            return live
    return make_plan(spec.model_copy(update={"too_dear": chosen}))


def too_dear(seconds: Mapping[str, float], budget: float, required: Iterable[str]) -> tuple[str, ...]:
    """The attacks that do not fit, in their alphabetical order.

    Args:
        seconds: of each attack of the plan.
        budget: in seconds.
        required: attacks that come first, the baseline always.
    """
    left, fitting = budget, set()
    for name in sorted(seconds, key=_worth(seconds, frozenset(required))):
        if name == BASELINE or seconds[name] <= left:
            fitting.add(name)
            left -= seconds[name]
    return tuple(sorted(seconds.keys() - fitting))


def _worth(seconds: Mapping[str, float], required: frozenset[str]) -> Callable[[str], tuple[bool, bool, float, float]]:
    def place(name: str) -> tuple[bool, bool, float, float]:
        leaks, measured = PROVEN.get(name, (0, 1))
        return name != BASELINE, name not in required, -leaks / measured, seconds[name]

    return place


def required_attacks(spec: AuditSpec) -> tuple[str, ...]:
    """The attacks that the policy requires at the release tier of a request, and what is served if it was given."""
    policy = spec.policy
    entries = [one for one in policy.required.get(spec.release, ()) if one not in policy.without]
    return (*([SERVED] if spec.served else ()), *(current(one.partition("/")[0].partition("@")[0]) for one in entries))


def _chosen_before(spec: AuditSpec, out: Path) -> tuple[str, ...] | None:
    """What was too dear for the run that lies in a directory, if it has this budget."""
    if not (out / SPEC).is_file():
        return None
    try:
        kept = load_spec(out / SPEC, {})
    except AuditError:
        return None  # `run.claim` says what is wrong with it
    return kept.too_dear if kept.budget == spec.budget else None


def budget_line(found: Forecast, spec: AuditSpec) -> str | None:
    """Whether the plan keeps its budget, for people; None without one."""
    if spec.budget is None:
        return None
    if found.seconds > spec.budget_seconds:
        return f"The budget of {spec.budget} is not enough for the model as it is (as-is): about {found.seconds:.0f} s."
    rest = f"; left out: {', '.join(spec.too_dear)}" if spec.too_dear else ""
    return f"The plan fits into the budget of {spec.budget}{rest}."
