"""What a plan holds: the models, the jobs, and what each of them may use. Fixed before any model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unlearn_audit.api import Arm, Attack, AttackContext, Fact, FactSet, Json, Planting, Probe, Role, derive_seed
from unlearn_audit.api.comparison import Comparison
from unlearn_audit.api.judge import JudgeKind
from unlearn_audit.facts.load import Facts
from unlearn_audit.models.references import Checkpoint, Storage
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.spec import AuditSpec


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """One model of the audit, found on disk and not yet loaded."""

    role: Role
    name: str
    checkpoint: Checkpoint


@dataclass(frozen=True, kw_only=True)
class PlannedJudge:
    """The judge of the outputs; its model, where it has one, is found on disk and not yet loaded."""

    kind: JudgeKind = JudgeKind.MATCH
    twins: int = 20
    checkpoint: Checkpoint | None = None

    @property
    def key(self) -> dict[str, Json]:
        """What evidence depends on; nothing for `match`, so that jobs from before there was a choice stay good."""
        if self.kind is JudgeKind.MATCH:
            return {}
        made: tuple[Json, ...] = () if self.checkpoint is None else (self.checkpoint.digest, self.twins)
        return {"judge": (self.kind, *made)}


@dataclass(frozen=True, kw_only=True)
class Job:
    """The unit of caching, retry and resume: one arm of one attack on one model, with one seed.

    Attributes:
        sham: the arm runs toward twin answers, and is scored on them (design 6.6).
        planting: how the model is made from the original, for a job of a plant (design 6.2).
        own_probe: the one probe that it runs, where something is prepared for that and a failure is that probe's own.
    """

    key: str
    attack: str
    arm: Arm
    model: PlannedModel
    seed: int
    probes: tuple[str, ...]
    sham: bool = False
    planting: Planting | None = None
    own_probe: str | None = None

    @property
    def label(self) -> str:
        """The arm, and whether it runs toward twin answers."""
        return f"{self.arm.name}, sham" if self.sham else self.arm.name

    @property
    def title(self) -> str:
        """For people: `relearning (lora lr0 fold1) on retrained-1`."""
        arm = "" if self.label == self.attack else f" ({self.label})"
        probe = f", {self.own_probe}," if self.own_probe else ""
        return f"{self.attack}{arm}{probe} on {self.model.name}"


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What one comparison takes from one model: kept, retried and resumed like a job."""

    key: str
    comparison: str
    model: PlannedModel

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.comparison} of {self.model.name}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that will run, and everything that will not, with the reason.

    Attributes:
        placebo: fact id -> its placebo, where there is no retrained model.
        sham: the forget facts with twin answers, where an attack optimises toward answers.
        generator: a model that writes texts for probes before any model of the audit is loaded.
        written_keys: probe -> where the store keeps what the generator wrote for it.
        probe_keys: probe -> where the store keeps what it prepared on the original.
    """

    spec: AuditSpec
    models: tuple[PlannedModel, ...]
    facts: Mapping[FactSet, Facts]
    attacks: Mapping[str, Attack[Any]]
    probes: Mapping[str, Probe[Any]]
    comparisons: Mapping[str, Comparison[Any]] = field(default_factory=dict)
    judge: PlannedJudge = PlannedJudge()
    jobs: tuple[Job, ...]
    extractions: tuple[Extraction, ...] = ()
    case: Case
    prepared_keys: Mapping[str, str] = field(default_factory=dict)
    generator: Checkpoint | None = None
    written_keys: Mapping[str, str] = field(default_factory=dict)
    probe_keys: Mapping[str, str] = field(default_factory=dict)
    placebo: Mapping[str, Fact] = field(default_factory=dict)
    sham: tuple[Fact, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_prepared(self) -> tuple[str, ...]:
        """Keys of everything that attacks and probes make once, for all roles."""
        kept = (self.prepared_keys, self.written_keys, self.probe_keys)
        return tuple(key for keys in kept for key in keys.values())

    def model(self, role: Role) -> PlannedModel | None:
        """The first model of a role."""
        return next((model for model in self.models if model.role is role), None)

    def pool(self, name: FactSet, *, sham: bool = False) -> tuple[Fact, ...]:
        """The facts of a set; with `sham` the forget set with twin answers. Empty where none were given."""
        if sham and name is FactSet.FORGET:
            return self.sham
        return self.facts[name].facts if name in self.facts else ()

    def context(
        self,
        attack: str,
        seed: int,
        prepared: Mapping[str, Json] | None = None,
        *,
        sham: bool = False,
        seed_of: str | None = None,
    ) -> AttackContext:
        """What an attack may use; the runner adds scratch space and the original. A plant has a seed of its own."""
        own = derive_seed(self.spec.seed, attack, seed)
        return AttackContext(
            forget=self.pool(FactSet.FORGET, sham=sham),
            retain=self.pool(FactSet.RETAIN),
            profile=self.spec.profile,
            seed=own if seed_of is None else derive_seed(self.spec.seed, "plant", seed_of),
            prepared={"adapter_doses": self.audits_adapter, **(prepared or {})},
            has_original=self.model(Role.ORIGINAL) is not None,
        )

    def as_json(self) -> dict[str, Json]:
        """The plan for `plan.json`: jobs and findings as they were fixed before any evidence."""
        return {
            "jobs": [
                {
                    "key": job.key,
                    "attack": job.attack,
                    "arm": job.arm.name,
                    "model": job.model.name,
                    "seed": job.seed,
                    "sham": job.sham,
                    "probes": list(job.probes),
                }
                for job in self.jobs
            ],
            "extractions": [
                {"key": one.key, "comparison": one.comparison, "model": one.model.name} for one in self.extractions
            ],
            **self.judge.key,
            "findings": [{"id": finding.id, "gates": finding.gates} for finding in self.case.planned],
            "prepared": {**self.probe_keys},
            "left_out": [item.model_dump() for item in self.case.left_out],
        }

    @property
    def audits_adapter(self) -> bool:
        """Whether the checkpoint is an adapter, quantised both under and with its base."""
        model = self.model(Role.UNLEARNED)
        return model is not None and model.checkpoint.storage is Storage.ADAPTER
