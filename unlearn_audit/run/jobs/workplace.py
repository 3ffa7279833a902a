"""What the work on a plan shares in one process, and what it gathers besides the evidence on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial

import torch

from unlearn_audit.api import Role
from unlearn_audit.evidence.records import ComparisonRecord, ModelRecord
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.models.loading import load_weights
from unlearn_audit.models.references import Checkpoint
from unlearn_audit.plan.case import FaultyJob
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import PlannedModel
from unlearn_audit.run.extractions import Comparing
from unlearn_audit.run.jobs.job import Screens
from unlearn_audit.run.preparations import ProbePreparing
from unlearn_audit.run.progress import Forecasting, Progress
from unlearn_audit.run.transcripts import Outputs


@dataclass(kw_only=True)
class Gathered:
    """What a run left behind, besides the evidence on disk.

    Attributes:
        unprepared: attack -> why it could not make its choices on the original.
        inapplicable: those of them that cannot exist for the original's kind of model.
        unready: probe -> why what it needs could not be made.
        uncompared: comparison -> what it met on a model.
    """

    models: list[ModelRecord] = field(default_factory=list)
    faults: list[FaultyJob] = field(default_factory=list)
    unprepared: dict[str, str] = field(default_factory=dict)
    inapplicable: set[str] = field(default_factory=set)
    unready: dict[str, str] = field(default_factory=dict)
    uncompared: dict[str, str] = field(default_factory=dict)
    comparisons: tuple[ComparisonRecord, ...] = ()

    def add(self, other: Gathered) -> None:
        """Takes over what went wrong elsewhere."""
        self.faults += other.faults
        self.unprepared |= other.unprepared
        self.inapplicable |= other.inapplicable
        self.unready |= other.unready
        self.uncompared |= {name: why for name, why in other.uncompared.items() if name not in self.uncompared}


@dataclass(frozen=True)
class Workplace:
    """All that the units of a run share in one process."""

    live: LivePlan
    store: EvidenceStore
    progress: Progress
    gathered: Gathered
    comparing: Comparing
    preparing: ProbePreparing
    load_original: Callable[[], torch.nn.Module] | None
    load_base: Callable[[], torch.nn.Module] | None
    stop_if_interrupted: Callable[[], None]
    outputs: Outputs
    forecasting: Forecasting
    screens: Screens = field(default_factory=Screens)

    @classmethod
    def of(
        cls,
        live: LivePlan,
        store: EvidenceStore,
        progress: Progress,
        outputs: Outputs,
        stop_if_interrupted: Callable[[], None] = lambda: None,
    ) -> Workplace:
        """The work on a plan, with nothing gathered yet."""
        found = Gathered()
        return cls(
            live=live,
            store=store,
            progress=progress,
            gathered=found,
            comparing=Comparing(
                live=live, store=store, stop_if_interrupted=stop_if_interrupted, faults=found.uncompared
            ),
            preparing=ProbePreparing(live=live, store=store, tell=progress.preparing, faults=found.unready),
            load_original=_weights(live.plan.model(Role.ORIGINAL), live),
            load_base=_weights(live.plan.base, live),
            stop_if_interrupted=stop_if_interrupted,
            outputs=outputs,
            forecasting=Forecasting(live, progress),
        )

    def judged(self, live: LivePlan) -> Workplace:
        """The same work on the same plan, with the judge in its probes."""
        return replace(self, live=live, preparing=replace(self.preparing, live=live))


def _weights(found: PlannedModel | Checkpoint | None, live: LivePlan) -> Callable[[], torch.nn.Module] | None:
    """Loads a model's bare weights when first asked, once a run; None where there is no such model."""
    if found is None:
        return None
    checkpoint = found.checkpoint if isinstance(found, PlannedModel) else found
    return cache(partial(load_weights, checkpoint, live.plan.spec.models))
