"""Where most has come back so far, with a bound: for who watches. One cell by itself, and no finding of the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from unlearn_audit.api import Role
from unlearn_audit.audit.telling.found_so_far import Leading
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job
from unlearn_audit.statistics.bounds import gaffke_bounds
from unlearn_audit.verdict.policy.planned import under

_DRAWS, _SEED = 2_000, 0
_REST = 5.0
"""Seconds between two looks, at least: it must not cost what it looks at."""


class Leader(Quiet):
    """Looks, when a job of checkpoint or controls has ended, where the checkpoint shows most beyond its controls."""

    def __init__(self, live: LivePlan, run: Path, tell: Sequence[Callable[[Leading], None]]) -> None:
        self._live, self._run, self._tell = live, run, tell
        self._units = live.case.units
        planned = under(live.case, live.plan.spec.policy).planned
        self._deciding = {(one.attack, one.probe, one.measure) for one in planned if one.gates and not one.any_of}
        self._done: dict[str, dict[str, Mapping[str, float]]] = {}
        self._best: Leading | None = None
        self._looked = -_REST

    def kept(self, job: Job, doses: Mapping[str, Mapping[str, float]]) -> None:
        """A job of an earlier run."""
        self._done[job.key] = dict(doses)

    def dose(self, job: Job, label: str, hits: Mapping[str, float]) -> None:
        """A dose was measured."""
        self._done.setdefault(job.key, {})[label] = dict(hits)

    def finished(self, job: Job, seconds: float, fault: str | None) -> None:
        """A job has ended."""
        if fault or job.sham or job.model.role not in (Role.UNLEARNED, Role.RETRAINED):
            return
        if time.monotonic() - self._looked < _REST:
            return
        found = self._found()
        self._looked = time.monotonic()
        if found is not None and found != self._best:
            self._best = found
            for tell in self._tell:
                tell(found)

    def _found(self) -> Leading | None:
        places = list(self._places())
        if not places:
            return None
        _, own, controls, dose, measure = max(places, key=lambda place: place[0])
        try:
            return self._bounded(own, controls, dose, measure)
        except (AuditError, OSError, KeyError, ValueError):  # a run is not stopped by what only tells of it
            return None

    def _places(self) -> Iterator[tuple[float, Job, list[Job], str, str]]:
        """Every cell that the checkpoint and all of its controls have: by how much it shows more."""
        jobs = [job for job in self._live.plan.jobs if job.key in self._done and not job.sham and job.plant is None]
        beside: dict[tuple[str, str, int, str], list[Job]] = {}
        for job in jobs:
            if job.model.role is Role.RETRAINED:
                beside.setdefault(_place(job), []).append(job)
        controls = sum(model.role is Role.RETRAINED for model in self._live.plan.models)
        for job in jobs:
            held = beside.get(_place(job), [])
            if job.model.role is not Role.UNLEARNED or len(held) < controls:
                continue
            for dose, means in self._done[job.key].items():
                for measure, shown in means.items():
                    probe, _, name = measure.partition(".")
                    others = [self._done[one.key].get(dose, {}).get(measure) for one in held]
                    known = [other for other in others if other is not None]
                    if (job.attack, probe, name) in self._deciding and len(known) == controls:
                        yield shown - (sum(known) / controls if controls else 0.0), job, held, dose, measure

    def _bounded(self, own: Job, controls: Sequence[Job], dose: str, measure: str) -> Leading | None:
        store = EvidenceStore(self._run)
        shown = self._by_unit(store.observations(own.key), dose, measure)
        others = [self._by_unit(store.observations(one.key), dose, measure) for one in controls]
        table = pd.concat([shown, *others], axis=1, join="inner").dropna()
        if table.empty:
            return None
        beside = table.iloc[:, 1:].mean(axis=1) if controls else 0.0
        values = np.asarray(table.iloc[:, 0] - beside, dtype=np.float64)
        alpha = self._live.plan.spec.policy.alpha_fail
        lower, upper = gaffke_bounds(values, -1.0 if controls else 0.0, 1.0, alpha, _DRAWS, _SEED)
        return Leading(
            finding=f"{own.attack}/{measure}",
            dose=dose,
            shown=float(table.iloc[:, 0].mean()),
            controls=float(np.mean(beside)) if controls else None,
            lower=float(lower),
            upper=float(upper),
            subjects=len(values),
        )

    def _by_unit(self, rows: pd.DataFrame, dose: str, measure: str) -> pd.Series:
        probe, _, name = measure.partition(".")
        rows = rows[(rows["dose"] == dose) & (rows["probe"] == probe) & (rows["measure"] == name)]
        rows = rows.assign(unit=rows["fact_id"].map(self._units)).dropna(subset=["unit", "score"])
        return rows.groupby("unit")["score"].mean()


def _place(job: Job) -> tuple[str, str, int, str]:
    return job.attack, job.label, job.seed, job.own_probe or ""
