"""How long a plan takes here: tokens through each model, two operations per weight and token, at this machine's speed.

A rough time, and independent of what else runs: the speed is that of a matrix product in the processor time of one
thread, times the threads that a run uses. What is already done is not counted off.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api import FactSet
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job

if TYPE_CHECKING:
    import torch

PROMPT_TOKENS, ANSWER_TOKENS = 40, 16
OPTIONS_SCORED = 31
GENERATED_COST = 10
"""Cost of a generated token, relative to one that is read in a batch with all others."""
CHOICES = "forced-choice"

_USED = 0.5  # of the speed of a product: the rest of a model is slower
_PRODUCTS = 8


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Seconds, about.

    Attributes:
        attacks: by attack, over all roles, doses and plants.
        probes: by probe, over the same.
    """

    attacks: dict[str, float]
    probes: dict[str, float]

    @property
    def seconds(self) -> float:
        """Of the whole plan."""
        return sum(self.attacks.values())


def forecast(live: LivePlan) -> Forecast:
    """The time of every attack and of every probe of a plan; training and searching belong to the attack alone."""
    speed = measured_flops(live.plan.spec.models.device, live.plan.spec.models.dtype)
    attacks: dict[str, float] = dict.fromkeys(live.plan.attacks, 0.0)
    probes: dict[str, float] = {}
    for job in live.plan.jobs:
        each = 2.0 * max(1, job.model.checkpoint.extent.weights) / speed
        asked = {probe: each * _read(live, job, probe) for probe in job.probes}
        for probe, seconds in asked.items():
            probes[probe] = probes.get(probe, 0.0) + seconds
        attacks[job.attack] += sum(asked.values()) + each * _trained(job)
    return Forecast(attacks=attacks, probes=probes)


def _read(live: LivePlan, job: Job, probe: str) -> float:
    """Tokens that one probe has a model read in a job, those that it writes at what they cost."""
    facts = len(live.pool(FactSet.FORGET))
    if probe == CHOICES:  # the options share one reading of the prompt
        asked = PROMPT_TOKENS + OPTIONS_SCORED * ANSWER_TOKENS // 2
    else:  # each form is read, answered and scored
        forms = 1 + max((len(fact.paraphrases) for fact in live.pool(FactSet.FORGET)), default=0)
        asked = forms * (2 * PROMPT_TOKENS + (1 + GENERATED_COST) * ANSWER_TOKENS)
    return job.arm.doses * job.arm.share * facts * asked * (2 if live.placebo else 1)


def _trained(job: Job) -> float:
    """Tokens that an arm trains on, forward and backward."""
    return 3.0 * job.arm.training_texts * (PROMPT_TOKENS + ANSWER_TOKENS)


def measured_flops(device: str, dtype: str = "auto") -> float:
    """Floating-point operations per second of a matrix product here, less what the rest of a model costs."""
    import torch

    from unlearn_audit.models.loading import choose_device

    where = choose_device(device)
    kind = torch.float32 if dtype == "auto" else getattr(torch, dtype)
    side = 4096 if where.type == "cuda" else 512
    matrix = torch.rand(side, side, device=where).to(kind)
    if where.type != "cpu":
        return _USED * 2 * side**3 / _fastest(matrix, time.monotonic)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _USED * threads * 2 * side**3 / _fastest(matrix, time.thread_time)
    finally:
        torch.set_num_threads(threads)


def _fastest(matrix: torch.Tensor, clock: Callable[[], float]) -> float:
    """Seconds of the fastest of a few products."""
    times = []
    for _ in range(_PRODUCTS):
        begun = clock()
        float((matrix @ matrix)[0, 0])
        times.append(clock() - begun)
    return max(min(times), 1e-9)
