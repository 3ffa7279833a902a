"""What a plan holds: the models, the jobs, and what is left out. Pure data, fixed before any model is loaded.

A plan can be written to `plan.json`, read back, sent to another process and run there: it names plug-ins, parameters,
files and digests. `plan.live` finds the plug-ins and reads the facts where it runs. No fact and no subject is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from unlearn_audit.api import Arm, FactSet, Role
from unlearn_audit.api.judge import JudgeKind
from unlearn_audit.api.problems import first_problem
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.files import read_json
from unlearn_audit.evidence.records import PluginRecord
from unlearn_audit.models.references import Checkpoint, Storage
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.spec import AuditSpec

SHAM = ", sham"
"""How the label of an arm ends that runs toward twin answers."""

Settings = dict[str, JsonValue]
"""Parameters of a plug-in, as JSON: what its `Parameters` validates."""


class Planned(BaseModel):
    """Base of all parts of a plan: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedModel(Planned):
    """One model of the audit, found on disk and not yet loaded."""

    role: Role
    name: str
    checkpoint: Checkpoint


def served_as(name: str) -> str:
    """The name of an artefact's model, which no other model of an audit has."""
    return f"served {name}"


def artifact_name(model: PlannedModel) -> str:
    """The other way: the name of its arm and dose."""
    return model.name.partition(" ")[2]


class PlannedFacts(Planned):
    """One fact set: where it is read from, and the digest that it must have."""

    name: FactSet
    source: str
    digest: str


class PlannedJudge(Planned):
    """The judge of the outputs; its model, where it has one, is found on disk and not yet loaded."""

    kind: JudgeKind = JudgeKind.MATCH
    twins: int = 20
    checkpoint: Checkpoint | None = None

    @property
    def key(self) -> dict[str, JsonValue]:
        """What evidence depends on; nothing for `match`, so that jobs from before there was a choice stay good."""
        if self.kind is JudgeKind.MATCH:
            return {}
        made: list[JsonValue] = [] if self.checkpoint is None else [self.checkpoint.digest, self.twins]
        return {"judge": [self.kind, *made]}


class PlannedPlant(Planned):
    """How a plant is made from the original: by the attack that names it first, for this arm of it.

    Attributes:
        kind: how it hides.
    """

    name: str
    kind: str = ""
    attack: str
    arm: Arm


class Job(Planned):
    """The unit of caching, retry and resume: one arm of one attack on one model, with one seed.

    Attributes:
        sham: the arm runs toward twin answers, and is scored on them (design 6.6).
        plant: how the model is made from the original, for a job of a plant (design 6.2).
        own_probe: the one probe that it runs, where something is prepared for that and a failure is that probe's own.
    """

    key: str
    attack: str
    arm: Arm
    model: PlannedModel
    seed: int
    probes: tuple[str, ...]
    sham: bool = False
    plant: PlannedPlant | None = None
    own_probe: str | None = None

    @property
    def label(self) -> str:
        """The arm, and whether it runs toward twin answers."""
        return f"{self.arm.name}{SHAM}" if self.sham else self.arm.name

    @property
    def title(self) -> str:
        """For people: `relearning (lora r16 fold1) on retrained-1`."""
        arm = "" if self.label == self.attack else f" ({self.label})"
        probe = f", {self.own_probe}," if self.own_probe else ""
        return f"{self.attack}{arm}{probe} on {self.model.name}"


class Extraction(Planned):
    """What one comparison takes from one model: kept, retried and resumed like a job."""

    key: str
    comparison: str
    model: PlannedModel

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.comparison} of {self.model.name}"


class Plan(Planned):
    """Everything that will run, and everything that will not, with the reason.

    Attributes:
        served: the checkpoint as it is served, each in its place under the attack on artefacts.
        attacks: name -> parameters, of every attack that runs; `probes` and `comparisons` likewise.
        generator: a model that writes texts for probes before any model of the audit is loaded.
        base: the public base, for attacks that work with it; not audited.
        case: what the verdict will be about, without what follows from the facts (`LivePlan.case` has all of it).
        prepared_keys: attack -> where the store keeps what it prepared on the original.
        written_keys: probe -> where the store keeps what the generator wrote for it.
        probe_keys: probe -> where the store keeps what it prepared on the original.
        template: digest of the file that is the chat template of all roles, where one was chosen.
        versions: of everything that evidence can depend on.
        notes: what a reader of the verdict must know of how the models are asked.
        engine: digest of our own sources that every job goes through.
        plugins: whose code makes the evidence, and what it is now.
    """

    spec: AuditSpec
    models: tuple[PlannedModel, ...]
    served: tuple[PlannedModel, ...] = ()
    facts: tuple[PlannedFacts, ...]
    attacks: dict[str, Settings]
    probes: dict[str, Settings]
    comparisons: dict[str, Settings] = Field({})
    judge: PlannedJudge = PlannedJudge()
    generator: Checkpoint | None = None
    base: Checkpoint | None = None
    jobs: tuple[Job, ...] = ()
    extractions: tuple[Extraction, ...] = ()
    case: Case
    prepared_keys: dict[str, str] = Field({})
    written_keys: dict[str, str] = Field({})
    probe_keys: dict[str, str] = Field({})
    template: str | None = None
    versions: dict[str, str] = Field({})
    notes: tuple[str, ...] = ()
    engine: str = ""
    plugins: tuple[PluginRecord, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """A plan that was written to a file.

        Raises:
            AuditError: the file is missing, or is not a plan of this version.
        """
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            first = first_problem(error)
            raise AuditError(f"{path}: expected a plan of this version ({first.key}: {first.message})") from error

    def as_json(self) -> dict[str, JsonValue]:
        """The plan for `plan.json`."""
        document: dict[str, JsonValue] = self.model_dump(mode="json")
        return document

    @property
    def all_prepared(self) -> tuple[str, ...]:
        """Keys of everything that attacks and probes make once, for all roles."""
        kept: tuple[Mapping[str, str], ...] = (self.prepared_keys, self.written_keys, self.probe_keys)
        return tuple(key for keys in kept for key in keys.values())

    @property
    def loaded(self) -> tuple[PlannedModel, ...]:
        """Every model that jobs run on, in the order in which they are loaded."""
        return (*self.models, *self.served)

    def model(self, role: Role) -> PlannedModel | None:
        """The first model of a role."""
        return next((model for model in self.models if model.role is role), None)

    @property
    def audits_adapter(self) -> bool:
        """Whether the checkpoint is an adapter, quantized both under and with its base."""
        model = self.model(Role.UNLEARNED)
        return model is not None and model.checkpoint.storage is Storage.ADAPTER
