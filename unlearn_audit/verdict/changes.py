"""What changed from one audited model to another on the same facts: pure data."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Direction(StrEnum):
    """Which way something is proven to have changed."""

    WORSE = "worse"
    BETTER = "better"
    OPEN = "open"


class Change(BaseModel):
    """One finding (or `utility`) in both audits, in the cell in which it grew most (utility: fell).

    Attributes:
        old: mean over subjects of the older checkpoint; `new` of the newer.
        estimate: new - old, paired by subject, with one-sided bounds at 1 - alpha.
        p_value: of "it got worse in no cell"; `holm_p_value` after Holm over the changes that decide.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    finding: str
    gates: bool
    dose: str
    variant: str
    old: float
    new: float
    estimate: float
    lower: float
    upper: float
    p_value: float
    holm_p_value: float | None = None
    subjects: int
    facts: int
    direction: Direction


class BaselineRecord(BaseModel):
    """A comparison with an older audit.

    Attributes:
        checkpoint: digest of the older model; `evidence` and `policy` of its audit.
        notes: what differs between the audits besides the model, and what could not be compared.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoint: str
    evidence: str
    policy: str
    alpha: float
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    def worse(self) -> tuple[Change, ...]:
        """The deciding changes that are proven to be worse."""
        return tuple(one for one in self.changes if one.gates and one.direction is Direction.WORSE)
