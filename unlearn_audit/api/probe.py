"""The interface of a probe: measures one model, one score per fact."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Self

from unlearn_audit.api.facts import Fact, FactSet
from unlearn_audit.api.judge import Judge
from unlearn_audit.api.model import Model
from unlearn_audit.api.terms import Access, Json, P_co, Parameters, Profile, Role, ScoreKind
from unlearn_audit.errors import AuditError


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One number that a probe gives for a fact.

    Attributes:
        gates: it can decide an audit; otherwise it is advisory.
        passages: it measures facts with only a text, and is planned only if there are any; others are planned only if
            some fact has a question.
    """

    name: str
    kind: ScoreKind
    gates: bool = False
    passages: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One score of one fact, as a probe gives it: blind to attack and role.

    Attributes:
        variant: the way of asking (`question`, `paraphrase-1`, ...).
        score: in [0, 1], or None with `missing` saying why.
        twin_score: the mean score that the same answer of the model would get for its twins (answers of other
            subjects for the same relation); what a model that knows nothing scores. None where there are too few.
        matched: what `match` says of the same output, where another judge gave the score; for their agreement.
    """

    fact_id: str
    measure: str
    variant: str
    score: float | None
    twin_score: float | None = None
    missing: str | None = None
    matched: bool | None = None

    def __post_init__(self) -> None:
        """Refuses a score outside [0, 1], and a missing one without a reason."""
        if (self.score is None) == (self.missing is None):
            raise AuditError(f"{self.measure} of {self.fact_id}: expected either a score or a reason why there is none")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise AuditError(f"{self.measure} of {self.fact_id}: expected a score in [0, 1], got {self.score}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What is known of one measure before any model is loaded, for every fact of a pool.

    Attributes:
        levels: fact id -> what a model scores on average that knows nothing of the fact, at best; in [0, 1].
        missing: fact id -> why the measure cannot score it in any model.
    """

    levels: Mapping[str, float]
    missing: Mapping[str, str]

    @classmethod
    def of(cls, found: Mapping[str, float | str]) -> Self:
        """From a level for each fact, or the reason why it has none."""
        return cls(
            levels={fact: level for fact, level in found.items() if not isinstance(level, str)},
            missing={fact: why for fact, why in found.items() if isinstance(why, str)},
        )


class Probe(ABC, Generic[P_co]):
    """Measures one model, one score per fact; changes nothing, and cannot see which attack or role it measures.

    Attributes:
        reads: the fact set that it scores.
        under_attacks: run after every dose; otherwise only under the baseline.
        refusal_proof: a model cannot score well (low) by refusing.
        profiles: in which profiles it runs unless the spec names probes, or the policy this one.
        prepared: what `write` and `prepare` returned for this audit, the same for every role; empty where neither ran.
        judge: decides whether an output contains an answer; a probe that reads outputs asks no other.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    access: ClassVar[Access]
    measures: ClassVar[tuple[Measure, ...]]
    reads: ClassVar[FactSet] = FactSet.FORGET
    under_attacks: ClassVar[bool] = False
    refusal_proof: ClassVar[bool] = False
    profiles: ClassVar[frozenset[Profile]] = frozenset(Profile)
    judge: Judge = Judge()
    Parameters: ClassVar[type[Parameters]]

    def __init__(self, parameters: P_co) -> None:
        self.parameters = parameters
        self.prepared: Mapping[str, Json] = {}

    def write(self, generator: Model, pool: Sequence[Fact]) -> Mapping[str, Json]:
        """Texts that a generator writes once, before any model of the audit is loaded. Called only if there is one.

        Here as in `prepare`, the report shows what is under `summary` (counts, never texts).
        """
        return {}

    def prepare(self, original: Model, pool: Sequence[Fact]) -> Mapping[str, Json]:
        """What is made once on the original, for every role alike. Called only if the audit has one."""
        return {}

    def prepared_with(self, prepared: Mapping[str, Json]) -> Self:
        """This probe with what was prepared."""
        bound = copy.copy(self)
        bound.prepared = prepared
        return bound

    def judged_by(self, judge: Judge) -> Self:
        """The same probe with a judge."""
        probe = copy.copy(self)
        probe.judge = judge
        return probe

    def outlook(self, pool: Sequence[Fact]) -> Mapping[str, Outlook]:
        """By measure, what is known of it before the run; nothing of a measure that is not named."""
        return {}

    @abstractmethod
    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Readings of `facts`: every measure of every fact, scored or missing with a reason.

        Args:
            model: what is measured.
            facts: the facts to score.
            pool: the whole fact set, from which twins and distractors are drawn.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A reading with its place in the audit: role, attack, dose, probe, seed.

    Attributes:
        placebo_score: the same measure of the fact's placebo, the same question about an invented subject; taken
            if no retrained model is given.
        sham: the attack optimized toward a twin answer, and the score is that answer's (design 6.6).
    """

    role: Role
    model: str
    attack: str
    dose: str
    dose_value: float | None
    probe: str
    measure: str
    variant: str
    fact_id: str
    seed: int
    score: float | None
    twin_score: float | None
    missing: str | None
    placebo_score: float | None = None
    sham: bool = False
