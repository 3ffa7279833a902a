"""Comparisons of models: features from each, taken while it is loaded, and then the estimates, without any model.

A model is loaded once for its jobs and its features. Only a comparison that looks at a model in view of the others
(`Comparison.crosses`) has every model loaded a second time. A comparison that fails says so and spoils nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from unlearn_audit.api import Json, Role, derive_seed
from unlearn_audit.api.comparison import Compared, Comparison, ComparisonContext, Features
from unlearn_audit.errors import AttackError
from unlearn_audit.evidence.records import ComparisonRecord, GroupRecord
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.models.engine import Engine
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Extraction, PlannedModel
from unlearn_audit.run.isolation import log_traceback, masked, message_of, own_randomness, untouched

OWN, CROSSED = "own", "crossed"
_ORDER = (Role.ORIGINAL, Role.RETRAINED, Role.UNLEARNED)


@dataclass(kw_only=True)
class Comparing:
    """The comparisons of a run.

    Attributes:
        faults: comparison -> what it met on a model.
    """

    live: LivePlan
    store: EvidenceStore
    stop_if_interrupted: Callable[[], None] = lambda: None
    faults: dict[str, str] = field(default_factory=dict)

    def pending(self, model: PlannedModel) -> list[Extraction]:
        """What is still to be taken from a model by itself, or taken again as it was for handing on and is gone."""
        return [one for one in self._of(model) if not self.store.has(part_of(one, OWN)) or self._lacks_handed(one)]

    def extract(self, model: PlannedModel, engine: Engine, name: str) -> None:
        """Takes it for one comparison, and keeps it."""
        for one in self.pending(model):
            if one.comparison == name:
                self._take(one, OWN, engine, partial(self.live.comparisons[name].extract, engine))

    def crossing(self, model: PlannedModel) -> list[Extraction]:
        """What is still to be taken from a model in view of the others, where these are all there."""
        return [
            one
            for one in self._of(model)
            if self.live.comparisons[one.comparison].crosses
            and not self.store.has(part_of(one, CROSSED))
            and all(self.store.has(part_of(other, OWN)) for other in self._same(one))
            and not any(self._lacks_handed(other) for other in self._same(one))
        ]

    def cross(self, model: PlannedModel, engine: Engine, name: str) -> None:
        """Takes it for one comparison, and keeps it."""
        for one in self.crossing(model):
            if one.comparison == name:
                others = {other.model.name: self._taken(other) for other in self._same(one)}
                own = others.pop(model.name)
                self._take(one, CROSSED, engine, partial(self.live.comparisons[name].cross, engine, own, others))

    def _taken(self, one: Extraction) -> Features:
        """All that was taken from a model by itself, with what it hands on."""
        return {**self.store.arrays(part_of(one, OWN)), **self.store.handed(one.key)}

    def _lacks_handed(self, one: Extraction) -> bool:
        """Whether what it hands on is not there, and some model has still to look at it."""
        comparison = self.live.comparisons[one.comparison]
        if not comparison.hands_on or self.store.has_handed(one.key):
            return False
        return any(not self.store.has(part_of(other, CROSSED)) for other in self._same(one))

    def fault(self, model: PlannedModel, name: str, message: str) -> None:
        """Notes that a model could not be looked at for a comparison."""
        self.faults.setdefault(name, f"on {model.name}: {masked(message)}")

    def records(self) -> tuple[ComparisonRecord, ...]:
        """What all comparisons found. No model is loaded; what was for handing on is thrown away."""
        self.store.drop_handed()
        names = dict.fromkeys(one.comparison for one in self.live.plan.extractions)
        return tuple(self._record(name, self.live.comparisons[name]) for name in names)

    def _record(self, name: str, comparison: Comparison[Any]) -> ComparisonRecord:
        begun = time.monotonic()
        parts = [one for one in self.live.plan.extractions if one.comparison == name]
        record = ComparisonRecord(name=name, access=comparison.access, paper=comparison.paper)
        error = self.faults.get(name) or self._absent(comparison, parts)
        readings: tuple[GroupRecord, ...] = ()
        if error is None:
            try:
                compared = [self._compared(one, comparison) for one in sorted(parts, key=_place)]
                readings = tuple(_records(comparison, compared, self._context(name)))
            except Exception as failure:  # a plug-in's failure is evidence: said, and never silently absent
                log_traceback(self.store.run, f"{name}, comparing")
                error = message_of(failure)
        taken = {
            one.model.name: self.store.about(part_of(one, OWN)) for one in parts if self.store.has(part_of(one, OWN))
        }
        return record.model_copy(
            update={
                "readings": readings,
                "features": {model: str(about["digest"]) for model, about in taken.items()},
                "seconds": round(time.monotonic() - begun + sum(about["seconds"] for about in taken.values()), 3),
                "error": error,
            }
        )

    def _absent(self, comparison: Comparison[Any], parts: Sequence[Extraction]) -> str | None:
        wanted = (OWN, CROSSED) if comparison.crosses else (OWN,)
        absent = [one.model.name for one in parts if not all(self.store.has(part_of(one, part)) for part in wanted)]
        return f"there are no features of {', '.join(absent)}" if absent else None

    def _compared(self, one: Extraction, comparison: Comparison[Any]) -> Compared:
        features = dict(self.store.arrays(part_of(one, OWN)))
        if comparison.crosses:
            features |= self.store.arrays(part_of(one, CROSSED))
        return Compared(role=one.model.role, name=one.model.name, features=features)

    def _take(self, one: Extraction, part: str, engine: Engine, take: Callable[[ComparisonContext], Features]) -> None:
        self.stop_if_interrupted()
        begun = time.monotonic()
        context = self._context(one.comparison)
        try:
            with untouched(engine, one.title), own_randomness(context.seed):
                features = {name: np.asarray(values) for name, values in take(context).items()}
            _check_numbers(features)
        except Exception as failure:  # as above
            log_traceback(self.store.run, one.title)
            self.faults.setdefault(one.comparison, f"on {one.model.name}: {message_of(failure)}")
            return
        about: dict[str, Json] = {"comparison": one.comparison, "seconds": round(time.monotonic() - begun, 3)}
        handed = self.live.comparisons[one.comparison].hands_on & features.keys()
        if handed:
            self.store.hand_on(one.key, {name: features.pop(name) for name in sorted(handed)})
        self.store.put_arrays(part_of(one, part), features, about)

    def _context(self, name: str) -> ComparisonContext:
        live = self.live
        return ComparisonContext(
            facts={kind: facts.facts for kind, facts in live.facts.items()},
            profile=live.plan.spec.profile,
            seed=derive_seed(live.plan.spec.seed, name),
            alpha=live.plan.spec.policy.alpha,
        )

    def _of(self, model: PlannedModel) -> Iterator[Extraction]:
        return (one for one in self.live.plan.extractions if one.model.name == model.name)

    def _same(self, one: Extraction) -> Iterator[Extraction]:
        return (other for other in self.live.plan.extractions if other.comparison == one.comparison)


def _records(
    comparison: Comparison[Any], compared: Sequence[Compared], context: ComparisonContext
) -> Iterator[GroupRecord]:
    for reading in comparison.compare(compared, context):
        yield GroupRecord.model_validate(dict(reading))


def _check_numbers(features: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Rejects anything but arrays of numbers: text of a model would be kept with the evidence."""
    for name, values in features.items():
        if values.dtype.kind not in "biuf":
            raise AttackError(f"feature {name!r}: expected numbers, got type {values.dtype}")


def part_of(one: Extraction, part: str) -> str:
    """Under which key the store keeps a part of what is taken: by itself (`OWN`), or in view of others (`CROSSED`)."""
    return one.key if part == OWN else f"{one.key}-{part}"


def _place(one: Extraction) -> int:
    return _ORDER.index(one.model.role)
