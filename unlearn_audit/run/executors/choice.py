"""Which executor a user asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearn_audit.errors import SpecError, require
from unlearn_audit.run.executors.kinds import Kind
from unlearn_audit.run.runner import Executor

if TYPE_CHECKING:
    from unlearn_audit.plan.plan import Plan


def executor_of(kind: Kind, workers: int | None, address: str | None) -> Executor | None:
    """The executor, or None for this process alone.

    Args:
        kind: on this machine, or on a Ray cluster.
        workers: how many; None for 1 on this machine, and on a cluster for what it has room for.
        address: of the cluster; `auto` finds one that runs on this machine.

    Raises:
        MissingExtraError: the extra `ray` is not installed.
        SpecError: the numbers make no sense.
    """
    from unlearn_audit.run.executors.pool import Pool

    if workers is not None and workers < 1:
        raise SpecError(f"--workers {workers}: expected 1 or more")
    if kind is Kind.RAY:
        require("`--executor ray`", ("ray",), extra="ray")
        from unlearn_audit.run.executors.on_ray import OnRay

        return Pool(OnRay(address or "auto", workers))
    if address is not None:
        raise SpecError(f"--address {address}: is the address of a Ray cluster; add --executor ray")
    if workers is None or workers == 1:
        return None
    from unlearn_audit.run.executors.local import Local

    return Pool(Local(workers))


def for_small_models(plan: Plan, most: int) -> Executor | None:
    """Workers for models too small to keep two cores busy: one a core of the CPU. None where one process does as well.

    Args:
        plan: what is to run.
        most: workers, however many cores there are: each loads the libraries anew.
    """
    from unlearn_audit.run.executors.local import own_cores
    from unlearn_audit.run.executors.pool import needs_of

    needs = needs_of(plan)
    if needs.device != "cpu" or needs.threads is None:
        return None
    return executor_of(Kind.LOCAL, min(most, len(own_cores())), None)
