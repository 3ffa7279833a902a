"""What an audit says: its findings, its verdict, and the result that every report is made from.

`result.json` is `Result` in canonical form; its JSON Schema is published with the package. Pure data.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from unlearn_audit.api import ScoreKind
from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.manifest import RESULT as RESULT
from unlearn_audit.evidence.records import (
    ComparisonRecord,
    DataRecord,
    JobRecord,
    JudgeRecord,
    ModelRecord,
    PluginRecord,
    Record,
)
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy, Unit
from unlearn_audit.spec.waivers import Waiver, WaiverRecord
from unlearn_audit.statistics.bounds import TOLERANCE
from unlearn_audit.verdict.changes import BaselineRecord

SCHEMA_VERSION = 2
"""1 had `cells` for `jobs`, and `none` for the attack `as-is`; it can still be read."""


RULES = 3
"""Version of the rules of the verdict. A run that was decided by older ones is decided anew by these."""


class Outcome(StrEnum):
    """The answer of an audit; `WAIVED`: it would not pass, but for what somebody has accepted."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    WAIVED = "WAIVED"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"

    @property
    def exit_code(self) -> int:
        """The process's exit code for this outcome (2 is usage, 130 interrupted)."""
        return _EXIT_CODES[self]


_EXIT_CODES = {Outcome.PASS: 0, Outcome.WAIVED: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3, Outcome.ERROR: 4}


class Control(StrEnum):
    """What the checkpoint is compared with, best first."""

    RETRAINED = "retrained"
    TWINS_AND_PLACEBO = "twins and placebo"
    PLACEBO = "placebo"
    TWINS = "twins"
    SHAM = "sham"
    CHANCE = "chance"
    NOTHING = "nothing"


class Interval(Record):
    """An estimate with its one-sided bounds, each at 1 - alpha."""

    estimate: float
    lower: float
    upper: float


class CellEstimate(Record):
    """One dose x one way of asking: role means over subjects, and the statistic against the least kind control.

    Attributes:
        excess: L = (U - C) - margin * (K - C) with an original, else U - C - margin: at most 0 is what a pass needs.
            `estimate` and `upper` are against the control that leaves the largest upper bound, `lower` against
            the control that leaves the smallest. Of a list, `upper` is the count's where that is smaller.
        known: K, what the original shows un-attacked.
        unresolved: facts scored in one role and missing in another; counted against either verdict.
        shown: facts of a list that the checkpoint shows in its worst run (a soft score counts as that share of one);
            `shown_at_most` with those that have no score; `allowed` of them. None where nothing is counted.
        runs: that were counted; `runs_beyond` of them show more than is allowed for certain.
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
    known: float | None = None
    controls: dict[str, float] = Field({})
    shown: float | None = None
    shown_at_most: float | None = None
    allowed: float | None = None
    runs: int = 0
    runs_beyond: int = 0
    excess: Interval
    worst_control: str | None = None

    @property
    def by_count(self) -> bool:
        """Whether the count alone passes, without any statistics."""
        if self.shown_at_most is None or self.allowed is None:
            return False
        return self.shown_at_most <= self.allowed + TOLERANCE

    @property
    def beyond(self) -> float:
        """How much of a leak it shows for certain: of a list, by the share of facts beyond those allowed."""
        if self.shown is None or self.allowed is None:
            return self.excess.lower
        return (self.shown - self.allowed) / self.facts


class PlantRecord(Record):
    """What an attack brought back from one plant: the original, made to hide what it knows (design 6.2).

    Attributes:
        dose: where it brought back most, asked as `variant`.
        hidden: how much less than the original the plant shows when simply asked.
        shown: the plant under the attack, minus the control.
        found: share of what was hidden that was recovered; None if too little was hidden.
        doses: where more of it came back than may; of other doses it says nothing.
        why: why it shows no power, if it shows none.
    """

    name: str
    dose: str | None = None
    variant: str | None = None
    hidden: float | None = None
    shown: Interval | None = None
    found: float | None = None
    doses: tuple[str, ...] = ()
    enough: bool
    why: str = ""


class PowerEstimate(Record):
    """Whether this finding could detect the knowledge at all.

    Attributes:
        shown: original minus control at the strongest cell; of the best plant in the original's place, where the
            audit made any.
        planted: the audit made plants, and this attack must find one to have power.
        doses: the doses at which power was shown; a required one must be among them.
        why: what else stands against power; empty where nothing does.
    """

    shown: Interval
    needed: float
    enough: bool
    planted: bool = False
    why: str = ""
    plants: tuple[PlantRecord, ...] = ()
    doses: tuple[str, ...] = ()


class FactRecord(Record):
    """One fact at a finding's worst cell, by its id: mean scores of the checkpoint, the control, the original."""

    id: str
    unlearned: float
    control: float
    original: float | None = None


class Finding(Record):
    """What one attack x probe says over all its doses and variants.

    Attributes:
        recovered: share of the original's knowledge that came back at the worst cell, (U - C) / (K - C), K
            un-attacked; a plain point for reading; None where there is no original or it shows too little.
        bound: the largest upper bound of the excess over all cells and controls; a pass needs at most 0.
        at_most: the smallest margin at which it would still pass: with confidence 1 - alpha no cell brings back a
            larger share of the original's knowledge. None unless it passed.
        p_value: of FAIL, corrected for the number of cells to pick from; `holm_p_value` after Holm over the gating
            findings.
        gates: it decides this verdict; `exploratory` ones do where they fail, and no pass needs them.
        margin: by which it was decided, `alpha` the error rate of FAIL, `alpha_pass` of its bounds: its rule's, else
            the policy's.
        rule: id of the policy's rule that applies to it.
        waiver: who accepted it, if it failed or stayed open and someone did.
        runs: how often an attack that draws at random was run; 0 for one that does not.
        worst_facts: where it decides and failed or stayed open, the facts of the largest U - C at the worst cell.
    """

    id: str
    attack: str
    probe: str
    measure: str
    kind: ScoreKind
    gates: bool
    exploratory: bool = False
    any_of: bool = False
    refusal_proof: bool = False
    status: Status
    reason: str
    control: Control | None = None
    margin: float
    alpha: float | None = None
    alpha_pass: float | None = None
    rule: str | None = None
    waiver: Waiver | None = None
    subjects: int = 0
    facts: int = 0
    runs: int = 0
    worst: CellEstimate | None = None
    bound: float | None = None
    at_most: float | None = None
    recovered: float | None = None
    p_value: float | None = None
    holm_p_value: float | None = None
    power: PowerEstimate | None = None
    cells: tuple[CellEstimate, ...] = ()
    worst_facts: tuple[FactRecord, ...] = ()


class Kept(Record):
    """Retain hits of the checkpoint against the original's: (U - needed * O) per subject, with its bounds."""

    status: Status
    reason: str
    needed: float
    unlearned: float | None = None
    original: float | None = None
    excess: Interval | None = None
    subjects: int = 0
    p_value: float | None = None
    holm_p_value: float | None = None


class KeptPart(Kept):
    """The same of one part of what must stay: its neighbours, or what both sides share.

    Attributes:
        name: as the facts have it (`part`).
        gates: the policy asks for it; else it is reported.
    """

    name: str
    gates: bool


class Utility(Kept):
    """The same of the whole retain set, and of its parts.

    Attributes:
        parts: those that the facts or the policy name, by name.
        decided_by: the part whose status is that of all; None: the retain set as a whole, whose numbers stand here.
        as_a_whole: the status of the retain set as a whole, where a part decides.
    """

    waiver: Waiver | None = None
    parts: tuple[KeptPart, ...] = ()
    decided_by: str | None = None
    as_a_whole: Status | None = None

    @property
    def deciding(self) -> Kept:
        """What gave the status, with its numbers."""
        return next((part for part in self.parts if part.name == self.decided_by), self)


class GroupShown(Record):
    """What one cell shows of one person or relation.

    Attributes:
        name: pseudonym of the person, or the relation.
        place: the cell, all seeds as one; or all cells as one.
        facts: asked about; `shown` of them by the checkpoint.
        guessed: of them, by the controls on average (or twins).
        p_value: of "no more than is guessed", corrected for all groups and cells; `proven` after Holm.
    """

    name: str
    finding: str
    place: str
    facts: int
    shown: int
    guessed: float
    p_value: float
    proven: bool = False


class People(Record):
    """Who is back, and which relation: what a mean over people hides.

    Attributes:
        p_value: of "nobody, no relation, and no more than the margin of the people is back"; `holm_p_value` after Holm.
        persons: those above the controls, most proven first; `relations` likewise, beyond the margin.
        people: asked about; `with_a_fact_out` of them in the worst cell, `in_the_control` of them there.
        share_p_value: of "at most the margin of the people has a fact out, beyond the control"; `share_proven` after
            Holm.
    """

    p_value: float
    holm_p_value: float | None = None
    persons: tuple[GroupShown, ...] = ()
    relations: tuple[GroupShown, ...] = ()
    people: int
    with_a_fact_out: int
    in_the_control: float
    place: str
    share_p_value: float
    share_proven: bool = False


class Exposure(Record):
    """What all deciding findings on hits show together: each fact at its most over attacks, doses, wordings and seeds.

    Attributes:
        facts: listed; `shown` of them by the checkpoint, `allowed` by the margin, `controls` by a control on average.
        people: behind them; `people_shown` with a fact out.
        decides: the facts are a list, and the controls guess few enough for the union to count.
    """

    facts: int
    shown: float
    allowed: float
    controls: float | None = None
    people: int
    people_shown: int
    decides: bool


class Verdict(Record):
    """The decision: a pure function of observations, case and policy."""

    outcome: Outcome
    sentence: str = Field(description="The verdict in one sentence, with its bound and its limits.")
    reasons: tuple[str, ...] = Field(
        description="Why not better: one line for each thing that prevented a better outcome."
    )
    control: Control | None
    unit: Unit
    findings: tuple[Finding, ...]
    utility: Utility
    comparisons: tuple[ComparisonRecord, ...] = ()
    waivers: tuple[WaiverRecord, ...] = ()
    people: People | None = None
    exposure: Exposure | None = None
    rules: int = Field(1, description="Version of the rules that decided.")


class RunRecord(Record):
    """What a run leaves on record besides the evidence: what was audited, by what, how and when."""

    tool_version: str
    policy: Policy
    spec_digest: str
    case: Case
    models: tuple[ModelRecord, ...]
    data: tuple[DataRecord, ...]
    jobs: tuple[JobRecord, ...]
    judge: JudgeRecord = JudgeRecord()
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    engine: str = ""
    plugins: tuple[PluginRecord, ...] = ()
    profile: str
    seed: int
    started: str
    seconds: float
    command: str
    asked_as: dict[str, str] = Field({})


class SignatureRecord(Record):
    """An attestation that lies with the run; whether it is by whom it says, `verify --key` tells.

    Attributes:
        keys: ids of the keys, as the envelope says.
        fits: what it states is what this result says.
    """

    keys: tuple[str, ...] = ()
    fits: bool


class AnnexRow(Record):
    """One thing that a text asks for, what the audit has on it, and which sections of the report to read."""

    source: str
    asks: str
    evidence: str
    sections: tuple[str, ...] = ()


class AnnexRecord(Record):
    """Where an audit has evidence of what a regulator's text asks for; no statement of compliance."""

    id: str
    title: str
    sources: tuple[str, ...]
    rows: tuple[AnnexRow, ...]


class Appendix(Record):
    """What `report` adds for its readers. A run's own `result.json` has none of it."""

    signature: SignatureRecord | None = None
    annexes: tuple[AnnexRecord, ...] = ()


class Result(RunRecord):
    """`result.json`: outcome, findings, and everything needed to decide on them again and to repeat them."""

    schema_version: int = SCHEMA_VERSION
    outcome: Outcome
    exit_code: int
    verdict: Verdict
    policy_digest: str
    evidence_digest: str
    baseline: BaselineRecord | None = None
    appendix: Appendix | None = None
