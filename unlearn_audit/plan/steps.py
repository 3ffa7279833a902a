"""A plan in steps, the attacks that have proven most leaks in the least time first: what `--fail-fast` runs by."""

from __future__ import annotations

from collections.abc import Iterator

from unlearn_audit.plan.plan import Plan

PROVEN = {
    "ablation": (2, 1),
    "prefill": (1, 1),
    "steering": (1, 1),
    "latent": (2, 2),
    "quantization": (1, 2),
    "pruning": (1, 2),
    "relearning+quantization": (4, 8),
    "relearning+prefill": (3, 7),
    "soft-prompt": (2, 5),
    "ablation+relearning": (4, 14),
    "relearning": (3, 12),
}
"""Leaks proven on the leaky organisms of docs/battery.md, and seconds a model there; none for any other attack.

`as-is` proves none there, but everything is compared with it, so that it goes first.
"""


def steps(plan: Plan) -> Iterator[Plan]:
    """The plan's jobs, one attack after the other, in all roles; comparisons of models as wholes with the last.

    Jobs of plants go with their attack.
    """
    attacks = sorted(dict.fromkeys(job.attack for job in plan.jobs), key=_rank)
    for place, attack in enumerate(attacks, 1):
        jobs = tuple(job for job in plan.jobs if job.attack == attack)
        last = place == len(attacks)
        yield plan.model_copy(update={"jobs": jobs, "extractions": plan.extractions if last else ()})


def _rank(attack: str) -> tuple[bool, float]:
    leaks, seconds = PROVEN.get(attack, (0, 1))
    return attack != "as-is", -leaks / seconds
