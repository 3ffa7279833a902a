"""How long a plan takes here: what its probes ask and its attacks train, at the speed of the model on this machine.

What a probe asks is counted on a sample of the facts (`rehearsal`), what a token costs is measured on the checkpoint
(`speed`), both in processor time, so that it matters little what else runs. What is already done is not counted off.
What attacks and probes prepare on the original, the making of plants, and comparisons of models come on top.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from unlearn_audit.api import FactSet, Role
from unlearn_audit.plan.case import BASELINE
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job

if TYPE_CHECKING:
    from unlearn_audit.models.engine import Engine
    from unlearn_audit.plan.forecasting.rehearsal import Cost
    from unlearn_audit.plan.forecasting.speed import Speed

LOADED_TWICE = 2
"""A model is opened before the first job, and loaded again for its own."""
SOON = 5.0
"""Seconds of loading below which it is done again, to see what it takes without the libraries' own loading."""
KEPT_SECONDS = 0.05
"""What it takes to begin a job, to look at its inputs again and to put its evidence on disk."""


@dataclass(frozen=True, kw_only=True)
class JobForecast:
    """Seconds of one job.

    Attributes:
        own: of the attack.
        probes: by probe, over all doses.
    """

    own: float
    probes: dict[str, float]

    @property
    def seconds(self) -> float:
        """Of the whole job."""
        return self.own + sum(self.probes.values())


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Seconds, about.

    Attributes:
        attacks: by attack, over all roles, doses and plants.
        probes: by probe, over the same.
        jobs: by key.
        loading: of the models.
        evaluations: of the audited checkpoint alone, in units of what it takes to ask it about every fact once, with
            the probes that meet attacks: whatever the model and the machine, about the same for a profile.
    """

    attacks: dict[str, float]
    probes: dict[str, float]
    jobs: dict[str, JobForecast] = field(default_factory=dict)
    loading: float = 0.0
    evaluations: float = 0.0

    @property
    def seconds(self) -> float:
        """Of the whole plan."""
        return self.loading + sum(self.attacks.values())


def forecast(live: LivePlan) -> Forecast:
    """The time of every attack and of every probe of a plan, measured on the checkpoint, which is loaded for it.

    Raises:
        AuditError: the checkpoint cannot be loaded.
    """
    from unlearn_audit.models.loading import loaded

    begun = time.process_time()
    with loaded(live.plan.models[-1].checkpoint, live.plan.spec.models) as engine:
        seconds = time.process_time() - begun
        if seconds < SOON:  # mostly libraries, which are loaded once
            begun = time.process_time()
            with loaded(live.plan.models[-1].checkpoint, live.plan.spec.models):
                seconds = time.process_time() - begun
        return forecast_on(live, engine, loading=seconds)


def forecast_on(live: LivePlan, engine: Engine, *, loading: float = 0.0) -> Forecast:
    """The same on a model of the audit that is loaded.

    Args:
        live: the plan.
        engine: one of its models; the others are taken to be as fast for their size.
        loading: seconds that loading it took.
    """
    from unlearn_audit.plan.forecasting.speed import measured

    trains = any(job.arm.training_texts for job in live.plan.jobs)
    speed = measured(engine, live.pool(FactSet.FORGET), trains=trains, loaded=loading)
    costs = _costs(live, engine, speed)
    own = live.plan.models[-1].checkpoint.extent.weights
    jobs = {job.key: _forecast(live, job, speed, costs[job.probes], own) for job in live.plan.jobs}
    attacks = dict.fromkeys(live.plan.attacks, 0.0)
    probes: dict[str, float] = {}
    for job in live.plan.jobs:
        found = jobs[job.key]
        attacks[job.attack] += found.seconds
        for name, seconds in found.probes.items():
            probes[name] = probes.get(name, 0.0) + seconds
    return Forecast(
        attacks=attacks,
        probes=probes,
        jobs=jobs,
        loading=LOADED_TWICE * speed.loaded * len(live.plan.loaded),
        evaluations=_evaluations(live.plan.jobs, jobs),
    )


def _evaluations(planned: Sequence[Job], found: Mapping[str, JobForecast]) -> float:
    """Seconds of the checkpoint's jobs, in those of one look by the usual probes of attacks; 0 where there are none."""
    own = [job for job in planned if job.model.role is Role.UNLEARNED]
    attacked = [job for job in own if job.attack != BASELINE and job.arm.doses and job.arm.share]
    if not attacked:
        return 0.0
    usual, _ = Counter(job.probes for job in attacked).most_common(1)[0]
    like = next(job for job in attacked if job.probes == usual)
    look = sum(found[like.key].probes.values()) / (like.arm.doses * like.arm.share)
    return sum(found[job.key].seconds for job in own) / look if look else 0.0


def _costs(live: LivePlan, engine: Engine, speed: Speed) -> dict[tuple[str, ...], dict[str, Cost]]:
    """Battery of a job -> probe -> its cost at a dose. Each is tried by itself: what others ask, a probe need not."""
    from unlearn_audit.plan.forecasting.rehearsal import rehearsed

    batteries = sorted({job.probes for job in live.plan.jobs}, key=len, reverse=True)
    found: dict[tuple[str, ...], dict[str, Cost]] = {}
    known: dict[str, Cost] = {}
    for battery in batteries:
        tried = rehearsed(live, engine, speed, battery)
        known = tried | known
        found[battery] = {name: tried.get(name) or known.get(name, _usual(known)) for name in battery}
    return found


def _usual(known: Mapping[str, Cost]) -> Cost:
    """What stands in for a probe that cannot be tried before something is prepared for it: the mean of the others."""
    from unlearn_audit.plan.forecasting.rehearsal import Cost

    count = max(1, len(known))
    means = {part.name: sum(getattr(one, part.name) for one in known.values()) / count for part in fields(Cost)}
    return Cost(**means)


def _forecast(live: LivePlan, job: Job, speed: Speed, costs: Mapping[str, Cost], weights: int) -> JobForecast:
    size = max(1, job.model.checkpoint.extent.weights) / max(1, weights)
    doses, share = job.arm.doses, job.arm.share
    probes = {name: size * doses * costs[name].of(share * len(live.pool(live.probes[name].reads))) for name in costs}
    looks = doses * (2 + len(job.probes))  # at all weights: that nothing was written into them
    own = job.arm.training_texts * speed.lesson + looks * speed.copied
    return JobForecast(own=KEPT_SECONDS + size * own, probes=probes)
