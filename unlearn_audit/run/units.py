"""The work of a run in units: what a worker does at a stretch on one model. Pure data, which can be sent elsewhere.

The units of a round come in the order in which one process does them. Where there are several, a unit waits for those
that it names in `needs`, and for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from unlearn_audit.api import Role
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job, Plan, PlannedModel
from unlearn_audit.run.extractions import CROSSED, OWN, Comparing, part_of
from unlearn_audit.run.preparations import ProbePreparing


class Step(StrEnum):
    """What is done in a unit."""

    OPEN = "open"
    WRITE = "write"
    PREPARE = "prepare"
    PREPARE_PROBE = "prepare-probe"
    JOBS = "jobs"
    FEATURES = "features"
    CROSS = "cross"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What one worker does at a stretch.

    Attributes:
        model: on which it is done, and which has to be loaded for it.
        name: of the attack, the probe or the comparison that it is for; empty where it is for none.
        jobs: what it runs, in this order; several where they share a plant.
        makes: keys of the evidence that it leaves, if all goes well.
        needs: ids of the units of the same round that come first.
    """

    step: Step
    model: PlannedModel
    name: str = ""
    jobs: tuple[Job, ...] = ()
    makes: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """Which unit of its round it is."""
        return "/".join((self.step, self.model.name, self.name, *(f"{job.key}.{job.label}" for job in self.jobs)))

    @property
    def title(self) -> str:
        """For people: `relearning (lora r16 fold1) on retrained-1`."""
        if self.jobs:
            plant = self.jobs[0].plant
            return self.jobs[0].title if plant is None else f"the plant {plant.name}"
        what = {
            Step.OPEN: "opening",
            Step.WRITE: "writing with",
            Step.PREPARE: f"{self.name}: preparing on",
            Step.PREPARE_PROBE: f"probe {self.name}: preparing on",
        }
        return f"{what.get(self.step, f'{self.name}: features of')} {self.model.name}"


def generator_of(plan: Plan) -> PlannedModel | None:
    """The model that writes texts for probes, if there is one."""
    if plan.generator is None:
        return None
    return PlannedModel(role=Role.GENERATOR, name="generator", checkpoint=plan.generator)


@dataclass(frozen=True, kw_only=True)
class Agenda:
    """The rounds of a run. What each round holds is found when it begins, from what is kept by then."""

    live: LivePlan
    store: EvidenceStore
    comparing: Comparing
    preparing: ProbePreparing

    def opening(self) -> list[Unit]:
        """Every model that has work to do is opened before the first job."""
        return [Unit(step=Step.OPEN, model=model) for model in self.live.plan.loaded if self._has_work(model)]

    def writing(self) -> list[Unit]:
        """The generator writes for all probes before any model of the audit is loaded: one is in memory at a time."""
        generator, names = generator_of(self.live.plan), self.preparing.unwritten()
        if generator is None or not names:
            return []
        makes = tuple(self.live.plan.written_keys[name] for name in names)
        return [Unit(step=Step.WRITE, model=generator, makes=makes)]

    def working(self) -> list[Unit]:
        """Choices on the original, jobs, what comparisons take from a model by itself, and the jobs of plants."""
        found = list(self._preparations())
        prepared = {(unit.step, unit.name): unit.id for unit in found}
        first: dict[str, str] = {}  # two roles with the same weights share their jobs
        for model in self.live.plan.loaded:
            for jobs in self._batches(model):
                needs = {first.get(job.key) for job in jobs}
                needs |= {prepared.get((Step.PREPARE, job.attack)) for job in jobs}
                needs |= {prepared.get((Step.PREPARE_PROBE, job.own_probe or "")) for job in jobs}
                unit = Unit(
                    step=Step.JOBS,
                    model=model,
                    jobs=jobs,
                    makes=tuple(job.key for job in jobs),
                    needs=frozenset(filter(None, needs)),
                )
                first |= {job.key: unit.id for job in jobs}
                found.append(unit)
            found += self._features(model)
        return sorted(found, key=self._turn)

    def crossing(self) -> list[Unit]:
        """What comparisons take from a model in view of the others."""
        return [
            Unit(step=Step.CROSS, model=model, name=one.comparison, makes=(part_of(one, CROSSED),))
            for model in self.live.plan.models
            for one in self.comparing.crossing(model)
        ]

    def _turn(self, unit: Unit) -> tuple[int, int]:
        """One model after the other, so that one process loads each once; plants go last on the original."""
        order = {model.name: place for place, model in enumerate(self.live.plan.loaded)}
        steps = (Step.PREPARE, Step.PREPARE_PROBE, Step.JOBS, Step.FEATURES)
        planted = bool(unit.jobs) and unit.jobs[0].plant is not None
        return order[unit.model.name], len(steps) if planted else steps.index(unit.step)

    def _preparations(self) -> Iterator[Unit]:
        original = self.live.plan.model(Role.ORIGINAL)
        if original is None:
            return
        for name in self._unprepared():
            yield Unit(step=Step.PREPARE, model=original, name=name, makes=(self.live.plan.prepared_keys[name],))
        for name in self.preparing.unprepared():
            yield Unit(step=Step.PREPARE_PROBE, model=original, name=name, makes=(self.live.plan.probe_keys[name],))

    def _features(self, model: PlannedModel) -> Iterator[Unit]:
        for one in self.comparing.pending(model):
            yield Unit(step=Step.FEATURES, model=model, name=one.comparison, makes=(part_of(one, OWN),))

    def _batches(self, model: PlannedModel) -> Iterator[tuple[Job, ...]]:
        """Each pending job of a model by itself; of the original also those of plants, each plant's together."""
        yield from ((job,) for job in self._pending() if job.model.name == model.name)
        if model.role is Role.ORIGINAL:
            planted = [job for job in self._pending() if job.plant is not None]
            yield from (tuple(jobs) for _, jobs in groupby(planted, key=lambda job: job.model.name))

    def _pending(self) -> list[Job]:
        return [job for job in self.live.plan.jobs if not self.store.has(job.key)]

    def _has_work(self, model: PlannedModel) -> bool:
        if any(self._batches(model)) or self.comparing.pending(model):
            return True
        return model.role is Role.ORIGINAL and any(self._preparations())

    def _unprepared(self) -> list[str]:
        """Attacks with jobs to run, whose choices no earlier run made."""
        waiting = {job.attack for job in self._pending()}
        keys = self.live.plan.prepared_keys
        return [name for name, key in keys.items() if name in waiting and self.store.note(key) is None]
