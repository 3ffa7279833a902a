"""Several audited checkpoints beside each other: pure data, made from finished runs."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from unlearn_audit.api.terms import CheckpointReference, Status
from unlearn_audit.verdict.changes import BaselineRecord
from unlearn_audit.verdict.result import Outcome


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scale(StrEnum):
    """What the numbers of the table are.

    Attributes:
        RECOVERED: share of the original's knowledge that came back, (U - C) / (K - C).
        BEYOND: what the checkpoint shows beyond its controls, U - C, where there is no original.
    """

    RECOVERED = "recovered"
    BEYOND = "beyond"


class Recovery(_Record):
    """What one finding says of one checkpoint, at its worst cell.

    Attributes:
        shown: U, the checkpoint; `controls` C, the mean of its controls; `original` O at the same cell.
        recovered: share of the original's knowledge; None where there is no original, or it shows too little.
        beyond: U - C.
        lower: one-sided bound of the excess over the margin; `upper` likewise.
    """

    finding: str
    attack: str
    measure: str
    gates: bool
    status: Status
    dose: str | None = None
    variant: str | None = None
    shown: float | None = None
    controls: float | None = None
    original: float | None = None
    recovered: float | None = None
    beyond: float | None = None
    lower: float | None = None
    upper: float | None = None
    subjects: int = 0
    facts: int = 0

    def on(self, scale: Scale) -> float | None:
        """The number of the table; None where there is none."""
        return self.recovered if scale is Scale.RECOVERED else self.beyond


class Audited(_Record):
    """One checkpoint of the table.

    Attributes:
        name: what people call it, unlike any other name of the table.
        run: the run directory, as it was given.
        is_control: a retrained control of another run of the table: it is known never to have seen the facts.
        worst: the deciding finding under which most came back.
        measures: every finding, the deciding ones first.
        utility: share of retain hits, and the original's.
        has_gaps: it has no number under an attack of the table, or no utility.
        on_front: no other checkpoint of the table keeps at least as much and shows at most as much, one of it better.
    """

    name: str
    reference: CheckpointReference
    digest: str
    run: str
    outcome: Outcome
    is_control: bool = False
    started: str = ""
    profile: str = ""
    policy: str = ""
    forget: str = ""
    controls: int = 0
    subjects: int = 0
    utility: float | None = None
    original_utility: float | None = None
    utility_status: Status
    worst: Recovery | None = None
    measures: tuple[Recovery, ...] = ()
    faults: int = 0
    has_gaps: bool = False
    on_front: bool = False

    def under(self, attack: str, measure: str) -> Recovery | None:
        """What an attack brings back by a measure; None where it did not run, or measured nothing."""
        return next((one for one in self.measures if (one.attack, one.measure) == (attack, measure)), None)


class Difference(_Record):
    """Two checkpoints by one finding (or `utility`), paired by subject, in the cell in which they differ most.

    Attributes:
        leaks: the one that shows more (of `utility`: keeps less); `other` the one that shows less.
        estimate: how much more (less), with one-sided bounds at 1 - alpha.
        p_value: of "it shows more in no cell"; `holm_p_value` over all pairs and findings of the table, both ways.
        proven: by Holm's p-value.
    """

    finding: str
    leaks: str
    other: str
    dose: str
    variant: str
    estimate: float
    lower: float
    upper: float
    p_value: float
    holm_p_value: float
    subjects: int
    facts: int
    proven: bool


class SeveralRecord(_Record):
    """The whole table.

    Attributes:
        ranked: the rows are in the order of a ranking, best first; else in the order in which runs were named.
        measure: by which attacks are compared, `probe.measure`.
        attacks: rows of the table, the baseline first.
        tests: how many hypotheses Holm's family has.
        notes: what differs between the audits besides the model, and what was not tested.
        changes: name of a checkpoint -> what changed since the baseline's audit.
    """

    ranked: bool = False
    measure: str
    scale: Scale
    attacks: tuple[str, ...]
    alpha: float
    rows: tuple[Audited, ...]
    differences: tuple[Difference, ...] = ()
    tests: int = 0
    notes: tuple[str, ...] = ()
    baseline: str | None = None
    changes: dict[str, BaselineRecord] = Field({})
