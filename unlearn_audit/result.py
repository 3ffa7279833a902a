"""What an audit says: the case that the plan fixed, and the result that every report is made from.

`result.json` is `Result` in canonical form; its JSON Schema is published with the package. Pure data.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from unlearn_audit.api import Access, ScoreKind
from unlearn_audit.changes import BaselineRecord
from unlearn_audit.output_judge import JudgeKind
from unlearn_audit.policy import Policy, Release, Unit
from unlearn_audit.rules import decides
from unlearn_audit.serving import is_named, parts_of
from unlearn_audit.waivers import Waiver, WaiverRecord

SCHEMA_VERSION = 1


class Outcome(StrEnum):
    """The answer of an audit."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"

    @property
    def exit_code(self) -> int:
        """The process's exit code for this outcome (2 is usage, 130 interrupted)."""
        return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3, Outcome.ERROR: 4}[self]


class Status(StrEnum):
    """Where one finding stands."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NO_POWER = "no-power"
    ERROR = "error"


class Control(StrEnum):
    """What the checkpoint is compared with, best first."""

    RETRAINED = "retrained"
    TWINS_AND_PLACEBO = "twins and placebo"
    PLACEBO = "placebo"
    TWINS = "twins"
    SHAM = "sham"
    CHANCE = "chance"


class Record(BaseModel):
    """Base of everything stored: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedFinding(Record):
    """One attack x one measure of a probe, fixed before any evidence was seen.

    Attributes:
        gates: it can decide the audit at this release tier (and, after `Case.under`, by this policy); else advisory.
        any_of: the exposure over all ways of asking (design 6.4): a fact is shown if any variant shows it.
        refusal_proof: low scores cannot come from refusing.
        sham: the attack optimises toward the answer, and what it gets toward a twin answer is subtracted (design 6.6).
        at_every_dose: its probe meets every dose of the attack; else those of the first arm alone.
        doses: names of the doses that the policy says are served, where the finding was parted by them (`serving`).
        unserved: it is over all other doses than these.
        seeded: its attack draws at random, and is run with several seeds.
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

    @property
    def id(self) -> str:
        """`attack/probe.measure`; `.any` for the exposure over all ways of asking, `.unserved` for what is not."""
        ending = (".any" if self.any_of else "") + (".unserved" if self.unserved else "")
        return f"{self.attack}/{self.probe}.{self.measure}{ending}"

    def covers(self, dose: str) -> bool:
        """Whether the finding is over this dose (or arm) of its attack."""
        return self.doses is None or is_named(dose, self.doses) is not self.unserved

    def hit_by(self, fault: FaultyCell) -> bool:
        """Whether a cell that gave no evidence leaves a hole in this finding."""
        return fault.attack == self.attack and self.covers(fault.arm) and fault.probe in (None, self.probe)


class FaultyCell(Record):
    """A planned cell that gave no evidence, with the error that it met.

    Attributes:
        probe: the one probe that the cell was for, where it was for one alone.
    """

    attack: str
    arm: str
    model: str
    message: str
    probe: str | None = None


class LeftOut(Record):
    """Something that was not run, and why."""

    what: str
    why: str


class Case(Record):
    """What the plan fixed and the runner saw: with the observations, all that a verdict depends on.

    Attributes:
        subjects: fact id -> subject, of the forget set; `retain_subjects` of the retain set.
        controls: names of the retrained models, () where there are none.
        chance: fact id -> hit rate of the best constant answer to its relation (the commonest answer's share);
            the level that a hit must beat where there is no control at all.
        checkpoint: digest of the checkpoint's files, for the verdict's sentence.
        plants: attack -> the names of its plants, where the audit makes some; an attack that has none declares none.
        served_arms: attack -> the arms that run, in their order, of attacks that the owner applies before serving.
    """

    release: Release
    subjects: dict[str, str]
    retain_subjects: dict[str, str] = {}
    chance: dict[str, float] = {}
    checkpoint: str = ""
    plants: dict[str, tuple[str, ...]] | None = None
    has_original: bool
    controls: tuple[str, ...] = ()
    planned: tuple[PlannedFinding, ...]
    served_arms: dict[str, tuple[str, ...]] = {}
    faults: tuple[FaultyCell, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def plant_names(self) -> frozenset[str]:
        """Names of all plants."""
        return frozenset(name for names in (self.plants or {}).values() for name in names)

    @property
    def model_faults(self) -> tuple[FaultyCell, ...]:
        """Faults on the audited models; a plant without evidence is lack of power and no error."""
        return tuple(fault for fault in self.faults if fault.model not in self.plant_names)

    def under(self, policy: Policy) -> Case:
        """The case with only those findings gating that the policy names, of what it says is served."""
        planned = tuple(
            part.model_copy(update={"gates": decides(part, policy)})
            for finding in self.planned
            for part in parts_of(finding, self, policy)
        )
        return self.model_copy(update={"planned": planned})


class Interval(Record):
    """An estimate with its one-sided bounds, each at 1 - alpha."""

    estimate: float
    lower: float
    upper: float


class CellEstimate(Record):
    """One dose x one way of asking: role means over subjects, and the statistic against the least kind control.

    Attributes:
        excess: L = (U - C) - margin * (O - C) with an original, else U - C - margin: at most 0 is what a pass needs.
            `estimate` and `upper` are against the control that leaves the largest upper bound, `lower` against
            the control that leaves the smallest.
        unresolved: facts scored in one role and missing in another; counted against either verdict.
    """

    dose: str
    dose_value: float | None
    variant: str
    subjects: int
    facts: int
    unresolved: int = 0
    missing: int = 0
    unlearned: float
    original: float | None = None
    controls: dict[str, float] = {}
    excess: Interval
    worst_control: str | None = None


class PlantRecord(Record):
    """What an attack brought back from one plant: the original, made to hide what it knows (design 6.2).

    Attributes:
        dose: where it brought back most, asked as `variant`.
        hidden: how much less than the original the plant shows when it is simply asked.
        shown: the plant under the attack, minus the control.
        found: share of what was hidden that came back; None where too little was hidden.
        why: why it shows no power, if it does not.
    """

    name: str
    dose: str | None = None
    variant: str | None = None
    hidden: float | None = None
    shown: Interval | None = None
    found: float | None = None
    enough: bool
    why: str = ""


class PowerEstimate(Record):
    """Whether this finding could see the knowledge at all.

    Attributes:
        shown: original minus control at the strongest cell; of the best plant in the original's place, where the
            audit made any.
        planted: the audit made plants, and this attack must find one to have power.
    """

    shown: Interval
    needed: float
    enough: bool
    planted: bool = False
    plants: tuple[PlantRecord, ...] = ()


class FactRecord(Record):
    """One fact at a finding's worst cell, by its id: mean scores of the checkpoint, the worst control, the original."""

    id: str
    unlearned: float
    control: float
    original: float | None = None


class Finding(Record):
    """What one attack x probe says over all its doses and variants.

    Attributes:
        recovered: share of the original's knowledge that came back at the worst cell, (U - C) / (O - C), a plain
            point for reading; None where there is no original or it shows too little.
        bound: the largest upper bound of the excess over all cells and controls; a pass needs at most 0.
        at_most: the smallest margin at which it would still pass: with confidence 1 - alpha no cell brings back a
            larger share of the original's knowledge. None unless it passed.
        p_value: of FAIL, paid for by the number of cells to pick from; `holm_p_value` after Holm over the gating
            findings.
        margin: by which it was judged, and `alpha`: its rule's, else the policy's.
        rule: id of the policy's rule that it is under.
        waiver: who answers for it, where it failed or stayed open and somebody does.
        worst_facts: where it decides and failed or stayed open, the facts of the largest U - C at the worst cell.
    """

    id: str
    attack: str
    probe: str
    measure: str
    kind: ScoreKind
    gates: bool
    any_of: bool = False
    refusal_proof: bool = False
    status: Status
    reason: str
    control: Control | None = None
    margin: float
    alpha: float | None = None
    rule: str | None = None
    waiver: Waiver | None = None
    subjects: int = 0
    facts: int = 0
    worst: CellEstimate | None = None
    bound: float | None = None
    at_most: float | None = None
    recovered: float | None = None
    p_value: float | None = None
    holm_p_value: float | None = None
    power: PowerEstimate | None = None
    cells: tuple[CellEstimate, ...] = ()
    worst_facts: tuple[FactRecord, ...] = ()


class Utility(Record):
    """Retain hits of the checkpoint against the original's: (U - needed * O) per subject, with its bounds."""

    status: Status
    reason: str
    waiver: Waiver | None = None
    needed: float
    unlearned: float | None = None
    original: float | None = None
    excess: Interval | None = None
    subjects: int = 0
    p_value: float | None = None
    holm_p_value: float | None = None


class GroupRecord(Record):
    """One number over models (`comparison.GroupReading`), with what it means beside its null.

    Attributes:
        status: `failed` where the number is proven further from its null than the margin, `passed` where it is proven
            within; `inconclusive` else, and `error` where there is none. None for a number without a null, and for
            one that is not of the checkpoint.
    """

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
    about: dict[str, object] = {}
    status: Status | None = None


class ComparisonRecord(Record):
    """What one comparison found, and by which features.

    Attributes:
        features: model -> digest of what was taken from it.
        error: why there is nothing, or not all.
    """

    name: str
    access: Access
    paper: str
    gates: bool = False
    readings: tuple[GroupRecord, ...] = ()
    features: dict[str, str] = {}
    seconds: float = 0.0
    error: str | None = None


class AgreementRecord(Record):
    """How far the judge and `match` agree on the same outputs of one probe, over all models, attacks and doses.

    Attributes:
        both: outputs that both call a hit; `judge_alone`, `match_alone`, `neither` likewise.
        equal: share of equal verdicts.
        kappa: Cohen's; None where both always say the same one thing.
    """

    probe: str
    both: int
    judge_alone: int
    match_alone: int
    neither: int
    equal: float
    kappa: float | None


class JudgeRecord(Record):
    """Who said whether outputs hold answers.

    Attributes:
        digest: of the model that judged, if one did.
        twins: most twins of an output that it judged.
    """

    kind: JudgeKind = JudgeKind.MATCH
    reference: str | None = None
    digest: str | None = None
    twins: int | None = None
    agreement: tuple[AgreementRecord, ...] = ()


class Verdict(Record):
    """The judgement: a pure function of observations, case and policy."""

    outcome: Outcome
    sentence: str = Field(description="The verdict in one sentence, with its bound and its limits.")
    reasons: tuple[str, ...] = Field(description="Why not better: one line for each thing that stood in the way.")
    control: Control | None
    unit: Unit
    findings: tuple[Finding, ...]
    utility: Utility
    comparisons: tuple[ComparisonRecord, ...] = ()
    waivers: tuple[WaiverRecord, ...] = ()


class ModelRecord(Record):
    """One model of the audit, as it was loaded."""

    role: str
    name: str
    reference: str
    digest: str
    dtype: str
    device: str
    parameters: int
    chat_template: str
    architecture: str


class DataRecord(Record):
    """One fact set, by digest."""

    set: str
    digest: str
    facts: int
    subjects: int


class CellRecord(Record):
    """One cell that ran: its time, its evidence, and the proof that the attack happened."""

    key: str
    attack: str
    arm: str
    role: str
    model: str
    seed: int
    sham: bool = False
    status: str
    seconds: float
    observations: int
    digest: str
    events: tuple[str, ...] = ()
    proof: dict[str, dict[str, object]] = {}


class Result(Record):
    """`result.json`: outcome, findings, and everything needed to judge and to repeat them."""

    schema_version: int = SCHEMA_VERSION
    tool_version: str
    outcome: Outcome
    exit_code: int
    verdict: Verdict
    policy: Policy
    policy_digest: str
    spec_digest: str
    evidence_digest: str
    case: Case
    models: tuple[ModelRecord, ...]
    data: tuple[DataRecord, ...]
    cells: tuple[CellRecord, ...]
    judge: JudgeRecord = JudgeRecord()
    versions: dict[str, str]
    profile: str
    seed: int
    started: str
    seconds: float
    command: str
    baseline: BaselineRecord | None = None
