"""What a comparison is: a plug-in that measures two or three roles together and gives group estimates.

A probe gives one score per fact, and the audit's statistics do the rest. Some questions have no such score: whether two
models can be told apart, how far apart their states are, how likely one finds the other's words. A comparison is given
each model once, takes from it what it needs as arrays (never text: what must be gone is not stored), and then compares
these, without any model. Estimates have an interval and a null: what the same number is if nothing is left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from unlearn_audit.api.facts import Fact, FactSet
from unlearn_audit.api.model import Model
from unlearn_audit.api.terms import Access, P_co, Parameters, Profile, Role
from unlearn_audit.statistics.groups import GroupEstimate as GroupEstimate
from unlearn_audit.statistics.groups import auc as auc
from unlearn_audit.statistics.groups import detection_accuracy as detection_accuracy
from unlearn_audit.statistics.groups import mean_estimate as mean_estimate
from unlearn_audit.statistics.groups import roc as roc
from unlearn_audit.statistics.groups import share_above as share_above

Features = Mapping[str, npt.NDArray[np.generic]]
"""What a comparison took from one model: named arrays of numbers."""


@dataclass(frozen=True, kw_only=True)
class ComparisonContext:
    """What a comparison may use besides the models.

    Attributes:
        facts: the fact sets that were given, in the order of the files.
        seed: the same for every role.
        alpha: error rate of each requested bound.
    """

    facts: Mapping[FactSet, tuple[Fact, ...]]
    profile: Profile
    seed: int
    alpha: float = 0.05

    def of(self, name: FactSet) -> tuple[Fact, ...]:
        """The facts of a set; empty where it was not given."""
        return self.facts.get(name, ())


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One model's features, as `compare` gets them."""

    role: Role
    name: str
    features: Features


class GroupReading(BaseModel):
    """One number over models, with its interval and its null.

    Attributes:
        measure: what was measured (`accuracy`, `auc`); `variant` where or how (a layer, a kind of classifier).
        between: names of the models that were compared, the one in question first.
        lower: a lower bound at 1 - alpha; `upper` likewise.
        null: what the number is if nothing was removed and nothing is left, as an interval: that of the pair that is
            honest by construction (original against retrained), or a known constant twice. None for a number that is
            informational, because its target is unknown.
        p_value: of "there is no difference", if the plug-in tests it.
        size: what was drawn at random (subjects, prompts).
        missing: why there is no estimate.
        about: what a report may show besides.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    measure: str
    variant: str
    between: tuple[str, ...]
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    null: tuple[float, float] | None = None
    null_from: str = ""
    p_value: float | None = None
    size: int = 0
    missing: str | None = None
    about: Mapping[str, object] = Field({})


class Comparison(ABC, Generic[P_co]):
    """Measures models together. A class is cheap to import (no torch, no scikit-learn at the top).

    Attributes:
        reads: fact sets that it requires; if one is not given, it is skipped, and the report says so.
        roles: roles that it requires.
        profiles: in which profiles it runs unless the spec names comparisons, or the policy this one.
        crosses: it looks at each model a second time, together with the features of the others (`cross`).
        hands_on: names of features that are only for `cross` and are deleted after it: what a model said (as
            bytes) may contain what must be gone, and is not kept with the evidence. `compare` does not see them.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    access: ClassVar[Access]
    reads: ClassVar[tuple[FactSet, ...]] = (FactSet.FORGET,)
    roles: ClassVar[tuple[Role, ...]] = (Role.UNLEARNED,)
    profiles: ClassVar[frozenset[Profile]] = frozenset(Profile)
    crosses: ClassVar[bool] = False
    hands_on: ClassVar[frozenset[str]] = frozenset()
    Parameters: ClassVar[type[Parameters]]

    def __init__(self, parameters: P_co) -> None:
        self.parameters = parameters

    @abstractmethod
    def extract(self, model: Model, context: ComparisonContext) -> Features:
        """The features of one model, without knowing its role. Numbers only, never an answer's text."""

    def cross(
        self, model: Model, own: Features, others: Mapping[str, Features], context: ComparisonContext
    ) -> Features:
        """More features of a model, computed from its own and the others' features.

        Only where `crosses`. `others` are by the models' names.
        """
        return {}

    @abstractmethod
    def compare(self, models: Sequence[Compared], context: ComparisonContext) -> Iterator[GroupReading]:
        """The estimates, from features alone: the original first (where given), the controls, the checkpoint last."""
