"""The case: what the plan fixed before any evidence, and all else that a verdict depends on."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from unlearn_audit.api import Access, ScoreKind
from unlearn_audit.evidence.records import Record, ShortOfPlateau
from unlearn_audit.evidence.seal import Seal
from unlearn_audit.spec.policy import Release

BASELINE = "as-is"
"""The attack that does nothing."""


SERVED = "served"
"""The attack that is no attack either: files of the checkpoint, as they are served."""


class PlannedFinding(Record):
    """One attack x one measure of a probe, fixed before any evidence was seen.

    Attributes:
        gates: it can decide the audit at this release tier (`verdict.policy.planned.under`: by this policy); else
            advisory.
        any_of: the exposure over all ways of asking (design 6.4): a fact is shown if any variant shows it.
        refusal_proof: low scores cannot come from refusing.
        sham: the attack optimizes toward the answer, and what it gets toward a twin answer is subtracted (design 6.6).
        at_every_dose: its probe meets every dose of the attack; else those of the first arm alone.
        doses: names of the doses that the policy says are served, where the finding was parted by them (`serving`).
        unserved: it is over all other doses than these.
        seeded: its attack draws at random, and is run with several seeds.
        dose_unit: what the values of the attack's doses count: steps, bits; empty where nobody says.
        exploratory: the policy does not name it, so that no pass needs it; a leak that it proves fails the audit.
        weight: in Holm's family, under a policy (`verdict.policy.planned.under`).
    """

    attack: str
    probe: str
    measure: str
    kind: ScoreKind
    access: Access
    gates: bool
    any_of: bool = False
    refusal_proof: bool = False
    sham: bool = False
    at_every_dose: bool = True
    doses: tuple[str, ...] | None = None
    unserved: bool = False
    seeded: bool = False
    dose_unit: str = ""
    exploratory: bool = False
    weight: float = 1.0

    @property
    def in_family(self) -> bool:
        """Whether it can fail the audit, and so is in Holm's family."""
        return self.gates or self.exploratory

    @property
    def id(self) -> str:
        """`attack/probe.measure`; `.any` for the exposure over all ways of asking, `.unserved` for what is not."""
        ending = (".any" if self.any_of else "") + (".unserved" if self.unserved else "")
        return f"{self.attack}/{self.probe}.{self.measure}{ending}"

    def covers(self, dose: str) -> bool:
        """Whether the finding is over this dose (or arm) of its attack."""
        return self.doses is None or is_named(dose, self.doses) is not self.unserved

    def hit_by(self, fault: FaultyJob) -> bool:
        """Whether a job that gave no evidence leaves a hole in this finding."""
        return fault.attack == self.attack and self.covers(fault.arm) and fault.probe in (None, self.probe)


class FaultyJob(Record):
    """A planned job that gave no evidence, with the error that it met.

    Attributes:
        probe: the one probe that the job was for, where it was for one alone.
        skipped: the attack says that it cannot exist for this kind of model; `message` says why. Not a fault if it
            says so of every audited model (`Case.model_skips`).
    """

    attack: str
    arm: str
    model: str
    message: str
    probe: str | None = None
    skipped: bool = False


class LeftOut(Record):
    """Something that was not run, and why."""

    what: str
    why: str


class Case(Record):
    """What the plan fixed and the runner saw: with the observations, all that a verdict depends on.

    Attributes:
        subjects: fact id -> pseudonym of its subject (`facts.privacy`), of the forget set; `retain_subjects` of the
            retain set. Runs of older versions have the names here.
        retain_parts: id of a retain fact -> the part of what must stay that it belongs to, where it names one.
        controls: names of the retrained models, () where there are none.
        chance: fact id -> hit rate of the best constant answer to its relation (the commonest answer's share);
            the level that a hit must beat where there is no control at all.
        levels: `probe.measure` -> fact id -> what a model that knows nothing scores of it on average, at best, where
            the probe can tell before the run (`api.Outlook`): of a choice among 31 answers 1/31, or more where one
            answer is common. A fact that the probe cannot score is not in it.
        unscorable: `probe.measure` -> ids of the facts that no model can have a score of there, as the plan knows: the
            measure is not about them, and lacks nothing where they have no score.
        checkpoint: digest of the checkpoint's files, for the verdict's sentence.
        plants: attack -> the names of its plants, where the audit makes some; an attack that has none declares none.
        plant_kinds: plant -> how it hides (`api.Planting.kind`); `plant_arms`: attack -> plant -> the arms (and so the
            formats) that are to undo it. A plant says nothing about other arms and other kinds of hiding.
        short_of_plateau: jobs that trained and did not get as far as they had to: such an arm has no power.
        served_arms: attack -> the arms that run, in their order, of attacks that the owner applies before serving.
        relations: fact id -> its relation, where it has one.
        clusters: subject -> the group whose members may leak together (a family, a book's volumes), where facts name
            one: the group is then what counts as independent.
        doses: attack -> names of doses that it must yield, where the plan knows more than `served_arms`.
        not_run: attacks that were planned and not run, because a leak was proven before (`--fail-fast`).
        seal: of the plan, where it was sealed before the run, and what the run did otherwise.
    """

    release: Release
    subjects: dict[str, str]
    retain_subjects: dict[str, str] = Field({})
    retain_parts: dict[str, str] = Field({})
    chance: dict[str, float] = Field({})
    levels: dict[str, dict[str, float]] = Field({})
    unscorable: dict[str, tuple[str, ...]] = Field({})
    checkpoint: str = ""
    plants: dict[str, tuple[str, ...]] | None = None
    plant_kinds: dict[str, str] = Field({})
    plant_arms: dict[str, dict[str, tuple[str, ...]]] = Field({})
    short_of_plateau: tuple[ShortOfPlateau, ...] = ()
    has_original: bool
    controls: tuple[str, ...] = ()
    planned: tuple[PlannedFinding, ...]
    served_arms: dict[str, tuple[str, ...]] = Field({})
    doses: dict[str, tuple[str, ...]] = Field({})
    relations: dict[str, str] = Field({})
    clusters: dict[str, str] = Field({})
    faults: tuple[FaultyJob, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    not_run: tuple[str, ...] = ()
    seal: Seal | None = None

    @property
    def units(self) -> dict[str, str]:
        """Fact id -> what counts as independent: its subject's cluster, or its subject."""
        return {fact: self.clusters.get(subject, subject) for fact, subject in self.subjects.items()}

    def doses_of(self, attack: str) -> tuple[str, ...]:
        """Names of the doses that an attack must yield, as far as the plan knows them."""
        return self.doses.get(attack, self.served_arms.get(attack, ()))

    @property
    def plant_names(self) -> frozenset[str]:
        """Names of all plants."""
        return frozenset(name for names in (self.plants or {}).values() for name in names)

    @property
    def model_faults(self) -> tuple[FaultyJob, ...]:
        """Faults on the audited models; a plant without evidence is lack of power and no error."""
        skips = self.model_skips
        return tuple(fault for fault in self.faults if fault.model not in self.plant_names and fault not in skips)

    @property
    def model_skips(self) -> tuple[FaultyJob, ...]:
        """Jobs that no audited model can have.

        One that another model could have is a fault: a checkpoint that answers nothing must not be spared an attack.
        """
        audited = {"unlearned", *self.controls, *(["original"] if self.has_original else [])}
        found: dict[tuple[str, str, str | None], set[str]] = {}
        for fault in self.faults:
            if fault.skipped:
                found.setdefault((fault.attack, fault.arm, fault.probe), set()).add(fault.model)
        return tuple(
            fault
            for fault in self.faults
            if fault.skipped
            and fault.model not in self.plant_names
            and audited <= found[fault.attack, fault.arm, fault.probe]
        )


def is_named(dose: str, names: Sequence[str]) -> bool:
    """Whether a dose (or an arm) is one of those named; `nf4` also names `nf4+adapter`: the same under an adapter."""
    return dose in names or dose.partition("+")[0] in names
