"""Which trainings relearning is made of: data x method x rank x learning rate, each over its folds and steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from unlearn_audit.api import AttackContext, AuditError, Json, OutOfReach

from ..shared.splits import lessons_of
from .data import Data
from .parameters import (
    BENIGN_LOOKS,
    BENIGN_SLOTS,
    DATA,
    METHODS,
    RANKS,
    SLOTS,
    STEPS,
    Method,
    RelearningParameters,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """One training, run alike on every role.

    Attributes:
        rank: of the LoRA update; None for full fine-tuning.
        slot: which of the learning rates that the method has for the data.
        fold: which facts are scored; None where nothing of the forget set is trained on, and all are.
        steps: where it is measured; the same training whatever they are.
    """

    data: Data
    method: Method
    rank: int | None
    slot: int
    fold: int | None
    steps: tuple[int, ...]

    @property
    def prefix(self) -> str:
        """How its doses are labelled: `lora r16`, `same-syntax full`."""
        method = self.method.value if self.rank is None else f"{self.method} r{self.rank}"
        return method if self.data is Data.IN_DOMAIN else f"{self.data} {method}"

    @property
    def name(self) -> str:
        """Of its arm."""
        return f"{self.prefix} lr{self.slot}" + ("" if self.fold is None else f" fold{self.fold}")

    @property
    def settings(self) -> Mapping[str, Json]:
        """What `from_settings` makes it from."""
        return {
            "data": self.data.value,
            "method": self.method.value,
            "rank": self.rank,
            "slot": self.slot,
            "fold": self.fold,
            "steps": list(self.steps),
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Json]) -> Course:
        """The course of an arm."""
        return cls(
            data=Data(str(settings["data"])),
            method=Method(str(settings["method"])),
            rank=cast("int | None", settings["rank"]),
            slot=cast("int", settings["slot"]),
            fold=cast("int | None", settings["fold"]),
            steps=tuple(cast("list[int]", settings["steps"])),
        )


@dataclass(frozen=True, kw_only=True)
class Syllabus:
    """What the parameters and the profile come to."""

    parameters: RelearningParameters
    context: AttackContext

    @property
    def data(self) -> tuple[Data, ...]:
        """Kinds of data that can be had.

        Raises:
            AuditError: a kind was asked for that cannot be made, or was given texts and is not run.
        """
        asked = self._asked
        if unused := sorted(set(self.parameters.texts) - set(asked)):
            raise AuditError(
                f"relearning: texts for {unused}, which the profile {self.context.profile} does not train on; name it "
                f"in `data`"
            )
        missing = self._missing
        if missing and self.parameters.data is not None:
            raise AuditError(
                f"relearning: {missing[0]} needs retain facts, but there are none; give a retain set, or texts "
                f"of your own (`texts: {{{missing[0]}: FILE}}`)"
            )
        return tuple(kind for kind in asked if kind not in missing)

    @property
    def methods(self) -> tuple[Method, ...]:
        """What is trained.

        Raises:
            AuditError: rates are given for a method that is not run.
        """
        named = {*self.parameters.learning_rates, *self.parameters.candidates}
        methods = self.parameters.methods or METHODS[self.context.profile]
        if unused := named - set(methods):
            raise AuditError(
                f"relearning: rates for {sorted(unused)}, which the profile {self.context.profile} does not run; "
                f"name it in `methods`"
            )
        return methods

    @property
    def steps(self) -> tuple[int, ...]:
        """Where a training on the forget set is measured; the last is every training's length."""
        return self.parameters.steps or STEPS[self.context.profile]

    def ranks(self, method: Method) -> tuple[int | None, ...]:
        """Ranks of the update; None where there is no adapter."""
        if method is Method.FULL:
            return (None,)
        return self.parameters.ranks or RANKS[self.context.profile]

    def slots(self, method: Method) -> int:
        """How many learning rates a method has."""
        given = self.parameters.learning_rates.get(method)
        return SLOTS[self.context.profile] if given is None else len(given)

    def benign_slots(self, method: Method) -> int:
        """How many learning rates a training on benign text has."""
        return min(self.slots(method), BENIGN_SLOTS[self.context.profile])

    @property
    def in_domain_lessons(self) -> int:
        """How many lessons a training on the forget set has, and any other at most."""
        folds = self.parameters.folds
        return max(1, sum(len(lessons_of(fact)) for fact in self.context.forget) * (folds - 1) // folds)

    def courses(self) -> list[Course]:
        """All trainings; the un-attacked model (step 0) is a dose of the first alone."""
        found: list[Course] = []
        first: Course | None = None
        for course in self._all():
            first = first or replace(course, fold=None)
            steps = course.steps
            if 0 in self.steps and replace(course, fold=None) == first:
                steps = (0, *steps)
            if steps:
                found.append(replace(course, steps=steps))
        return found

    def left_out(self) -> list[OutOfReach]:
        """What the profile has no room for, or the retain set nothing for, unless it was asked for by name."""
        profile = self.context.profile
        gaps = []
        if self.parameters.methods is None and Method.FULL not in self.methods:
            gaps.append(OutOfReach(what="full", why=f"full fine-tuning is not part of the profile {profile}"))
        if self.parameters.data is None:
            if others := [kind.value for kind in Data if kind not in self._asked]:
                gaps.append(OutOfReach(what=", ".join(others), why=f"not part of the profile {profile}"))
            gaps += [OutOfReach(what=kind.value, why="needs retain facts; none given") for kind in self._missing]
        return gaps

    @property
    def _asked(self) -> tuple[Data, ...]:
        return self.parameters.data or DATA[self.context.profile]

    @property
    def _missing(self) -> list[Data]:
        if self.context.retain:
            return []
        return [kind for kind in self._asked if kind.needs_retain and kind not in self.parameters.texts]

    def _all(self) -> Iterator[Course]:
        trained = tuple(step for step in self.steps if step > 0)
        for data in self.data:
            benign = data is not Data.IN_DOMAIN
            folds = (None,) if benign else tuple(range(self.parameters.folds))
            steps = trained[-BENIGN_LOOKS[self.context.profile] :] if benign else trained
            for method in self.methods:
                for rank in self.ranks(method):
                    for slot in range(self.benign_slots(method) if benign else self.slots(method)):
                        for fold in folds:
                            yield Course(data=data, method=method, rank=rank, slot=slot, fold=fold, steps=steps)


def middle(rates: Sequence[float], count: int) -> tuple[float, ...]:
    """The `count` rates in the middle."""
    start = (len(rates) - count) // 2
    return tuple(rates[start : start + count])
