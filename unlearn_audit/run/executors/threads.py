"""How many threads a model may use."""

from __future__ import annotations

from collections.abc import Iterable

from unlearn_audit.plan.plan import Plan

SMALL_MODEL = 10_000_000  # parameters


def most_threads(plan: Plan) -> int | None:
    """One for models so small that a second would only wait for the first, for minutes on a busy machine; else any."""
    return 1 if _all_small(model.checkpoint.extent.weights for model in plan.loaded) else None


def settle_threads(plan: Plan) -> None:
    """Holds this process to it."""
    import torch

    most = most_threads(plan)
    if most is not None:
        torch.set_num_threads(most)


def _all_small(parameters: Iterable[int]) -> bool:
    found = list(parameters)
    return 0 < min(found) <= max(found) < SMALL_MODEL
